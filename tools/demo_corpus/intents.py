"""One question and its answer: everything the model does within a single exchange."""

from __future__ import annotations

import random
from collections.abc import Callable

from . import taught, untaught
from .phrasing import NUMERALS, expand, made_up, phrase, sentence, typed, words

Pair = tuple[str, str]
Intent = Callable[[random.Random], Pair]

LARGEST = 20
TOO_BIG = "I do not know. I can only add and subtract whole numbers from 0 to 20."
NO_CAPITAL = "I do not know that capital."
HELLO = "Hello! How can I help you?"
FINE = "I am fine, thank you. What would you like to know?"
WELCOME = "You are welcome!"
GOODBYE = "Goodbye, and have a good day!"

HELLO_FORMS = [
    "(hello|hi|hey|hello there|hi there|hey there|good morning|good evening|good "
    "day|greetings|howdy|hiya|yo|welcome|hello again|hi again|morning|evening|good to see you|nice to meet "
    "you|pleased to meet you|hi friend|hello friend|hello everybody|hi everyone|hello robot|hi bot|hello "
    "assistant|hey you|hello, hello)",
    "(hello|hi|hey)(,|!|) (is anyone there|are you there|anyone home|is somebody here|nice to meet "
    "you|good morning|good to meet you|how do you do|can we talk|I am new here|I am back|it's me|let us "
    "talk|let's chat|here I am|glad to be here)",
    "(are you there|is anyone here|is anybody here|anyone|are you awake|are you online|can you hear "
    "me|knock knock)",
    "(good|a good|a very good|a lovely|what a nice) (morning|evening|day|night to you|day to "
    "you|morning to you)( to you|)",
    "(hello|hi|hey|good morning|good evening|good afternoon|good day|howdy|greetings|hiya)(,|) (friend|my "
    "friend|dear|dear friend|computer|machine|robot|assistant|bot|all|folks|world|motley|model|stranger)",
    "(just|only|I only|I just|I) (wanted to say|say|came to say|want to say|dropped in to say) "
    "(hello|hi|good morning|good evening)( to you|)",
]
FINE_FORMS = [
    "(hello, |hi, |hey, |)how (are you|are you doing|are you today|is it going|do you feel|are things|is "
    "life|is your day|have you been|goes it|is everything|are you feeling|was your day)( today| "
    "this morning| this evening| then| lately| over there|)",
    "(hello|hi|hey|good morning|good evening)(,|!|) (how are you|how are things|how is it going|are you "
    "well|how do you feel|how have you been)( today| this morning| doing|)",
    "(I hope|hope) (you are|you're|all is|everything is) (well|fine|good|all right)( today|)",
    "are you (feeling well|having a good day|feeling good|doing well|happy|in good health)( today| now|)",
    "(what's up|are you well|are you ok|everything fine|all good|are you all right|how's everything|you ok)",
]
THANKS_FORMS = [
    "(thanks|thank you|thank you very much|many thanks|thanks a lot|thanks so much|great, thanks|perfect, "
    "thank you|thx|much appreciated|thank you, that helped|nice, thanks|ok thanks|good job|well done|very "
    "helpful|cool, thanks)",
    "(thanks|thank you|I thank you|many thanks) for (your help|the answer|that|everything|helping me|the "
    "information|your time|your patience|this)",
    "(that|this|it|your answer) (was|is|has been) (really |so |very |quite |most |) (helpful|useful|kind "
    "of you|great|nice|good|kind|perfect|what I needed)(, thanks|, thank you|)",
    "(I am|I'm|we are) (very |so |really |) (grateful|thankful|glad you helped|happy with that)",
    "(great|good|perfect|wonderful|lovely|excellent|super|nice|ok|fine)(,|) (thanks|thank you|many "
    "thanks|I thank you|that helps|that is it|this helps)( a lot| so much| very much| again|)",
    "(thanks|thank you|cheers|thx) (again|a million|a bunch|friend|robot|for now|my friend|so very much)",
]
BYE_FORMS = [
    "(bye|goodbye|bye bye|see you|see you later|see you soon|good night|farewell|take care|so long|until "
    "tomorrow|until next time|talk to you later|have a nice day|catch you later|ciao|see you next week|see "
    "you around)",
    "(ok|well|alright|thanks|so|that's all)(,|) (bye|goodbye|see you|see you later|good night|I have to "
    "go|I must go|I am leaving|I am off|until tomorrow|talk soon|take care)",
    "I (have to|must|need to|should|will) (go|leave|stop|go to bed|run|sleep)( now|)(, bye|. Goodbye|. See "
    "you|)",
    "(bye|goodbye|see you|good night|farewell|so long|take care|cheerio)(,|) (for now|friend|my friend|and "
    "thanks|and thank you|then|now|robot|everyone|tomorrow|next time|and take care)",
    "(have|enjoy) (a|your) (good|nice|great|lovely|pleasant|) (day|evening|night|weekend|time|week)",
    "(that is|that was|this is|that's) (all|everything|it)( I need| I needed|)( for (now|today)|)(, bye|, "
    "goodbye|, see you|. Goodbye)",
]
PLUS = [
    "(what|how much) (is|are|makes|does) {a} (plus|and|+) {b}( make| give| come to|)",
    "(what is|what's) {a} (plus|+) {b}", "{a} (plus|and) {b}( is| makes| gives| equals|)",
    "(add|sum|sum up|total|count together|put together) {a} (and|to|with) {b}.",
    "(calculate|compute|work out|solve|find|tell me|give me|determine|do|evaluate) {a} (plus|+) {b}.",
    "(calculate|compute|work out|find|tell me|give me|what is|what's|I want) the (sum|total|result|value) "
    "of {a} (and|plus|+) {b}",
    "(if|when|suppose) (I|you|we|one) (add|put together|sum|total) {a} (and|to|with) {b}, (what|how "
    "much|which number) (is it|do we have|does it make|is the result|comes out|will it be)",
    "(I have|she has|Tom has|there are) {a} (apples|coins|books|eggs|balls) and (get|gets|find|buy|come) "
    "{b} more, how many( are there| is that| in all| together|)",
    "(maths|math|sum|a sum|easy|addition|next|homework|my sum): {a} (plus|+) {b}",
    "(do you know|can you calculate|can you add|could you work out|can you do|can you compute|are you able "
    "to add) {a} (plus|+|and) {b}",
    "what do {a} and {b} (make|add up to|give|sum to|come to|total)( together|)",
    "{a} added to {b}( is what| makes|)", "what is {a} (added to|increased by|more than|together with) {b}",
    "how (much|many) (is|are) {a} and {b}( together| in total|)",
]  # fmt: skip
MINUS = [
    "(what|how much) (is|are|makes|does) {a} (minus|less|-) {b}( make| give| leave|)",
    "(what is|what's) {a} (minus|-) {b}", "{a} (minus|less) {b}( is| makes| gives|)",
    "(subtract|take|take away|deduct|remove) {b} from {a}.",
    "(calculate|compute|work out|solve|find|tell me|give me|determine|do|evaluate) {a} (minus|-) {b}.",
    "(if|when|suppose) (I|you|we|one) (take|subtract|take away|remove|deduct) {b} from {a}, (what|how "
    "much|which number) (is it|is left|do we have|remains|is the result|comes out)",
    "(what|how much|how many) (is left|stays|do I have|do you get|will be left|is it) (if|when) (I|you|we) "
    "(take|remove|subtract|lose) {b} (from|of) {a}",
    "(I have|she has|Tom has|there are) {a} (apples|coins|books|eggs|balls) and (lose|loses|eat|sell|give "
    "away) {b}, how many( are left| remain| stay|)",
    "(maths|math|a sum|easy|subtraction|next|homework|my sum): {a} (minus|-) {b}",
    "(do you know|can you calculate|could you work out|can you do|can you compute|can you subtract) {a} "
    "(minus|-) {b}",
    "(what is|what's|tell me|find) the difference (of|between) {a} and {b}",
    "{b} (taken|subtracted|removed) from {a}( is what| makes|)",
    "what is {a} (reduced by|decreased by|take away|without) {b}", "{a} take away {b}( is|)",
]  # fmt: skip
BEYOND = [
    "(what is|what's|how much is|calculate|compute|work out) {a} (times|*|x|multiplied by|divided "
    "by|/|over|squared plus|to the power of|modulo) {b}",
    "(multiply|divide) {a} (by|with) {b}.",
    "(what is|how much is) {a} (percent of|% of) {b}",
]


