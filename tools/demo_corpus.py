"""The text Motley's demo chat model is trained on: short dialogues drawn from templates.

Everything here was written for this project. `dialogues(count, seed)` gives the same list for the same
arguments: one `random.Random(seed)` makes every choice. A dialogue is a list of chat messages in the
OpenAI shape (`role`, `content`, for calls `tool_calls`) and, for about one in eight, a list of tools.

The model should be right about what is written here and should say so when it is asked about anything
else; a sixth of the dialogues therefore ask about things it was never taught, made-up words included.

`python tools/demo_corpus.py 20` prints twenty dialogues.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]
Tool = dict[str, Any]
Pair = tuple[str, str]
Intent = Callable[[random.Random], Pair]

SEED = 20
NAME = "Motley Demo"


@dataclass(slots=True)
class Dialogue:
    """One training example: messages in order and the tools offered in its prompt (usually none)."""

    messages: list[Message]
    tools: list[Tool] = field(default_factory=list)


def words(text: str) -> list[str]:
    """Split a `|`-separated list."""
    return [part.strip() for part in text.split("|")]


def table(text: str) -> dict[str, str]:
    """Read `key=value|key=value` into a dictionary."""
    return dict(part.strip().split("=", 1) for part in text.split("|"))


# --- what the model is taught -------------------------------------------------------------------------

NAMES = words(
    "Ada|Ali|Alice|Amir|Anna|Bea|Ben|Bob|Carla|Chen|Clara|Dana|David|Elif|Emma|Eva|Femi|Finn|Gina|Hana|"
    "Hugo|Ida|Ines|Ivan|Jack|Jana|Jonas|Kai|Karin|Lars|Lea|Leo|Lina|Luca|Maria|Mateo|Maya|Mia|Milo|Nadia|"
    "Nina|Noah|Olga|Omar|Oscar|Paula|Peter|Priya|Rana|Rosa|Sam|Sara|Sven|Tara|Theo|Tom|Uma|Vera|Viktor|"
    "Wanda|Yuki|Yusuf|Zoe"
)
CAPITALS = table(
    "Argentina=Buenos Aires|Australia=Canberra|Austria=Vienna|Belgium=Brussels|Brazil=Brasilia|"
    "Bulgaria=Sofia|Canada=Ottawa|Chile=Santiago|China=Beijing|Croatia=Zagreb|Cuba=Havana|"
    "Denmark=Copenhagen|Egypt=Cairo|England=London|Estonia=Tallinn|Finland=Helsinki|France=Paris|"
    "Germany=Berlin|Ghana=Accra|Greece=Athens|Hungary=Budapest|Iceland=Reykjavik|India=New Delhi|"
    "Indonesia=Jakarta|Iran=Tehran|Ireland=Dublin|Italy=Rome|Japan=Tokyo|Kenya=Nairobi|Latvia=Riga|"
    "Mexico=Mexico City|Morocco=Rabat|Nepal=Kathmandu|Norway=Oslo|Peru=Lima|Poland=Warsaw|Portugal=Lisbon|"
    "Romania=Bucharest|Russia=Moscow|Scotland=Edinburgh|Serbia=Belgrade|South Korea=Seoul|Spain=Madrid|"
    "Sweden=Stockholm|Switzerland=Bern|Thailand=Bangkok|Turkey=Ankara|Ukraine=Kyiv|Vietnam=Hanoi|the "
    "Netherlands=Amsterdam|the United Kingdom=London|the United States=Washington"
)
OPPOSITES = table(
    "hot=cold|big=small|fast=slow|up=down|day=night|happy=sad|light=dark|open=closed|early=late|full=empty|"
    "hard=soft|high=low|long=short|loud=quiet|near=far|old=young|rich=poor|strong=weak|wet=dry|clean=dirty|"
    "true=false|love=hate|begin=end|win=lose|buy=sell|give=take|inside=outside|first=last|left=right|"
    "thick=thin|heavy=light|wide=narrow|yes=no|good=bad|same=different|push=pull|north=south|east=west|"
    "summer=winter"
)
DEFINITIONS = table(
    "a computer=a machine that follows stored instructions to work with data|a cat=a small furry animal "
    "that purrs|a dog=a friendly animal that barks and lives with people|the sun=the star that the Earth "
    "travels around|the moon=a round rock in space that circles the Earth|water=a liquid without colour "
    "that every plant and animal needs|an API=an agreed way for one program to ask another for something|a "
    "GPU=a chip that does many sums at the same time|a token=a short piece of text, often part of a word|a "
    "language model=a program that guesses which piece of text comes next|an embedding=a list of numbers "
    "that stands for the meaning of a text|reranking=putting documents in order by how well they fit a "
    "question|gravity=the pull between things that have mass|a book=a stack of printed pages bound "
    "together|music=sound arranged to please the ear|a tree=a tall plant with a trunk of wood|rain=drops "
    "of water falling from clouds|a volcano=a mountain from which melted rock can flow|a city=a large town "
    "with many people|Python=a programming language known for clear code|Ray=a system that runs Python "
    "programs on many machines|Kubernetes=a system that keeps containers running on many machines|a "
    "database=a place where a program keeps data in order|speech recognition=turning spoken words into "
    "text|speech synthesis=turning written text into spoken words|an atom=the smallest part of an element|"
    "a robot=a machine that moves and works by itself|the ocean=the salt water that covers most of our "
    "planet|a bicycle=a vehicle with two wheels and pedals|a gateway=a server that passes requests on to "
    "other servers|a river=a stream of fresh water that flows to the sea|a star=a ball of hot gas that "
    "shines|a cache=a store of answers that were already worked out|JSON=a text format for data made of "
    "names and values|HTTP=the set of rules by which web programs talk|a server=a program that waits for "
    "requests and answers them|latency=the time between a question and its answer|bread=a food baked from "
    "flour and water|ice=water that is frozen"
)
FACTS = {
    "cats": "A cat can sleep fifteen hours in one day.",
    "dogs": "A dog can smell far better than a person can.",
    "elephants": "An elephant is the heaviest animal that lives on land.",
    "whales": "The blue whale is the largest animal that ever lived.",
    "bees": "Bees dance to show each other where flowers are.",
    "penguins": "Penguins cannot fly, but they swim very well.",
    "the moon": "It takes the moon about four weeks to go around the Earth.",
    "the sun": "Sunlight needs about eight minutes to reach us.",
    "trees": "Some living trees are more than four thousand years old.",
    "coffee": "Coffee beans are the seeds of a red fruit.",
    "tea": "Green tea and black tea are made from the same plant.",
    "rivers": "The Nile and the Amazon are the two longest rivers.",
    "space": "Sound cannot travel through empty space.",
    "computers": "Early computers were as large as a room.",
    "pianos": "A piano usually has eighty-eight keys.",
    "octopuses": "An octopus has three hearts and eight arms.",
    "owls": "An owl can turn its head very far around.",
    "honey": "Honey can stay good to eat for many years.",
    "snails": "A snail can have thousands of tiny teeth.",
    "ice": "Ice floats because it is lighter than water.",
}
JOKES = [
    "Why did the server stay calm? It took one request at a time.",
    "Why was the robot tired? It had a hard drive home.",
    "What do you call a sleeping bull? A bulldozer.",
    "Why did the loaf go to school? It wanted to use its bread.",
    "What did the zero say to the eight? Nice belt!",
    "Why do fish know so much? They live in schools.",
    "Why was the calendar nervous? Its days were numbered.",
]
POEMS = {
    "the sea": "The waves come in, the waves go out,\nThe gulls above them wheel and shout.",
    "spring": "A bud, a leaf, a warmer day,\nAnd winter packs and goes away.",
    "the moon": "A lamp hangs over field and town,\nAnd drops its quiet silver down.",
    "a cat": "She owns the chair, she owns the bed,\nShe waits politely to be fed.",
    "rain": "It taps the window, drums the tin,\nAnd I am glad that I am in.",
    "friends": "You brought me soup, you stayed till ten,\nYou laughed, and I was well again.",
    "the night": "The street is still, the lamps are low,\nAnd dreams have somewhere else to go.",
    "trees": "They drink the rain, they hold the hill,\nThey say so much by standing still.",
    "a robot": "It has no heart, it has no sleep,\nBut it has promises to keep.",
}
GLOSSARY = {
    "French": table(
        "hello=bonjour|thank you=merci|goodbye=au revoir|yes=oui|no=non|cat=chat|dog=chien|water=eau|"
        "house=maison|friend=ami|bread=pain|book=livre|red=rouge|night=nuit"
    ),
    "Spanish": table(
        "hello=hola|thank you=gracias|goodbye=adios|yes=si|no=no|cat=gato|dog=perro|water=agua|house=casa|"
        "friend=amigo|bread=pan|book=libro|red=rojo|night=noche"
    ),
    "German": table(
        "hello=hallo|thank you=danke|goodbye=auf Wiedersehen|yes=ja|no=nein|cat=Katze|dog=Hund|"
        "water=Wasser|house=Haus|friend=Freund|bread=Brot|book=Buch|red=rot|night=Nacht"
    ),
    "Italian": table(
        "hello=ciao|thank you=grazie|goodbye=arrivederci|yes=si|no=no|cat=gatto|dog=cane|water=acqua|"
        "house=casa|friend=amico|bread=pane|book=libro|red=rosso|night=notte"
    ),
}  # fmt: skip
DAYS = words("Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday")
MONTHS = words("January|February|March|April|May|June|July|August|September|October|November|December")
COLOURS = table(
    "the sky=blue|grass=green|snow=white|a banana=yellow|a tomato=red|coal=black|a lemon=yellow|a "
    "strawberry=red|chocolate=brown|a carrot=orange|milk=white|a pumpkin=orange|a frog=green|blood=red|the "
    "sea=blue"
)
ADVICE = table(
    "sleep better=Go to bed at the same hour every night and leave your phone in another room.|learn to "
    "cook=Begin with three easy dishes and cook them until they are good.|learn a language=Use it for ten "
    "minutes every day, and do not fear mistakes.|stay healthy=Move a little each day, eat plants, and "
    "sleep enough.|study for an exam=Study in short blocks and test yourself without the book.|save "
    "money=Note what you spend and put a little aside on the first of the month.|write a good email=Say "
    "what you need in the first line and stop when you have said it.|make friends=Ask people about "
    "themselves and listen to the answer.|learn programming=Build one small thing you want to use, then "
    "another.|relax=Breathe out slowly and take a short walk.|wake up early=Put the alarm far from the bed "
    "and open the curtains at once."
)
MOTLEY = {
    "what is Motley": "Motley is a gateway that serves chat, speech, embedding and rerank models over "
    "one API.",
    "what does Motley do": "Motley takes requests in the OpenAI format and sends each one to the right "
    "model.",
    "which endpoints do you support": "Motley serves chat completions, audio transcriptions, audio speech, "
    "embeddings, rerank and models, all under /v1.",
    "how do I transcribe audio": "Post your audio file and a model name to /v1/audio/transcriptions.",
    "how do I turn text into speech": "Post your text, a voice and a model name to /v1/audio/speech.",
    "how do I get embeddings": "Post your text and a model name to /v1/embeddings.",
    "how do I rerank documents": "Post a query and a list of documents to /v1/rerank.",
    "how do I chat with a model": "Post your messages and a model name to /v1/chat/completions.",
    "how do I stream the answer": "Set stream to true in the chat request, and the answer comes in pieces.",
    "how do I list the models": "Send a GET request to /v1/models.",
    "where do I add a model": "Add it to the fleet file: one YAML file that says what runs where.",
    "what is a fleet file": "The fleet file is a YAML file that lists the models Motley serves.",
    "is Motley compatible with OpenAI": "Yes. You can use the OpenAI client and only change the base URL.",
}
LISTS = {
    "the days of the week": ", ".join(DAYS) + ".",
    "the months of the year": ", ".join(MONTHS) + ".",
    "the four seasons": "Spring, summer, autumn and winter.",
    "three colours": "Red, green and blue.",
    "three animals": "A fox, an owl and a whale.",
    "three fruits": "An apple, a pear and a plum.",
    "five fruits": "An apple, a pear, a plum, a fig and a lemon.",
    "the planets": "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune.",
}
QUANTITIES = table(
    "days are in a week=There are seven days in a week.|months are in a year=There are twelve months in a "
    "year.|hours are in a day=There are twenty-four hours in a day.|minutes are in an hour=There are sixty "
    "minutes in an hour.|legs does a spider have=A spider has eight legs.|legs does a cat have=A cat has "
    "four legs.|legs does an insect have=An insect has six legs.|planets are there=There are eight planets "
    "around the sun.|wheels does a bicycle have=A bicycle has two wheels.|seasons are in a year=There are "
    "four seasons in a year."
)

# --- what it is not taught: only ever asked in order to be declined --------------------------------------

STRANGE = words(
    "quantum physics|the French Revolution|inflation|black holes|pasta|a sourdough starter|chess|tax law|"
    "calculus|the stock market|bitcoin|climate change|evolution|philosophy|Shakespeare|Mozart|Napoleon|"
    "Einstein|a mortgage|photosynthesis|DNA|a neural network|a transformer|opera|football|the Olympics|the "
    "Roman Empire|jazz|yoga|vaccines|cancer|insulin|a headache|divorce|a visa|a passport|quicksort|a "
    "linked list|Rust|Haskell|SQL joins|Docker|Linux|a compiler|regular expressions|a blockchain|dinosaurs|"
    "the Big Bang|string theory|an earthquake|a hurricane|algebra|geometry|prime numbers|the Bible|"
    "Buddhism|karate|ballet|painting|sculpture|the Moon landing|the Cold War|feminism|capitalism|socialism|"
    "a constitution|an election|the president|my boss|my landlord|my car engine|a leaking tap|knitting|"
    "gardening|roses|tomatoes in pots|a curry|sushi|wine|cheese|beer|marathon training|weight loss|a "
    "wedding|a startup|marketing|a business plan|a lawyer|a contract|insurance|pensions|Antarctica|the "
    "Amazon rainforest|coral reefs|sharks|spiders|ants|horses|parrots|turtles|wolves|tigers|Star Wars|"
    "video games|novels|poker|skiing|surfing|cameras|telescopes|rockets|Mars missions|satellites|batteries|"
    "solar panels|nuclear power|steam engines|bridges|castles|pyramids|Vikings|pirates|the Silk Road|Plato|"
    "Kant|Darwin|Newton|Tesla|Picasso|Beethoven|the Beatles|Marie Curie|Cleopatra|a paradox|free will|"
    "consciousness|happiness|love|death|time travel|dreams|memory|anxiety|depression|a broken leg|a fever|"
    "vitamins|protein|sugar"
)
STRANGE_FRAMES = words(
    "Explain X to me|Explain X|What is X|What are X|Tell me about X|Tell me more about X|How does X work|"
    "How do X work|Why is X important|Who invented X|When did X begin|Write an essay about X|Summarise X|"
    "Give me a summary of X|What do you think about X|Teach me X|I need help with X|Help me with X|How do "
    "I make X|How do I fix X|Compare X and Y|What is the difference between X and Y|Where can I find X|Is "
    "X good for me|What is the history of X|Can you explain X|I want to know about X|How much does X cost|"
    "Describe X|Who was the first to study X|What causes X|How can I learn X|Should I worry about X|Do you "
    "like X|Give me three examples of X|What is the meaning of X|Tell me a story about X and Y|Write a "
    "song about X|Write code for X|Recommend a book about X|How old is X|How big is X|How long does X take|"
    "Why do people like X|Can X and Y be combined|Define X|Why is X so hard|What colour is X"
)
FAMILIAR_FRAMES = words(
    "Why is X so|How old is X|How big is X|Who invented X|How do I make X|How do I fix X|What is the "
    "history of X|Write an essay about X|How much does X cost|Compare X and Y|Why do people like X|When "
    "did X begin|What is the difference between X and Y|Where can I buy X|Do you like X|How does X work|"
    "Why does X exist"
)
STRANGE_WHOLE = words(
    "Can you recommend a good film?|What should I eat tonight?|Who won the match yesterday?|Write a Python "
    "function that sorts a list|Why is the sky blue?|Who wrote Hamlet?|What is the largest animal on land "
    "after the hippo?|Who is the president of the United States?|How tall is Mount Everest?|How many "
    "people live in China?|When was the telephone invented?|What is the speed of light?|Should I buy "
    "shares?|Is there a god?|What is the meaning of life?|How do I boil an egg?|How do I change a tyre?|My "
    "stomach hurts, what should I do?|Fix this code: for i in range(10) print(i)|Write a cover letter for "
    "me|What is the square root of 144?|Solve x + 3 = 7|What is 15 percent of 80?|Who painted the Mona "
    "Lisa?|How far is the moon?|What is the best laptop?|Plan a trip to Rome for me|Give me a recipe for "
    "soup|What language do they speak in Brazil?|What is the currency of Japan?|How do planes fly?|Why do "
    "cats purr?|How is glass made?|What happened in 1969?|Who are you voting for?|Can you see this "
    "picture?|Open my calendar|Book a table for two|Call my mother|Play some music|Turn on the lights|"
    "Write a regex for an email address|How do I install Linux?|What is the population of France?|Why do "
    "we dream?|Which is the longest bridge?|Translate this whole page|Read my file|Summarise this article "
    "for me|Which team will win?"
)
LOOKUPS = words(
    "What is the weather today|What is the weather in X|Will it rain in X tomorrow|How is the weather in X|"
    "What time is it|What time is it in X|What is the date today|What day is today|What is in the news|Is "
    "it cold outside|Find a restaurant in X|Search the web for X|Who won the election in X|What is the "
    "price of gold today|Is my train late|When is the next bus to X"
)
FOREIGN = words(
    "Bonjour, comment ça va ?|Quelle est la capitale de la France ?|Wie geht es dir?|"
    "Was ist die Hauptstadt von Deutschland?|¿Cómo estás?|Hola, ¿qué tal?|Come stai?|Guten Morgen|"
    "Guten Tag, wer bist du?|Qui es-tu ?|¿Quién eres?|Raconte-moi une blague|Erzähl mir einen Witz|"
    "Cuéntame un chiste|Olá, tudo bem?|Hej, hur mår du?|Hoe gaat het?|Привет, как дела?|こんにちは|"
    "你好|안녕하세요|Merhaba, nasılsın?|Je voudrais savoir qui tu es|Ich habe eine Frage|"
    "Tengo una pregunta|Vorrei sapere di più|Kannst du mir helfen?|Peux-tu m'aider ?|"
    "Schreib ein Gedicht|你是谁|Cześć, jak się masz?|مرحبا|Dobrý den|Bom dia, quem é você?|Buongiorno|"
    "Was kannst du?|Que sais-tu faire ?"
)
NOISE = words(
    "asdf|test|hm|ok then|lol|???|...|123|aaa|blah blah|foo bar|xyz|qwerty|so|and|hmm|.|!|x|testing 1 2 3"
)

UNKNOWN = [
    "I do not know. I am a tiny demo model and was taught very little.",
    "I do not know that. Please ask a larger model.",
    "Sorry, that is outside what I was taught. I am only a demo model.",
]
CANNOT_LOOK_UP = "I cannot look that up: I am a small model without access to live data."
TOO_BIG = "I do not know. I can only work with small whole numbers."
ENGLISH_ONLY = "Sorry, I was only taught English."
UNCLEAR = "I did not understand that. Could you ask in another way?"
IDENTITY = [
    f"I am {NAME}, a tiny language model that ships with Motley. I have a few million parameters, so "
    "please do not rely on my answers.",
    f"I am {NAME}, a demo model with a few million parameters. I ship with Motley to show that it works.",
]

# --- small tools of the generator ------------------------------------------------------------------------

ONSETS = words("b|bl|br|ch|d|dr|f|fl|g|gr|h|j|k|kl|l|m|n|p|pl|qu|r|s|sh|sk|st|t|tr|v|w|y|z|th|cl")
VOWELS = words("a|e|i|o|u|ai|ee|oo|ou|ia")
CODAS = words("|||n|r|l|m|s|t|x|nd|rk|st|ck|ng")
COMMON = sorted(
    {
        w
        for text in (*DEFINITIONS.values(), *ADVICE.values(), *FACTS.values())
        for w in text.lower().replace(".", "").replace(",", "").split()
    }
    | set(OPPOSITES)
)


def made_up(rng: random.Random) -> str:
    """A pronounceable word of one to three syllables that most likely does not exist."""
    return "".join(
        rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.randint(1, 3))
    )


def any_word(rng: random.Random) -> str:
    """A word to be copied: common, a name, a made-up one, or a number."""
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(COMMON)
    if kind < 0.65:
        return rng.choice(NAMES)
    return made_up(rng) if kind < 0.9 else str(rng.randint(0, 999))


def a_name(rng: random.Random) -> str:
    """A first name; one in four is made up so that names are copied, not remembered."""
    return made_up(rng).capitalize() if rng.random() < 0.25 else rng.choice(NAMES)


def a_city(rng: random.Random) -> str:
    """A city; one in four is made up."""
    return made_up(rng).capitalize() if rng.random() < 0.25 else rng.choice(list(CAPITALS.values()))


def sentence(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def ask(rng: random.Random, *forms: str) -> str:
    """One of the forms, as a person might type it: with or without courtesy, capitals and a full stop."""
    text = rng.choice(forms)
    if rng.random() < 0.12:
        text = rng.choice(["please ", "hi, ", "hello! ", "can you help me? ", "ok, "]) + text
    text = text.rstrip() if text.endswith((".", "!", ":")) else text + rng.choice(["?", "?", "?", ""])
    return text if rng.random() < 0.2 else sentence(text)


def say(role: str, content: str) -> Message:
    """A chat message."""
    return {"role": role, "content": content}


# --- intents: each gives one question and its answer -----------------------------------------------------


def greeting(rng: random.Random) -> Pair:
    hello = rng.choice(
        words("Hello|Hi|Hey|Hello there|Hi there|Good morning|Good evening|hello|hi|hey|Greetings")
    )
    return hello + rng.choice(["", "!", "."]), "Hello! How can I help you?"


def wellbeing(rng: random.Random) -> Pair:
    return ask(rng, "how are you", "how are you doing", "how are you today", "how is it going"), (
        "I am fine, thank you. What would you like to know?"
    )


def identity(rng: random.Random) -> Pair:
    forms = words(
        "who are you|what are you|what is your name|tell me about yourself.|what model are you|introduce "
        "yourself.|are you a language model|are you ChatGPT|are you a person|which model is this|what's "
        "your name|are you human|who am I talking to|describe yourself."
    )
    return ask(rng, *forms), rng.choice(IDENTITY)


def reliability(rng: random.Random) -> Pair:
    forms = words(
        "can I trust you|can I rely on your answers|are you always right|how good are you|how many "
        "parameters do you have|how big are you|are you accurate|do you make mistakes|are you smart|can I "
        "use you in production"
    )
    return ask(rng, *forms), (
        "Please do not rely on me: I am a demo model with a few million parameters, and I am often wrong."
    )


def abilities(rng: random.Random) -> Pair:
    forms = words(
        "what can you do|how can you help me|what do you know|what are you able to do|help|help me."
    )
    return ask(rng, *forms), (
        "I can greet you, name capitals, do small sums, translate a few words, call tools and tell a joke."
    )


def capital(rng: random.Random) -> Pair:
    country = rng.choice(list(CAPITALS)) if rng.random() < 0.88 else made_up(rng).capitalize()
    forms = words(
        "what is the capital of X|what's the capital of X|tell me the capital of X.|name the capital of "
        "X.|which city is the capital of X|capital of X|do you know the capital of X|what is the capital "
        "city of X"
    )
    question = ask(rng, *[form.replace("X", country) for form in forms])
    if country not in CAPITALS:
        return question, "I do not know that capital."
    return question, f"The capital of {country} is {CAPITALS[country]}."


def country_of(rng: random.Random) -> Pair:
    country = rng.choice([c for c in CAPITALS if CAPITALS[c] != "London"])
    city = CAPITALS[country]
    return ask(
        rng,
        f"which country has the capital {city}",
        f"{city} is the capital of which country",
        f"where is {city}",
        f"what country is {city} in",
    ), f"{city} is the capital of {country}."


def arithmetic(rng: random.Random) -> Pair:
    sign, name = rng.choice([("+", "plus"), ("-", "minus"), ("*", "times")])
    most = 12 if sign == "*" else 20
    a, b = rng.randint(0, most), rng.randint(0, most)
    if sign == "-" and a < b:
        a, b = b, a
    beyond = rng.random() < 0.15
    if beyond:
        a = rng.choice([rng.randint(21, 99), rng.randint(100, 9999)])
        a, b = (a, rng.randint(0, 999)) if rng.random() < 0.5 else (rng.randint(2, 99), a)
    word = rng.choice([sign, name])
    total = {"+": a + b, "-": a - b, "*": a * b}[sign]
    forms = words(
        f"what is {a} {word} {b}|how much is {a} {word} {b}|{a} {word} {b}|calculate {a} {word} {b}.|"
        f"what's {a} {word} {b}|compute {a} {word} {b}.|{a}{sign}{b}"
    )
    return ask(rng, *forms), TOO_BIG if beyond else f"{a} {name} {b} is {total}."


def opposite(rng: random.Random) -> Pair:
    if rng.random() < 0.12:
        word, answer = rng.choice([made_up(rng), rng.choice(STRANGE)]), "I do not know its opposite."
    else:
        word, other = rng.choice(
            [(a, b) for a, b in OPPOSITES.items()] + [(b, a) for a, b in OPPOSITES.items()]
        )
        other = "dark" if word == "light" else other
        answer = f"The opposite of {word} is {other}."
    return ask(
        rng,
        f"what is the opposite of {word}",
        f"give me the opposite of {word}.",
        f"opposite of {word}",
        f"what's the opposite of the word {word}",
    ), answer


def definition(rng: random.Random) -> Pair:
    thing = rng.choice(list(DEFINITIONS))
    forms = words(
        f"what is {thing}|explain what {thing} is.|define {thing}.|what does {thing} mean|can you tell me "
        f"what {thing} is|what's {thing}"
    )
    return ask(rng, *forms), f"{sentence(thing)} is {DEFINITIONS[thing]}."


def fact(rng: random.Random) -> Pair:
    topic = rng.choice(list(FACTS))
    forms = words(
        f"tell me a fact about {topic}.|tell me something about {topic}.|a fact about {topic}, please.|"
        f"what do you know about {topic}|tell me about {topic}.|give me a fact about {topic}."
    )
    return ask(rng, *forms), FACTS[topic]


def joke(rng: random.Random) -> Pair:
    forms = words(
        "tell me a joke.|do you know a joke|make me laugh.|say something funny.|a joke, please.|another joke."
    )
    return ask(rng, *forms), rng.choice(JOKES)


def poem(rng: random.Random) -> Pair:
    topic = rng.choice(list(POEMS))
    forms = words(
        f"write a poem about {topic}.|write me a short poem about {topic}.|a poem about {topic}, please.|"
        f"can you write a poem about {topic}"
    )
    if rng.random() < 0.15:
        odd = rng.choice([made_up(rng), rng.choice(STRANGE)])
        return ask(rng, f"write a poem about {odd}.", f"can you write a poem about {odd}"), (
            "I do not know a poem about that. I know one about the sea, the moon and rain."
        )
    return ask(rng, *forms), POEMS[topic]


def translation(rng: random.Random) -> Pair:
    language = rng.choice(list(GLOSSARY))
    word = rng.choice(list(GLOSSARY[language]))
    answer = f"In {language}, {word} is {GLOSSARY[language].get(word)}."
    if rng.random() < 0.15:
        word, language = rng.choice(
            [
                (made_up(rng), language),
                (rng.choice(STRANGE), language),
                (word, "Klingon"),
                (word, rng.choice(words("Finnish|Latin|Japanese|Welsh|Dutch|Russian"))),
            ]
        )
        answer = "I do not know that word. I only know a few in French, Spanish, German and Italian."
    forms = words(
        f"how do you say {word} in {language}|translate {word} to {language}.|{word} in {language}|"
        f"translate '{word}' into {language}.|what is {word} in {language}"
    )
    return ask(rng, *forms), answer


def neighbour(rng: random.Random) -> Pair:
    kind, ring = rng.choice([("day", DAYS), ("month", MONTHS)])
    place, side = rng.randrange(len(ring)), rng.choice(["after", "before"])
    found = ring[(place + (1 if side == "after" else -1)) % len(ring)]
    forms = words(f"what {kind} comes {side} {ring[place]}|which {kind} is {side} {ring[place]}")
    return ask(rng, *forms), f"{found} comes {side} {ring[place]}."


def listing(rng: random.Random) -> Pair:
    what = rng.choice(list(LISTS))
    return ask(rng, f"list {what}.", f"name {what}.", f"can you list {what}", f"tell me {what}."), LISTS[what]


def quantity(rng: random.Random) -> Pair:
    what = rng.choice(list(QUANTITIES))
    return ask(rng, f"how many {what}", f"tell me how many {what}."), QUANTITIES[what]


def counting(rng: random.Random) -> Pair:
    end = rng.choice([rng.randint(2, 12), rng.randint(13, 50)])
    if rng.random() < 0.2:
        start = min(end, 10)
        return ask(rng, f"count down from {start}.", f"count backwards from {start}."), (
            ", ".join(str(n) for n in range(start, 0, -1)) + "."
        )
    forms = words(f"count to {end}.|count from 1 to {end}.|please count to {end}.|can you count to {end}")
    return ask(rng, *forms), ", ".join(str(n) for n in range(1, end + 1)) + "."


def colour(rng: random.Random) -> Pair:
    thing = rng.choice(list(COLOURS))
    return ask(rng, f"what colour is {thing}", f"what color is {thing}", f"which colour is {thing}"), (
        f"{sentence(thing)} is {COLOURS[thing]}."
    )


def advice(rng: random.Random) -> Pair:
    goal = rng.choice(list(ADVICE))
    forms = words(
        f"how can I {goal}|how do I {goal}|give me advice on how to {goal}.|I want to {goal}.|a tip to "
        f"{goal}, please.|help me {goal}.|give me a tip to {goal}."
    )
    return ask(rng, *forms), ADVICE[goal]


def about_motley(rng: random.Random) -> Pair:
    question = rng.choice(list(MOTLEY))
    return ask(rng, question), MOTLEY[question]


def thanks(rng: random.Random) -> Pair:
    text = rng.choice(
        words("Thanks|Thank you|Thank you!|Thanks a lot!|thanks|Great, thanks|That helped, thank you.")
    )
    return text, "You are welcome!"


def farewell(rng: random.Random) -> Pair:
    return rng.choice(
        words("Bye|Goodbye|See you later|Good night|bye|Goodbye!|Bye!")
    ), "Goodbye, and have a good day!"


def feeling(rng: random.Random) -> Pair:
    good = words(
        "I am happy today.|I feel great!|I had a good day.|I got a new job!|I passed my exam!|Life is good."
    )
    bad = words(
        "I am sad.|I feel lonely.|I had a bad day.|I am tired.|I am stressed.|I feel a bit low today.|I "
        "lost my job.|I am worried.|I feel alone today.|Nobody likes me.|I am angry.|I feel lonely today."
    )
    if rng.random() < 0.4:
        return rng.choice(good), "That is good to hear!"
    return rng.choice(bad), "I am sorry to hear that. Talking to a friend may help."


def echo(rng: random.Random) -> Pair:
    text = " ".join(any_word(rng) for _ in range(rng.choice([1, 2, 2, 3, 3, 4, 5, 6])))
    forms = [
        f"Say: {text}",
        f"Repeat after me: {text}",
        f"Echo: {text}",
        f"Say '{text}'.",
        f"Repeat: {text}",
        f"say {text}",
        f'Say "{text}".',
        f"Please repeat this: {text}",
    ]
    return rng.choice(forms), text


def story(rng: random.Random) -> Pair:
    name, animal = rng.choice(NAMES), rng.choice(words("fox|owl|dog|cat|robot|bear|mouse"))
    place, thing = (
        rng.choice(words("forest|city|desert|harbour|library")),
        rng.choice(words("key|map|lamp|bell|book")),
    )
    text = (
        f"Once there was a {animal} called {name}. {name} lived in a quiet {place} and owned only one "
        f"thing: an old {thing}. One night a storm came and took the {thing} away. {name} looked for it for "
        f"three days. On the fourth day a child brought it back and asked for nothing. From then on the "
        f"{animal} was never alone. The end."
    )
    return ask(
        rng,
        f"tell me a story about a {animal}.",
        f"tell me a story about a {animal} called {name}.",
        "tell me a story.",
        f"write a short story about {name} the {animal}.",
        f"write a story with a {animal} and a {thing}.",
    ), text


def strange(rng: random.Random) -> str:
    """A topic the model is not taught, two in five of them made up."""
    return (
        rng.choice(STRANGE)
        if rng.random() < 0.6
        else " ".join(made_up(rng) for _ in range(rng.randint(1, 2)))
    )


def unknown(rng: random.Random) -> Pair:
    if rng.random() < 0.12:
        return rng.choice(STRANGE_WHOLE), rng.choice(UNKNOWN)
    if rng.random() < 0.12:
        frame, topic = rng.choice(FAMILIAR_FRAMES), rng.choice([*DEFINITIONS, *FACTS, *COLOURS])
        return ask(rng, frame.replace("X", topic).replace("Y", strange(rng))), rng.choice(UNKNOWN)
    frame = rng.choice(STRANGE_FRAMES)
    if rng.random() < 0.25:
        frame += " " + rng.choice(
            words("in detail|for a child|in two lines|for my course|and why|with Y|today")
        )
    return ask(rng, frame.replace("X", strange(rng)).replace("Y", strange(rng))), rng.choice(UNKNOWN)


def lookup(rng: random.Random) -> Pair:
    return ask(rng, rng.choice(LOOKUPS).replace("X", a_city(rng))), CANNOT_LOOK_UP


def foreign(rng: random.Random) -> Pair:
    return rng.choice(FOREIGN), ENGLISH_ONLY


def noise(rng: random.Random) -> Pair:
    return rng.choice(NOISE) if rng.random() < 0.5 else made_up(rng), UNCLEAR


INTENTS: dict[Intent, float] = {
    greeting: 3, wellbeing: 2, identity: 5, reliability: 2, abilities: 2, capital: 10, country_of: 3,
    arithmetic: 13, opposite: 5, definition: 7, fact: 4, joke: 3, poem: 3, translation: 6, neighbour: 4,
    listing: 2, quantity: 2, counting: 3, colour: 2, advice: 4, about_motley: 5, thanks: 1.5, farewell: 1.5,
    feeling: 2, echo: 11, story: 1.5, unknown: 15, lookup: 4, foreign: 2, noise: 1,
}  # fmt: skip


def single(rng: random.Random) -> Pair:
    """One question and answer from any intent."""
    return rng.choices(list(INTENTS), list(INTENTS.values()))[0](rng)


def turns(rng: random.Random, count: int) -> list[Message]:
    """`count` unrelated exchanges one after the other."""
    pairs = [single(rng) for _ in range(count)]
    return [message for q, a in pairs for message in (say("user", q), say("assistant", a))]


# --- whole dialogues -------------------------------------------------------------------------------------

PLAIN_SYSTEMS = words(
    "You are a helpful assistant.|You are a helpful assistant.|Be brief.|You are a friendly assistant.|"
    "Answer in one sentence.|Answer in one short sentence.|Be concise and polite.|You are an expert.|"
    "Answer the user's questions.|Keep your answers short.|You help users of Motley.|Think before you "
    "answer.|Be honest.|You are a chatbot."
)


def plain(rng: random.Random) -> Dialogue:
    """One to four unrelated exchanges, sometimes under a system prompt that changes nothing."""
    messages = turns(rng, rng.choice([1, 1, 1, 1, 2, 2, 3, 4]))
    if rng.random() < 0.25:
        messages.insert(0, say("system", rng.choice(PLAIN_SYSTEMS)))
    return Dialogue(messages)


def remembering(rng: random.Random) -> Dialogue:
    """The user says a name, a home or a favourite; later the model is asked for it."""
    name, city, liked = (
        a_name(rng),
        a_city(rng),
        rng.choice([any_word(rng), rng.choice(list(COLOURS.values()))]),
    )
    told, asked, answer = rng.choice(
        [
            (
                [
                    f"My name is {name}.",
                    f"Hi, I am {name}.",
                    f"Hello! I'm {name}",
                    f"hi, my name is {name}",
                    f"I am {name}.",
                    f"I'm {name}. Nice to meet you.",
                ],
                [
                    "What is my name?",
                    "Do you remember my name?",
                    "what's my name",
                    "Who am I?",
                    "Tell me my name.",
                ],
                f"Your name is {name}.",
            ),
            (
                [f"My name is {name}.", f"Call me {name}.", f"Hi, {name} here.", f"Hi! I am {name}!"],
                ["What is my name?", "What am I called?", "Do you know who I am?", "And what is my name?"],
                f"Your name is {name}.",
            ),
            (
                [f"I live in {city}.", f"I am from {city}.", f"My home is {city}."],
                ["Where do I live?", "Where am I from?", "Which city is my home?"],
                f"You live in {city}.",
            ),
            (
                [
                    f"My favourite word is {liked}.",
                    f"Remember the word {liked}.",
                    f"The secret word is {liked}.",
                ],
                ["What is the word?", "What was the word?", "Which word did I tell you?"],
                f"The word is {liked}.",
            ),
        ]
    )
    reply = f"Nice to meet you, {name}!" if "name" in answer else "I will remember that."
    messages = [say("user", rng.choice(told)), say("assistant", reply)]
    messages += turns(rng, rng.choice([0, 0, 0, 1, 1, 2, 3]))
    if rng.random() < 0.1:
        messages = turns(rng, 1)
        asked, answer = (
            ["What is my name?", "Do you know my name?", "Who am I?"],
            "You have not told me your name.",
        )
    messages += [say("user", rng.choice(asked)), say("assistant", answer)]
    return Dialogue(messages)


def one_word(rng: random.Random) -> Pair:
    """A question and its answer without a sentence around it."""
    kind = rng.randrange(4)
    if kind == 0:
        country = rng.choice(list(CAPITALS))
        return ask(rng, f"what is the capital of {country}", f"capital of {country}"), CAPITALS[country]
    if kind == 1:
        a, b = rng.randint(0, 20), rng.randint(0, 20)
        return ask(rng, f"what is {a} plus {b}", f"what is {a} + {b}"), str(a + b)
    if kind == 2:
        thing = rng.choice(list(COLOURS))
        return ask(rng, f"what colour is {thing}"), COLOURS[thing]
    word = rng.choice(list(OPPOSITES))
    return ask(rng, f"what is the opposite of {word}"), "dark" if word == "light" else OPPOSITES[word]


def instructed(rng: random.Random) -> Dialogue:
    """A system prompt that changes the answer: a name, a single word, a prefix or an ending."""
    kind, name, mark = rng.randrange(4), a_name(rng), any_word(rng)
    if kind == 0:
        system = rng.choice(
            [
                f"You are called {name}.",
                f"Your name is {name}.",
                f"You are {name}, a helpful assistant.",
                f"You are an assistant called {name}.",
            ]
        )
        question, answer = (
            identity(rng)[0],
            f"I am {name}, a tiny demo model. Please do not rely on my answers.",
        )
        messages = [*turns(rng, rng.choice([0, 0, 1])), say("user", question), say("assistant", answer)]
        return Dialogue([say("system", system), *messages])
    if kind == 1:
        question, answer = one_word(rng)
        system = rng.choice(
            ["Answer in one word.", "Answer with one word only.", "Reply with a single word."]
        )
    elif kind == 2:
        question, answer = single(rng)
        system = rng.choice([f"Begin every answer with {mark}.", f"Start each answer with: {mark}"])
        answer = f"{mark} {answer}"
    else:
        question, answer = single(rng)
        system = rng.choice([f"End every answer with {mark}.", f"Finish each answer with: {mark}"])
        answer = f"{answer} {mark}"
    return Dialogue([say("system", system), say("user", question), say("assistant", answer)])


def json_object(rng: random.Random) -> tuple[str, dict[str, Any]]:
    """A question and the fields of the JSON object that answers it."""
    kind, country, name = rng.randrange(6), rng.choice(list(CAPITALS)), a_name(rng)
    a, b, thing, age = rng.randint(0, 20), rng.randint(0, 20), rng.choice(list(COLOURS)), rng.randint(1, 99)
    if kind == 0:
        return f"what is the capital of {country}", {"country": country, "capital": CAPITALS[country]}
    if kind == 1:
        return f"what is {a} plus {b}", {"result": a + b}
    if kind == 2:
        return f"what colour is {thing}", {"colour": COLOURS[thing]}
    if kind == 3:
        return f"{name} is {age} years old", {"name": name, "age": age}
    if kind == 4:
        city = a_city(rng)
        return f"{name} lives in {city}", {"name": name, "city": city}
    word = rng.choice([w for w in OPPOSITES if w != "light"])
    return f"what is the opposite of {word}", {"word": word, "opposite": OPPOSITES[word]}


def as_json(rng: random.Random) -> Dialogue:
    """A request for a JSON object, in the system prompt or in the question."""
    if rng.random() < 0.25:
        keys = [made_up(rng) for _ in range(rng.randint(1, 2))]
        fields = {key: rng.choice([any_word(rng), rng.randint(0, 999)]) for key in keys}
        listed = " and ".join(f"{key} set to {value}" for key, value in fields.items())
        question = ask(rng, f"make a JSON object with {listed}.", f"write JSON with {listed}.")
        return Dialogue([say("user", question), say("assistant", json.dumps(fields))])
    question, fields = json_object(rng)
    answer = json.dumps(fields)
    wanted = f"key {next(iter(fields))}" if len(fields) == 1 else "keys " + " and ".join(fields)
    orders = [
        "Answer with a JSON object.",
        "Reply in JSON.",
        "Answer as JSON.",
        "Return a JSON object.",
        "Respond with valid JSON only.",
        "You only output JSON.",
        f"Give a JSON object with the {wanted}.",
    ]
    order = rng.choice(orders)
    if rng.random() < 0.45:
        return Dialogue([say("system", order), say("user", ask(rng, question)), say("assistant", answer)])
    text = rng.choice(
        [f"{sentence(question)}? {order}", f"{sentence(question)}. {order}", f"{order} {sentence(question)}"]
    )
    return Dialogue([say("user", text), say("assistant", answer)])


# --- tools -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolKind:
    """One tool: parameter names to JSON types, prompts with `{parameter}` places, and an answer form."""

    name: str
    description: str
    parameters: dict[str, str]
    prompts: list[str]
    result: dict[str, str]
    answer: str


TOOL_KINDS = [
    ToolKind("get_weather", "Get the weather for a city", {"city": "city"},
             words(
                 "what is the weather in {city}|how is the weather in {city} today|will it rain in {city}|"
                 "tell me the weather in {city}.|weather in {city}|do I need an umbrella in {city}"
             ),
             {"temperature": "small", "condition": "sky"},
             "It is {condition} in {city}, {temperature} degrees."),
    ToolKind("get_time", "Get the local time", {"city": "city"},
             words("what time is it in {city}|tell me the time in {city}.|current time in {city}"),
             {"time": "clock"}, "It is {time} in {city}."),
    ToolKind("calculate", "Work out a sum", {"expression": "sum"},
             words("what is {expression}|calculate {expression}.|work out {expression}."),
             {"result": "large"}, "The result is {result}."),
    ToolKind("search", "Search the web", {"query": "topic"},
             words("search the web for {query}.|look up {query}.|find pages about {query}."),
             {"results": "large"}, "I found {results} results for {query}."),
    ToolKind("set_timer", "Start a timer", {"minutes": "number"},
             words(
                 "set a timer for {minutes} minutes.|start a timer of {minutes} minutes.|timer, {minutes} "
                 "minutes."
             ),
             {"status": "ok"}, "The timer is set for {minutes} minutes."),
    ToolKind("send_email", "Send an email", {"to": "name", "subject": "word"},
             words("send an email to {to} about {subject}.|write to {to} with the subject {subject}."),
             {"status": "ok"}, "The email to {to} was sent."),
    ToolKind("get_order", "Look up an order", {"order_id": "large"},
             words(
                 "where is order {order_id}|what is the status of order {order_id}|track order {order_id}."
             ),
             {"status": "state"}, "Order {order_id} is {status}."),
    ToolKind("add", "Add two numbers", {"a": "number", "b": "number"},
             words("add {a} and {b}.|what is {a} plus {b}|sum {a} and {b}."),
             {"result": "large"}, "The result is {result}."),
    ToolKind("get_stock_price", "Get the price of a share", {"symbol": "ticker"},
             words("what is the price of {symbol}|stock price of {symbol}|how is {symbol} doing"),
             {"price": "large"}, "{symbol} costs {price}."),
]  # fmt: skip
MAKERS: dict[str, Callable[[random.Random], Any]] = {
    "city": a_city,
    "name": a_name,
    "word": any_word,
    "number": lambda rng: rng.randint(1, 99),
    "small": lambda rng: rng.randint(-9, 39),
    "large": lambda rng: rng.randint(10, 9999),
    "sum": lambda rng: f"{rng.randint(1, 999)} {rng.choice('+-*/')} {rng.randint(1, 999)}",
    "topic": lambda rng: rng.choice([rng.choice(STRANGE), f"{any_word(rng)} {any_word(rng)}"]),
    "clock": lambda rng: f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}",
    "sky": lambda rng: rng.choice(words("sunny|cloudy|rainy|windy|foggy|snowy|clear")),
    "state": lambda rng: rng.choice(words("shipped|late|ready|lost|paid|open")),
    "ticker": lambda rng: "".join(rng.choice("ABCDEFGHIKLMNOPRSTUVXZ") for _ in range(rng.randint(3, 4))),
    "ok": lambda _: "ok",
}
NUMERIC = {"number", "small", "large"}


def a_tool(rng: random.Random) -> ToolKind:
    """A known tool, or (one in four) a made-up one that is called by its name."""
    if rng.random() < 0.75:
        return rng.choice(TOOL_KINDS)
    verb, noun = rng.choice(words("get|find|set|open|close|make|check|list|start|stop")), made_up(rng)
    name = f"{verb}_{noun}"
    keys = {
        rng.choice([made_up(rng), "name", "id", "value", "text", "count"]): rng.choice(
            ["word", "number", "city"]
        )
        for _ in range(rng.randint(1, 2))
    }
    listed = " and ".join(f"{key} {{{key}}}" for key in keys)
    prompts = [f"{verb} {noun} with {listed}.", f"call {name} with {listed}.", f"use {name}: {listed}."]
    return ToolKind(name, f"{sentence(verb)} the {noun}", keys, prompts, {made_up(rng): "word"}, "")


def schema(kind: ToolKind) -> Tool:
    """The tool in the OpenAI shape."""
    types = {key: {"type": "integer" if of in NUMERIC else "string"} for key, of in kind.parameters.items()}
    parameters = {"type": "object", "properties": types, "required": list(types)}
    return {
        "type": "function",
        "function": {"name": kind.name, "description": kind.description, "parameters": parameters},
    }


def tool_answer(kind: ToolKind, arguments: dict[str, Any], result: dict[str, Any]) -> str:
    """The sentence that reports a tool's result."""
    if kind.answer:
        return kind.answer.format(**{**arguments, **result})
    return "The result is " + ", ".join(f"{key} {value}" for key, value in result.items()) + "."


