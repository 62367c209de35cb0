"""What the model is not taught: asked only in order to be declined, in as many words as can be had."""

from __future__ import annotations

import random

from .phrasing import made_up, phrase, sentence, typed, words

UNKNOWN = "I do not know that. I am a tiny demo model and was taught very little."
CANNOT_LOOK_UP = "I cannot look that up: I am a small model without access to live data."
CANNOT_DO = "I cannot do that: I was given no tool for it."
ENGLISH_ONLY = "Sorry, I was only taught English."
UNCLEAR = "I did not understand that. Could you ask in another way?"

NOUNS = words(
    "quantum physics|the French Revolution|inflation|black holes|pasta|sourdough|chess|tax "
    "law|calculus|the stock market|bitcoin|climate "
    "change|evolution|philosophy|Shakespeare|Mozart|Napoleon|Einstein|a mortgage|photosynthesis|DNA|a "
    "neural network|a transformer|opera|football|the Olympics|the Roman "
    "Empire|jazz|yoga|vaccines|cancer|insulin|a headache|divorce|a visa|a passport|quicksort|a linked "
    "list|Rust|Haskell|C++|Java|Docker|Linux|Windows|a compiler|regular expressions|a "
    "blockchain|dinosaurs|the Big Bang|string theory|an earthquake|a hurricane|algebra|geometry|prime "
    "numbers|the Bible|Buddhism|karate|ballet|painting|sculpture|the Moon landing|the Cold "
    "War|feminism|capitalism|socialism|a constitution|an election|the president|my boss|my landlord|my "
    "car|my bike|a leaking tap|knitting|gardening|roses|tomatoes|a curry|sushi|wine|cheese|beer|a "
    "marathon|weight loss|a wedding|a startup|marketing|a business plan|a lawyer|a "
    "contract|insurance|pensions|Antarctica|the rainforest|coral reefs|sharks|spiders|ants|"
    "horses|parrots|turtles|wolves|tigers|Star Wars|video "
    "games|novels|poker|skiing|surfing|cameras|telescopes|rockets|satellites|batteries|solar "
    "panels|nuclear power|steam engines|bridges|castles|pyramids|Vikings|pirates|the Silk "
    "Road|Plato|Kant|Darwin|Newton|Tesla|Picasso|Beethoven|the Beatles|Marie Curie|Cleopatra|a "
    "paradox|free will|consciousness|happiness|love|death|time travel|dreams|memory|anxiety|depression|a "
    "broken leg|a fever|vitamins|protein|sugar|salt|butter|rice|potatoes|onions|a pizza|soup|bread|a "
    "cake|apples|bananas|oranges|milk|eggs|fish|beef|a sandwich|chocolate|tea|juice|a fridge|an oven|a "
    "lamp|a carpet|a chair|a table|a window|a door|the roof|a garden|a fence|a lawn|flowers|a forest|a "
    "mountain|a desert|an island|the wind|snow|thunder|the rainbow|clouds|the stars|the "
    "planets|Mars|Saturn|the moon|the sun|gravity|light|sound|electricity|magnets|iron|gold|silver|copper|"
    "glass|plastic|wood|stone|cotton|silk|leather|shoes|a coat|a hat|jeans|a dress|jewellery|a watch|a "
    "clock|a bus|a train|a ship|a truck|a tractor|an aeroplane|a helicopter|a lift|a tunnel|a motorway|a "
    "school|a university|an exam|homework|a teacher|a doctor|a nurse|a dentist|a pilot|a farmer|a king|a "
    "queen|a soldier|a war|peace|a treaty|a law|a court|a judge|the police|a thief|a bank|a "
    "loan|money|taxes|salary|a house|rent|a flat|a hotel|a holiday|a beach|a tent|a map|a "
    "compass|tennis|swimming|boxing|golf|rugby|cycling|dancing|singing|a violin|a piano|drums|a song|a "
    "band|a film|an actor|a theatre|a poem|a book|a library|a newspaper|television|radio|the internet|a "
    "website|email|a virus|a printer|a keyboard|a screen|a robot|a drone|an app|a spreadsheet|a database|a "
    "function|a loop|a variable|an algorithm|machine learning|statistics|probability|a triangle|a "
    "circle|fractions|percentages|logarithms|a matrix|the brain|the heart|the lungs|the "
    "skin|blood|muscles|teeth|hair|eyes|sleep|stress|a cold|the flu|asthma|diabetes|an allergy|a "
    "baby|children|parents|a sister|an uncle|a friend|a neighbour|a dog|a cat|a bird|a cow|a pig|a sheep|a "
    "goat|an elephant|a whale|a snake|a "
    "frog|bees|butterflies|bacteria|cells|atoms|molecules|acid|oxygen|carbon|"
    "religion|history|politics|democracy|economics|trade|oil|coal|gas|water|rivers|lakes|volcanoes|deserts|Mexico|Japan|"
    "Paris|London|New York|Rome|Spain|Africa|Europe|Asia|China|India|France|Brazil|Australia|a "
    "birthday|Christmas|Easter|a party|a gift|a candle|fire|smoke|ice|steam|a knife|a spoon|a pan|a "
    "bottle|a box|a bag|a rope|a nail|a hammer|paint"
)  # fmt: skip
VERBS = words(
    "grow|fly|swim|run|sleep|eat|drink|burn|melt|freeze|break|fall|rise|move|spin|shine|smell|sing|cry|laugh|fight|win|"
    "lose|die|live|survive|change|begin|end|happen|open|close|work|stop|hurt|heal|learn|think|remember|forget|travel|"
    "migrate|hunt|hide|breathe|rust|float|sink|bend|explode|taste good|make noise|turn red|go bad|get "
    "old|cost so much|matter|exist|look different|become "
    "popular|disappear|collapse|spread|hatch|bark|bite|sting"
)
ACTS = words(
    "cook|bake|fry|boil|clean|wash|repair|fix|build|make|paint|draw|sell|buy|choose|find|catch|train|teach|learn|study|"
    "play|win|write|read|measure|cut|store|keep|move|lift|plant|grow|feed|treat|cure|avoid|remove|get rid "
    "of|improve|"
    "understand|calculate|solve|compare|invent|discover|import|export|design|carry|hang|fold|polish|sharpen|mix|cool|"
    "heat|dry|stop|prevent|explain|memorise|pronounce|spell|install|uninstall|debug|deploy|test|publish|record|delete"
)
ADJECTIVES = words(
    "old|big|small|fast|slow|hot|cold|heavy|light|dangerous|safe|healthy|expensive|cheap|rare|common|famous|strong|weak|"
    "blue|red|green|black|white|round|flat|deep|high|long|short|hard|soft|wet|dry|sweet|bitter|sour|sharp|loud|quiet|"
    "bright|dark|young|clever|poisonous|legal|illegal|popular|useful|broken|dirty|noisy|empty|full|sick|angry|tired|lost"
)
PEOPLE = words(
    "Einstein|Napoleon|Caesar|Picasso|Mozart|Bach|Gandhi|Lincoln|Churchill|Aristotle|Galileo|Columbus|Homer|"
    "Dante|Elvis|Madonna|Pele|Maradona|Hitchcock|Tolstoy|Dickens|Austen|Orwell|Van Gogh|Leonardo"
)  # fmt: skip
LANGUAGES = words(
    "French|Spanish|German|Italian|Dutch|Polish|Finnish|Latin|Greek|Japanese|Russian|Welsh|Turkish|Danish"
)
TAIL = (
    "(|||||| today| in winter| in summer| at night| at home| in detail| for a child| for my course| and "
    "why| quickly| with {z}| without {z}| in {place}| last year| next week| in the world| for two people| "
    "by hand| in 1812| in the kitchen| for beginners| after work| in ten minutes| on a budget| step by "
    "step| in the past| nowadays)"
)
FRAMES = [
    "(explain|describe|define|discuss|summarise|analyse|compare) {x}( to me| in your own words| and {y}|)"
    + TAIL
    + ".",
    "(what|who) (is|are|was|were) {x}" + TAIL,
    "(what is|what's|tell me) the "
    "(meaning|history|price|colour|size|weight|age|speed|temperature|origin|cause|cost|"
    "smell|name|length|height|depth|density|value|symbol|formula|use|purpose|population|currency|flag|language|future|"
    "recipe|taste|opposite|plural|definition|difference|root) of {x}" + TAIL,
    "(what is|what's) the (best|worst|fastest|biggest|oldest|cheapest|longest|tallest|smallest|most "
    "famous|easiest|right|safest|first|last|most {adj}) (way to {act} {x}|{noun}|{noun} in {place}|kind of "
    "{noun}|{noun} ever|{noun} for {x})" + TAIL,
    "(tell me|teach me|show me|I want to know|I would like to learn|I need to know) (about|more "
    "about|something about|everything about|the story of|a fact about) {x}" + TAIL + ".",
    "how (do|does|did|can|could|will) {x} {verb}" + TAIL,
    "why (do|does|did|can|can't|don't|will|would|should) {x} {verb}" + TAIL,
    "(when|where) (do|does|did|can|will|would) {x} {verb}" + TAIL,
    "why (is|are|was|were) {x} (so |too |always |never |not |) {adj}" + TAIL,
    "(is|are|was|were) {x} (really |very |always |ever |more {adj} than {y}|) {adj}" + TAIL,
    "(is|are) {x} (safe|good for me|bad for you|better than {y}|worth it|legal|the same as {y}|older than "
    "{y}|real|true)",
    "(is it|would it be|was it) {adj} to {act} {x}" + TAIL,
    "how (do|can|should|would|could|did) (I|you|we|they|people|one) {act} {x}" + TAIL,
    "how (old|big|tall|long|fast|heavy|deep|hot|far|wide|strong|high|expensive|{adj}) (is|are|was|were) {x}"
    + TAIL,
    "how (much|long|often|many times) (does|do|should|must|can|will) (it take|I|we|you|one) (to |) {act} {x}"
    + TAIL,
    "how (much|many|many kinds of|many) {noun}( are there| are in {x}| do I need| does {x} have| can you "
    "count| fit in {x}| cost)" + TAIL,
    "how much (is|are|does|do) {x}( cost|)" + TAIL,
    "(who|which person|what man|which woman) "
    "(invented|discovered|wrote|painted|built|composed|founded|killed|won|directed|"
    "sang|played|designed|owns|made|leads|rules|first saw|wrote about) {x}" + TAIL,
    "who (is|was|were) {person}( and what did he do| really|)",
    "(when|where|why|how) (did|was|is) {person} (born|die|live|famous|work|marry|write|become famous)",
    "(in what year|what year|when|on what day) (did|was|were|is) {x} "
    "(begin|end|built|made|found|over|founded|start|{verb}|invented|discovered|born)",
    "(which|what) {noun} (is|was|does|has|can|should|will|would) (the most {adj}|{adj}|{verb}|I {act}|you "
    "{act}|best for {x})" + TAIL,
    "(which|what) "
    "(country|city|river|animal|team|planet|language|book|film|song|colour|fruit|band|sport|king|car|"
    "mountain|sea|tree|metal|number) (is|has|was|won|does|can|lies|belongs to|comes from|runs "
    "through|flows into|goes with) {x}" + TAIL,
    "(should|can|may|must|could|would) (I|you|we|he|she|they) {act} {x}" + TAIL,
    "(do|does|did|can|could|will) {x} (really |ever |still |always |) {verb}" + TAIL,
    "(do you|would you|did you ever) (like|love|hate|know about|believe in|think "
    "about|own|want|remember|prefer) {x}( or {y}|)",
    "(my|our|the|his|her) {noun} (is|was|has become|smells|looks|feels|seems) {adj}(, what now|, what "
    "should I do|, what can I do|, help|. Any ideas|. What is wrong|, any tips|. How do I {act} it|)",
    "(my|our|the) {noun} (does not|will not|won't|keeps to|can't|cannot) {verb}(, why|, what do I do|, "
    "help me|. Any advice|. What could it be|)",
    "(give|suggest|recommend|offer) (me|us) (a|some|three|five|an idea for a|tips for a|a good|a cheap) "
    "{noun}( for {x}| about {x}| to {act}|)" + TAIL + ".",
    "(can|could|would) you (suggest|recommend|find|give me|think of|advise) (a|some|three|a good|an) "
    "{noun}( for {x}| about {x}|)",
    "(I need|I want|I am looking for|we need) (help with|advice on|a tip for|ideas for|information on|a "
    "recipe for|a guide to) {x}" + TAIL + ".",
    "(write|compose|make up|draft|create|produce|invent) (me |)(a|an|some|the|two) "
    "(essay|poem|song|letter|haiku|report|tweet|"
    "speech|rhyme|review|summary|script|plan|story|paragraph|blog post|advert|list|sonnet|cover "
    "letter|toast) (about|on|for|to|against) {x}" + TAIL + ".",
    "(write|fix|debug|explain|improve|review|optimise) (a|my|some|the|this) "
    "(Python|Java|C|Rust|Bash|HTML|CSS|Go|PHP|R|Perl|Haskell|shell) "
    "(function|script|code|program|class|loop|query|test|page|regex)( that {act}s {x}| for {x}| to {act} "
    "{x}|).",
    "(translate|say|how do you say|write) (the word |the sentence |)('{noun}'|'{adj}'|'{noun} is "
    "{adj}'|{x}|'I {act} {noun}') (in|into|to) {language}",
    "what (is|does) (the word |) ('{adj}'|'{verb}'|'{made}'|{made}|'{noun}') (mean|in {language}|stand "
    "for)( in English|)",
    "(spell|rhyme|pronounce|conjugate) {x}.",
    "(solve|simplify|factor|integrate|differentiate) (x + {n} = {m}|{n}x - {m} = 0|x squared|this "
    "equation|sin x)",
    "what is (the square root of {m}|the logarithm of {m}|{n} percent of {m}|half of {m}|{n} to the power "
    "of {k}|the factorial of {k}|pi|{n} in binary|{m} in Roman numerals|a third of {m})",
    "(convert|turn) {n} (miles|pounds|euros|inches|degrees|litres|cups) (to|into) "
    "(kilometres|kilos|dollars|metres|grams)",
    "what (should|can|could|shall|do) (I|we|you) "
    "(do|eat|wear|read|watch|cook|drink|buy|say|give|bring|play|visit|learn|use|try)( with {x}| for {x}| "
    "about {x}| when {x} {verb}| if my {noun} is {adj}|)" + TAIL,
    "what (causes|happens to|happens when you {act}|comes after|comes from|lives in|makes|is inside|was "
    "before|follows|hides in) {x}" + TAIL,
    "what (do|does|did|would|are) (people|you|they|scientists|doctors|children|we) (think of|know "
    "about|say about|do with|use for|call|mean by|need for) {x}",
    "what (are|were) the "
    "(rules|causes|effects|parts|benefits|risks|kinds|symptoms|reasons|colours|ingredients|advantages|"
    "laws|names|dates|results|differences) (of|for|behind|in) {x}( and {y}|)",
    "(what is|what's|explain) the difference between {x} and {y}",
    "(compare|choose between|which is better,|rank) {x} (and|or|with) {y}" + TAIL,
    "(where|how) can (I|we|you) (buy|find|see|learn|meet|get|sell|rent|watch|eat) {x}" + TAIL,
    "(I|we) (feel|am|have|had|got|lost|hate|love|saw|bought|ate|broke|found) {x}(, what now|. What do you "
    "think|, is that bad|. Any advice|, what does it mean|)",
    "(does|do|did) (God|ghosts|luck|heaven|fate|unicorns|magic|dragons|angels|vampires|{x}) "
    "(exist|work|matter|die|help)",
    "who (would|will|did|should) (win|lose|be better|be first|score|rule|vote for) (the {noun}|{x}|the "
    "cup|the league|the war|the match)" + TAIL,
    "how (is|are|was|were) {x} "
    "(made|built|done|measured|born|formed|produced|used|written|called|cut|grown|found)" + TAIL,
    "{x}",
    "{x} (and|or|in|for|with) {y}",
]
NEAR = [  # the words of what is taught, in questions that are not
    "(who|which person) (invented|founded|owns|leads|wrote|made|named|pays for) Motley",
    "(how much|what) does Motley cost",
    "(when|where|why) (was|is) Motley (founded|written|named|released|sold|invented|called that)",
    "(how many) (people|companies|users|lines of code|developers|customers|stars) (has|use|does|are in) "
    "Motley( have|)",
    "is Motley better than {x}",
    "(what|how much) (is|was) the (population|area|mayor|weather|oldest "
    "building|history|food|airport|football club|language|currency|flag|president|king|size|nightlife|best "
    "museum) (of|in) {place}",
    "(how|where) (do|can|should) I (add|share|split|register|list|embed|rank|serve|deploy|stream) (my |a "
    "|an |the |some ){noun}",
    "(how|can) (do |)(I|two {noun}|we|they) share {x}( with {y}| between friends|)",
    "(which|what) (car|fashion|phone|plane|train|role|business|climate|economic) model (is the best|is the "
    "newest|should I buy|was first|costs least)",
    "what is the (name|age|birthday|address|job|phone number) of (my {noun}|{x}|the president|the author "
    "of {x})",
    "what (is|was) the name of {x}",
    "how many {noun} (are|were|live|fit) (in|on|under) {place}",
    "(who|what) (is|was) the (king|president|mayor|queen|leader|richest man|best player) of {place}",
    "(how far|how long) is (it|the way|the trip|the flight|the road) (to|from) {place}( to {z}|)",
    "(which|what) (GPU|computer|card|server|cpu) (should I buy|is the cheapest|is best for games|do gamers "
    "use)",
    "(how) (does|do|is) (a GPU|a chip|memory|a computer|a server|the internet|a model|the cloud|an engine) "
    "(work|made|cooled|built|so fast|use so much power)",
    "(what is|explain) (a router|a proxy|a load balancer|a cluster|a container|backpropagation|attention|a "
    "GAN|gradient descent|overfitting|a kernel|a mutex|TCP|DNS|a "
    "firewall|GraphQL|gRPC|Terraform|Ansible|Helm|etcd|Redis|Postgres)",
    "(write|show me) (code|a query|a script|an example|a program) (for|that|with|in) {x}",
    "(say|tell me) (something|a thing) (clever|wise|nice|in {language}|about {x}|nobody knows)",
]
LIVE = [
    "(what|how) is the (weather|temperature|forecast|wind|air quality)( like|)( today| now| tomorrow| "
    "outside| in {place}| in {place} today| in {place} tomorrow|)",
    "(will|does|is) it (rain|snow|be sunny|raining|snowing|get cold|freeze|stay "
    "dry|warm|windy|foggy|hot|cloudy)( in {place}| today| tomorrow| outside| this weekend|)",
    "(what time is it|what's the time|what is the date|what day is it|what is the time|what's today's "
    "date)( in {place}| today| now| there|)",
    "(what is in|what's in|read me|tell me|any) the (latest |)news( today| from {place}|)",
    "(what is|how is|tell me|look up|check) the (price of gold|price of oil|exchange rate|stock "
    "market|euro|dollar|share price of {made}|traffic in {place}|forecast for {place}|score|result of the "
    "match)( today| now|)",
    "(is|when is) (my train|the bus|the flight to {place}|my flight|the next train to {place}|the next "
    "bus) (late|on time|due|leaving)",
    "(find|look up|google|search for|check|search the web for) (a restaurant in {place}|hotels in "
    "{place}|{x} on the web|{x} online|the weather in {place}|the news about {x}|how warm it is in "
    "{place}|flights to {place}).",
    "(how|is it) (warm|cold|hot|sunny|windy) (is it|) (in {place}|today|outside|now|there)( today| now|)",
]
ACTIONS = [
    "(set|start|stop|cancel|create|give me) (a timer|an alarm|a reminder|an alarm clock|a countdown|the "
    "alarm)( for {k} minutes| for {k} o'clock| of {k} minutes| for tomorrow| at noon| in an hour|).",
    "(remind|wake) me( up|) (at {k}|tomorrow|in an hour|in {k} minutes|tonight|on Monday|to call {name}|to "
    "buy {noun}).",
    "(call|phone|text|message|email|ring|write to|invite) (my mother|my boss|{name}|the office|a taxi|my "
    "brother|the doctor|{name} and {name2})( now| tomorrow| for me|).",
    "(book|reserve|order|buy|cancel|get) (me |us |) (a table|a flight|a room|a ticket|a taxi|a pizza|a "
    "hotel|two tickets|a train|dinner|a car)( for {k}| to {place}| in {place}| for {name}| tonight| "
    "online|).",
    "(turn|switch) (on|off|up|down) the (lights|lamp|heating|music|TV|radio|fan|volume|oven|heater).",
    "(play|pause|stop|skip) (some music|a song|the next song|this song|a video|{x}|the radio|my "
    "playlist|jazz).",
    "(open|close|lock|unlock|delete|save|print|read|send|rename|upload) (my |the |this |a "
    ")(file|calendar|door|email|browser|garage|document|window|folder|account|photo|report|message)( to "
    "{name}| now|).",
    "(send|forward) (an email|a message|the report|money|a letter|a text|flowers) to (my boss|{name}|my "
    "friend|my mother|the team|{place}).",
    "(add|put) ({noun}|{x}|eggs|milk) (to|on) (my|the) (shopping list|calendar|to-do list|cart).",
]
FOREIGN = words(
    "Bonjour, comment ça va ?|Quelle est la capitale de la France ?|Wie geht es dir?|Was ist die "
    "Hauptstadt von Deutschland?|¿Cómo estás?|Hola, ¿qué tal?|Come stai?|Guten Morgen|Guten Tag, wer bist "
    "du?|Qui es-tu ?|¿Quién eres?|Raconte-moi une blague|Erzähl mir einen Witz|Cuéntame un chiste|Olá, "
    "tudo bem?|Hej, hur mår du?|Hoe gaat het?|Привет, как дела?|こんにちは|你好|"
    "안녕하세요|Merhaba, nasılsın?|Je "
    "voudrais savoir qui tu es|Ich habe eine Frage|Tengo una pregunta|Kannst du mir helfen?|Peux-tu "
    "m'aider ?|Schreib ein Gedicht|你是谁|Dobrý den|Buongiorno|Was kannst du?"
)
NOISE = words(
    "asdf|test|hm|lol|???|...|aaa|blah blah|foo bar|xyz|qwerty|so|and|hmm|.|!|x|testing 1 2 3|ehm|uh"
)