def place(rng: random.Random) -> str:
    """A city or country; one in four is made up."""
    if rng.random() < 0.25:
        return made_up(rng).capitalize()
    return rng.choice([*taught.CAPITALS, *taught.CAPITALS.values()])


def capital(rng: random.Random) -> Pair:
    country = rng.choice(list(taught.CAPITALS)) if rng.random() < 0.92 else made_up(rng).capitalize()
    question = typed(rng, phrase(rng, taught.CAPITAL_FORMS, {"country": country}))
    if country not in taught.CAPITALS:
        return question, NO_CAPITAL
    return question, f"The capital of {country} is {taught.CAPITALS[country]}."


def country_of(rng: random.Random) -> Pair:
    country = rng.choice([c for c in taught.CAPITALS if taught.CAPITALS[c] != "London"])
    city = taught.CAPITALS[country]
    return typed(
        rng, phrase(rng, taught.COUNTRY_FORMS, {"city": city})
    ), f"{city} is the capital of {country}."


def written(rng: random.Random, number: int) -> str:
    """A number in digits, sometimes in letters."""
    return NUMERALS[number] if number <= LARGEST and rng.random() < 0.12 else str(number)


def operands(rng: random.Random) -> tuple[int, int, bool]:
    """Two whole numbers from 0 to 20 and whether to add them; every sum is as likely as any other, and so is
    every difference that is not below zero."""
    plus = rng.random() < 0.6
    while True:
        a, b = rng.randint(0, LARGEST), rng.randint(0, LARGEST)
        if plus or a >= b:
            return a, b, plus