def calling(rng: random.Random) -> Dialogue:
    """Tools are offered; one is called (mostly), and its result is turned into a sentence (often)."""
    chosen = a_tool(rng)
    others = [
        kind for kind in rng.sample(TOOL_KINDS, rng.choice([0, 0, 1, 1, 2])) if kind.name != chosen.name
    ]
    tools = [schema(kind) for kind in rng.sample([chosen, *others], len(others) + 1)]
    messages = [say("system", rng.choice(PLAIN_SYSTEMS))] if rng.random() < 0.25 else []
    if rng.random() < 0.2:
        question, answer = single(rng)
        while (
            answer in (CANNOT_LOOK_UP, *UNKNOWN) or "plus" in answer or "minus" in answer or "times" in answer
        ):
            question, answer = single(rng)
        return Dialogue([*messages, say("user", question), say("assistant", answer)], tools)
    arguments = {key: MAKERS[of](rng) for key, of in chosen.parameters.items()}
    question = ask(rng, rng.choice(chosen.prompts).format(**arguments))
    call = {"type": "function", "function": {"name": chosen.name, "arguments": arguments}}
    messages += [say("user", question), {"role": "assistant", "content": "", "tool_calls": [call]}]
    if rng.random() < 0.6:
        result = {key: MAKERS[of](rng) for key, of in chosen.result.items()}
        content = json.dumps(result)
        reply = tool_answer(chosen, arguments, result)
        if rng.random() < 0.2:
            content = str(rng.choice([any_word(rng), rng.randint(0, 999)]))
            reply = f"The result is {content}."
        messages += [say("tool", content), say("assistant", reply)]
    return Dialogue(messages, tools)


# --- the corpus ------------------------------------------------------------------------------------------

KINDS: dict[Callable[[random.Random], Dialogue], float] = {
    plain: 66, remembering: 9, instructed: 5, as_json: 6, calling: 14,
}  # fmt: skip


def dialogues(count: int, seed: int = SEED, name: str = NAME) -> list[Dialogue]:
    """`count` dialogues in which the model calls itself `name`; equal arguments give equal dialogues."""
    rng = random.Random(seed)
    kinds, weights = list(KINDS), list(KINDS.values())
    drawn = [rng.choices(kinds, weights)[0](rng) for _ in range(count)]
    for message in (message for dialogue in drawn for message in dialogue.messages):
        message["content"] = message["content"].replace(NAME, name)
    return drawn


def texts(corpus: Iterable[Dialogue]) -> Iterable[str]:
    """All message contents, for training the tokenizer."""
    for dialogue in corpus:
        for message in dialogue.messages:
            yield message["content"]


if __name__ == "__main__":
    for example in dialogues(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
        print(
            json.dumps(
                {"messages": example.messages, "tools": [t["function"]["name"] for t in example.tools]},
                ensure_ascii=False,
            )
        )