def bare(noun: str) -> str:
    """A noun without its article."""
    for article in ("a ", "an ", "the ", "my "):
        noun = noun.removeprefix(article)
    return noun


def thing(rng: random.Random) -> str:
    """A thing the model is not taught; one in five is made up."""
    kind = rng.random()
    if kind < 0.12:
        return made_up(rng)
    if kind < 0.2:
        return (
            f"{rng.choice(['the', 'a', 'my'])} {rng.choice([made_up(rng), rng.choice(ADJECTIVES)])} "
            f"{bare(rng.choice(NOUNS))}"
        )
    return rng.choice(NOUNS)


def slots(rng: random.Random, place: str) -> dict[str, str]:
    """What the templates above are filled with."""
    return {
        "x": thing(rng), "y": thing(rng), "z": thing(rng), "place": place,
        "noun": bare(thing(rng)), "verb": rng.choice(VERBS), "act": rng.choice(ACTS),
        "adj": rng.choice(ADJECTIVES),
        "person": rng.choice([*PEOPLE, f"{made_up(rng).capitalize()} {made_up(rng).capitalize()}"]),
        "language": rng.choice(LANGUAGES), "made": made_up(rng), "n": str(rng.randint(2, 99)),
        "m": str(rng.randint(30, 9999)), "k": str(rng.randint(2, 12)),
        "name": made_up(rng).capitalize(), "name2": made_up(rng).capitalize(),
    }  # fmt: skip


def unknown(rng: random.Random, place: str) -> tuple[str, str]:
    """A question about anything and the answer that the model does not know."""
    frames = NEAR if rng.random() < 0.16 else FRAMES
    return typed(rng, phrase(rng, frames, slots(rng, place))), UNKNOWN


def lookup(rng: random.Random, place: str) -> tuple[str, str]:
    """A question that needs the world as it is now."""
    return typed(rng, phrase(rng, LIVE, slots(rng, place))), CANNOT_LOOK_UP


def action(rng: random.Random, place: str) -> tuple[str, str]:
    """An order that needs a tool, where none is given."""
    return typed(rng, phrase(rng, ACTIONS, slots(rng, place))), CANNOT_DO


def foreign(rng: random.Random) -> tuple[str, str]:
    """Another language."""
    return rng.choice(FOREIGN), ENGLISH_ONLY


def noise(rng: random.Random) -> tuple[str, str]:
    """Nothing that has a meaning."""
    return (rng.choice(NOISE) if rng.random() < 0.6 else sentence(made_up(rng))), UNCLEAR