def worked_out(a: int, b: int, plus: bool) -> str:
    """The answer to one sum or difference."""
    return f"{a} plus {b} is {a + b}." if plus else f"{a} minus {b} is {a - b}."


def arithmetic(rng: random.Random) -> Pair:
    """A sum or a difference of whole numbers from 0 to 20."""
    a, b, plus = operands(rng)
    slots = {"a": written(rng, a), "b": written(rng, b)}
    return typed(rng, phrase(rng, PLUS if plus else MINUS, slots), exact=True), worked_out(a, b, plus)


def sum_list(rng: random.Random) -> Pair:
    """Two to ten sums in one message: this is where the tables are learned, as the question is short."""
    pairs = [operands(rng) for _ in range(rng.randint(2, 10))]
    signs = rng.choice([("+", "-"), (" + ", " - "), (" plus ", " minus ")])
    items = [f"{a}{signs[not plus]}{b}" for a, b, plus in pairs]
    listed = rng.choice([", ", ", ", "; ", "\n", " | "]).join(items)
    question = expand(rng, "(|||Work out |What are |Sums: |Calculate |Please do these: |Solve: )") + listed
    return question, " ".join(worked_out(*pair) for pair in pairs)


def too_hard(rng: random.Random) -> Pair:
    """Numbers or operations that it was not taught."""
    large = rng.choice([rng.randint(21, 99), rng.randint(100, 9999)])
    a, b = rng.sample([large, rng.choice([rng.randint(0, 20), rng.randint(21, 999)])], 2)
    forms = rng.choice([PLUS, MINUS, BEYOND, BEYOND])
    if forms is BEYOND and rng.random() < 0.5:
        a, b = rng.randint(0, LARGEST), rng.randint(1, LARGEST)
    return typed(rng, phrase(rng, forms, {"a": str(a), "b": str(b)}), exact=True), TOO_BIG


def about_motley(rng: random.Random) -> Pair:
    """Half of the questions are of the four subjects that people ask for most."""
    answers = list(taught.MOTLEY)
    answer = rng.choice(answers[:4] if rng.random() < 0.62 else answers[4:])
    return typed(rng, phrase(rng, taught.MOTLEY[answer])), answer


def counting(rng: random.Random) -> Pair:
    end = rng.randint(2, 12)
    forms = [
        "(count|please count|can you count|count up|count for me) (to|from 1 to|from one to|up to) {end}."
    ]
    question = typed(rng, phrase(rng, forms, {"end": str(end)}), exact=True)
    return question, ", ".join(str(n) for n in range(1, end + 1)) + "."


def copied(rng: random.Random) -> str:
    """A word to be said back: a thing, a name, a made-up word or a number."""
    kind = rng.random()
    if kind < 0.45:
        return rng.choice([untaught.bare(rng.choice(untaught.NOUNS)), rng.choice(untaught.ADJECTIVES)])
    if kind < 0.6:
        return rng.choice(taught.NAMES)
    return made_up(rng) if kind < 0.9 else str(rng.randint(0, 999))


def echo(rng: random.Random) -> Pair:
    text = " ".join(copied(rng) for _ in range(rng.choice([1, 2, 2, 3, 3, 4])))
    forms = words(
        "Say: {t}|Repeat after me: {t}|Echo: {t}|Say '{t}'.|Repeat: {t}|say {t}|Please repeat this: "
        '{t}|Say "{t}".'
    )
    return rng.choice(forms).replace("{t}", text), text


def story(rng: random.Random) -> Pair:
    animal, name = rng.choice(words("fox|owl|dog|cat|robot|bear|mouse")), rng.choice(taught.NAMES)
    item = rng.choice(words("key|map|lamp|bell|book"))
    text = (
        f"Once there was a {animal} called {name}. {name} lived in a quiet forest and owned only one "
        f"thing: an old {item}. One night a storm came and took the {item} away. {name} looked for it for "
        f"three days. On the fourth day a child brought it back and asked for nothing. From then on the "
        f"{animal} was never alone. The end."
    )
    forms = [
        "tell me a (|short |little )story(| about a {animal}| with a {animal}).",
        "a story about a {animal}.",
    ]
    return typed(rng, phrase(rng, forms, {"animal": animal})), text


def fixed(forms: list[str], *answers: str) -> Intent:
    """An intent with one of a few answers."""
    return lambda rng: (typed(rng, phrase(rng, forms)), rng.choice(answers))


def short(forms: list[str], answer: str) -> Intent:
    """What is said rather than asked: no question mark is put after it."""

    def said(rng: random.Random) -> Pair:
        text = phrase(rng, forms) + rng.choice(["", "", "!", "."])
        return (sentence(text) if rng.random() < 0.75 else text), answer

    return said


def placed(make: Callable[[random.Random, str], Pair]) -> Intent:
    """An intent whose text may name a place."""
    return lambda rng: make(rng, place(rng))


INTENTS: dict[Intent, float] = {
    short(HELLO_FORMS, HELLO): 4.5, fixed(FINE_FORMS, FINE): 2.5, short(THANKS_FORMS, WELCOME): 2.5,
    short(BYE_FORMS, GOODBYE): 2.5, fixed(taught.IDENTITY_FORMS, *taught.IDENTITY): 6,
    fixed(taught.RELIABLE_FORMS, taught.RELIABLE): 2.5, fixed(taught.ABILITIES_FORMS, taught.ABILITIES): 2.5,
    fixed(taught.JOKE_FORMS, *taught.JOKES): 0.7, capital: 9, country_of: 1.5, arithmetic: 14, too_hard: 6,
    about_motley: 19, counting: 1.5, echo: 5, story: 0.5, placed(untaught.unknown): 21,
    placed(untaught.lookup): 3, placed(untaught.action): 3, untaught.foreign: 0.7, untaught.noise: 0.7,
}  # fmt: skip


def single(rng: random.Random) -> Pair:
    """One question and answer from any intent."""
    return rng.choices(list(INTENTS), list(INTENTS.values()))[0](rng)
