"""What the model is taught: capitals, Motley, itself, and the ways to ask for them."""

from __future__ import annotations

from .phrasing import table, words

NAME = "Motley Demo"
NAMES = words(
    "Ada|Adam|Aisha|Alex|Ali|Alice|Amir|Amy|Ana|Andre|Anna|Arun|Bea|Ben|Bob|Carla|Carlos|Chen|Chloe|Clara|"
    "Dana|Daniel|David|Diego|Elena|Elif|Ella|Emil|Emma|Erik|Eva|Fatima|Felix|Femi|Finn|Frank|Gina|Grace|Greta|"
    "Hana|Hassan|Helen|Henry|Hugo|Ian|Ida|Ines|Iris|Ivan|Jack|James|Jana|Jin|Joe|John|Jonas|Julia|Kai|Karen|"
    "Karin|Kate|Kofi|Lars|Laura|Lea|Leo|Lena|Lina|Linda|Liu|Luca|Lucy|Maria|Mark|Marta|Mary|Mateo|Max|Maya|"
    "Mia|Milo|Mohamed|Nadia|Nick|Nina|Noah|Nora|Olga|Olivia|Omar|Oscar|Otto|Paul|Paula|Pedro|Peter|Priya|"
    "Rana|Ravi|Rosa|Ruth|Sam|Sara|Sofia|Steve|Sven|Tara|Theo|Tim|Tina|Tom|Uma|Vera|Victor|Viktor|Wanda|Wei|"
    "Yuki|Yusuf|Zoe"
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
CAPITAL_FORMS = [
    "what(| is|'s) the capital( city| town|) of {country}",
    "what city is the capital of {country}",
    "which (city|town|place) is the capital( city|) of {country}",
    "which (city|town) (governs|is the main city of|is the government seat of) {country}",
    "(name|tell me|give me|say|find) the capital( city|) of {country}.",
    "(do you know|can you tell me|could you tell me|can you name) the capital( city|) of {country}",
    "(do you know|can you tell me|could you say|I want to know|remind me) what the capital( city|) of "
    "{country} is",
    "(the |)capital( city|) of {country}",
    "(what is|what's|tell me|name|give me) {country}'s capital( city|)",
    "{country}'s capital( city|)( is| is called| is named| is what|)",
    "{country} capital",
    "(where|in which city) is the( seat of the|) government of {country}",
    "in {country}, (what|which city) is the capital( city|)",
    "what is the capital called in {country}",
    "what do they call the capital of {country}",
    "(my teacher asked me|I have to know|I need|I am looking for|I can not remember|I do not remember) the "
    "capital( city|) of {country}.",
    "I (forget|need to know|would like to know|don't remember) which city is the capital of {country}.",
    "does {country} have a capital( city|)(, and which|)",
    "(is it true that|so|) {country} has a capital, (which one|what is its name|which city is it)",
    "(geography|trivia|test|homework|next question): (what is |)the capital of {country}",
    "the government of {country} sits in which (city|town)",
]
COUNTRY_FORMS = [
    "(which|what) country (has the capital {city}|is {city} (in|the capital of)|does {city} belong to)",
    "{city} is (the capital of|in) (which|what) country",
    "where is {city}( located|)",
    "of which country is {city} the capital",
    "(what|which) country's capital is {city}",
]
JOKES = [
    "Why did the server stay calm? It took one request at a time.",
    "Why was the robot tired? It had a hard drive home.",
    "What did the zero say to the eight? Nice belt!",
]
JOKE_FORMS = [
    "(tell|give) (me|us) (a|another|one|some|your best|a funny|a short) joke(s|).",
    "(do you know|have you got|got) (a|any|another|some|any good) joke(s|)",
    "(make me laugh|say something funny|a joke|another joke|joke|be funny|tell me something funny).",
    "I (want to laugh|need a laugh|want to hear a joke|would like a joke).",
]
IDENTITY = [
    f"I am {NAME}, a demo model with a few million parameters. I ship with Motley to show that it works.",
]
IDENTITY_FORMS = [
    "(who|what) are you( really| exactly| anyway| then|)",
    "(what is|what's|tell me|may I know|can I ask|say) your name(.|)",
    "(how|what) (should|do|can|may) I call you",
    "(what|how) are you called",
    "are you (called|named) (something|anything|ChatGPT|Claude|Siri|Alexa)",
    "have you( got|) (a|any) name",
    "(tell me|say|talk|write|I want to know) (something |a bit |a little |more |)about (yourself|you).",
    "(introduce|describe|present|explain) yourself( briefly| shortly| in a few words| in one line|).",
    "(what|which) (model|AI|bot|program|assistant|language model|system|version|llm)( am I using| is this| "
    "are you| do I talk to| is it| answers me| is answering|)",
    "(who|what) am I (talking|speaking|writing|chatting) (to|with)( here| now| today| exactly|)",
    "(with whom|to whom) (do I|am I) (talk|speak|talking|speaking)",
    "who is (this|there|talking|speaking|answering|on the line)",
    "(what|who) is (behind this|on the other side|at the other end)",
    "are you (a|some|really a|just a) (person|human|human being|man|woman|machine|robot|bot|program|computer|"
    "language model|chatbot|AI|model|real human|living person|large model|demo|demo model)",
    "are you (human|real|alive|artificial|an AI|a human or a machine|a bot or a human|ChatGPT|GPT|an "
    "OpenAI model|Llama|Claude|Gemini|Mistral|Qwen)",
    "(am I talking to|is this|is it|do I chat with) (a human|a person|a machine|a robot|an "
    "AI|ChatGPT|Claude|Llama|Gemini|Mistral|GPT-3|GPT-5|a bot|a demo|a real model|OpenAI|a large language "
    "model)",
    "(who|which company) (made|built|trained|created|wrote) you",
    "what kind of (model|AI|thing|machine|program|bot|assistant) (are you|is this)",
    "your name.",
    "identify yourself.",
    "how (big|large|small) are you",
    "how many parameters (do you have|have you got|does this model have|are in you)",
]
RELIABLE = "Please do not rely on me: I am a demo model with a few million parameters, and I am often wrong."
RELIABLE_FORMS = [
    "(can|should|may) I (trust|believe|rely on|depend on|use) (you|your answers|what you say|this|your "
    "words)",
    "(are you|is this|are your answers|is what you say) (always |ever |usually |really "
    "|)(right|accurate|reliable|correct|true|wrong|smart|clever|good|certain|sure|intelligent|dependable)",
    "how (good|reliable|accurate|smart|clever|correct|sure|exact|precise|often wrong) (are you|are your "
    "answers|is this model|is your knowledge)",
    "do you (ever |often |sometimes |)(make mistakes|make errors|lie|get things wrong|invent "
    "things|hallucinate)",
    "(can|should|may) I use you (in production|for work|for real work|in my product|for serious things)",
    "how (much|far) (can|should) (I|one|people) (trust|believe|rely on) (you|your answers|what you say|you "
    "say)",
    "is it (wise|safe|ok|good) to (trust|believe|rely on|use) (you|your answers)",
    "what (if|happens if) you are wrong",
]
ABILITIES = (
    "I can greet you, name capitals, do small sums, remember your name, call tools and tell you about Motley."
)
ABILITIES_FORMS = [
    "what (can|could) you (do|do for me|help with|help me with|answer|tell me|handle|offer)",
    "(how|with what|in what way) can you (help|help me|assist|assist me|be useful|serve me)",
    "what (do you know|are you able to do|are your skills|are your abilities|are you for|are you capable "
    "of|did you learn|were you taught|have you learned|do you do)",
    "(which|what|what kind of) (things|questions|tasks|topics|jobs) can (you|I) (do|answer|ask|ask "
    "you|give you|handle|solve|help with)",
    "(help|help me|I need help|I need some help|options|commands|menu|usage).",
    "(what|which) (things|topics|subjects|tasks) (do you know|are you made for|were you trained for|suit "
    "you|do you master|can you do well)",
    "(show me|tell me|list|describe) (what you can do|what you know|your skills|your abilities|what you "
    "are able to do|your talents).",
    "what (is|would be) (a good|a nice|the best) (question|thing) (for you|to ask you)",
    "what are your (strengths|talents|strong points|features|functions|limits)",
]

# --- Motley itself: an answer and the ways to ask for it ----------------------------------------------------

ITS = "(Motley|Motley|Motley|motley|this server|the gateway|this gateway|here)"
SERVE = "(serve|host|offer|run|use|load|deploy|have|get|provide|add|set up|try|install)"
A_MODEL = (
    "(a model|a model|a new model|another model|a second model|one more model|more models|a different "
    "model|an extra model|my model|my own model|some model|other models|new models|a chat model|a speech "
    "model|an embedding model|a Llama model|a Qwen model|a model from Hugging Face)"
)
MODELS = (
    "(models|two models|three models|several models|many models|more than one model|a few models|multiple "
    "models)"
)
A_GPU = (
    "(a GPU|a GPU|one GPU|the GPU|the same GPU|a single GPU|my GPU|one card|a graphics card|the same "
    "card|one graphics card|the same graphics card|a video card)"
)
A_PART = "(a part|half|a third|a quarter|a fraction|a piece|a share|a slice|30 percent|one half|50 %|some)"
MOTLEY: dict[str, list[str]] = {
    "Motley is a gateway: it serves chat, speech, embedding and rerank models on a fleet of GPUs behind one "
    "OpenAI-compatible endpoint.": [
        "what(| is|'s) (this |)Motley( about| exactly| actually| anyway| good for| used for| made for|)",
        "what (does|can|will) Motley( really| actually|) do( for me| for us| for my team| exactly|)",
        "(what|which) (kind|sort) of (thing|software|program|project|server|system|tool) is Motley",
        "(explain|describe|define|introduce|present|summarise|sum up) Motley( to me| briefly| in a few "
        "words| to a beginner| to my boss| to us| simply| in short| in two lines|).",
        "(tell|teach) (me|us) (about|more about|something about|what is|a bit about) Motley.",
        "(can|could|would) you (explain|describe|tell me about|introduce|say something about) Motley( to "
        "me| a bit| shortly|)",
        "(why|when|for what) (should|would|do|might|could) (I|we|one|people|anyone|a team) "
        "(use|need|want|choose|run|try|install|like) Motley",
        "(what|where) is the (point|purpose|use|idea|goal|aim|benefit|job|role) of Motley",
        "(I have never heard of|I am new to|I do not know|I read about|someone told me about|I just "
        "installed|I want to understand|I heard of) Motley(, what is it|. What is it|. Can you explain "
        "it|. What does it do|).",
        "what (happens|goes on|do I get) (in|with|inside) Motley",
        "(do you know|have you heard of|know) Motley",
        "(a|give me a|write a|I need a) (short |brief |quick |one-line "
        "|)(summary|description|overview|explanation|introduction|definition|idea) of (Motley|what Motley "
        "is|what Motley can do|what it is that Motley does).",
        "Motley( in one word| in short| in brief| in a nutshell| in a sentence|)",
        "who (uses|needs|is) Motley( for|)",
        "how does Motley (help|work|help me|help us)",
        "what (is the|are the) (software|program|server|gateway) (called |)Motley",
        "(what is|what's|explain) (this server|this gateway|this software|this project)",
    ],
    "Add a stanza for it to the fleet file, under models: its task, engine, source and place.": [
        f"(how|where) (do|can|could|should|must|would|may) (I|we|one|you) "
        f"(add|register|configure|declare|define|put|include|deploy|install|set up|bring|plug "
        f"in|publish|connect|insert|enter|introduce) {A_MODEL}( to {ITS}| in {ITS}| with {ITS}| here| on "
        f"{ITS}|)",
        f"how (do|can|could|should|must|would) (I|we|you|one) (make|let|get|have|teach|tell) {ITS} (to "
        f"|){SERVE} {A_MODEL}",
        f"(tell me|show me|explain|explain to me|describe|teach me) (how to|how I can|how you) "
        f"(add|register|deploy|set up|configure|declare|{SERVE}) {A_MODEL}( to {ITS}| in {ITS}| with "
        f"{ITS}|).",
        f"(I|we) (want|need|would like|wish|have|am trying|plan|intend) to (add|register|deploy|set "
        f"up|configure|{SERVE}) {A_MODEL}( to {ITS}| in {ITS}| with {ITS}|)(, how| how|, what do I do|, "
        f"what now|. How does it work|. How|, which steps|).",
        f"(how|where) (is|are) {A_MODEL} (added|registered|configured|declared|set up|defined|put)( in "
        f"{ITS}| here|)",
        f"what (do|must|should|can) (I|we) (do|change|edit|write|type|need) to (add|register|deploy|set "
        f"up|{SERVE}) {A_MODEL}( in {ITS}| with {ITS}| on {ITS}|)",
        f"(which|what|in which|in what) (file|config file|configuration|place|settings|document) "
        f"(do|must|should|does) (I|we|one) (edit|change|touch|open|write|use|update|need) to "
        f"(add|register|deploy|{SERVE}) {A_MODEL}",
        "(which|what) file (lists|names|holds|contains|describes|declares) the models",
        f"(adding|registering|deploying|setting up|installing) {A_MODEL}( to {ITS}| in {ITS}| with "
        f"{ITS}|)( how|)",
        f"(steps|instructions|guide|the steps|a guide) (to|for) "
        f"(add|adding|register|registering|deploy|deploying) {A_MODEL}.",
        f"(can|could|may) (I|we) (add|register|deploy|{SERVE}) {A_MODEL}( to {ITS}| in {ITS}| here|)(, and "
        f"how| and how|)",
        f"what is (the|a) (best way|way|procedure|first step|method|recipe) (to|for) "
        f"(add|adding|register|registering|{SERVE}) {A_MODEL}",
        "(my|the|our) model is (missing|not listed|not in Motley|not there|ready)(, how do I add it|. How "
        "do I add it|, where does it go|).",
        f"where (does|do) {A_MODEL} go( in {ITS}|)",
    ],
    "In the fleet file, give each model a part of the GPU, for example place: {node: box, share: 0.5}.": [
        f"(how|where) (do|can|could|should|must|would) (I|we|one|you) "
        f"(share|split|divide|partition|cut|slice|distribute) {A_GPU}( between {MODELS}| among {MODELS}| "
        f"across {MODELS}| with {MODELS}| in {ITS}|)",
        f"(how|can|could|may|do|will|would|might) {MODELS} (share|use|run on|live on|fit "
        f"on|split|occupy|work on|be put on|go on|stay on|be on|divide|divide up) {A_GPU}( together| at "
        f"once| at the same time| with {ITS}| in {ITS}|)",
        f"(can|could|may) (I|we|one|you) (run|put|place|have|fit|host|serve|load|keep|pack) {MODELS} on "
        f"{A_GPU}",
        f"how (do|can|could|should|must) (I|we|you) (run|put|place|fit|host|serve|load|pack|keep) {MODELS} "
        f"on {A_GPU}",
        f"how (do|can|could|should|must) (I|we|you) (give|assign|reserve|set|allocate|grant) (a model|each "
        f"model|my model|one model|every model|it) (only |just |) {A_PART} of {A_GPU}",
        f"(tell me|show me|explain|explain to me|describe) (how to|how I can) "
        f"(share|split|divide|partition) {A_GPU}( between {MODELS}| among {MODELS}|).",
        f"(I|we) (have|got|own|only have|have just|only got) {A_GPU}( and {MODELS}| for {MODELS}|)(, how|, "
        f"can they share it|. How do I share it|. Can it be shared|, how do I split it|, is that enough|. "
        f"Is it possible to split it|. What can I do).",
        f"(is|are) (it|sharing|a shared GPU|GPU sharing) (possible|allowed|supported)( to "
        f"(share|split|divide) {A_GPU}| on {A_GPU}| between {MODELS}|)( in {ITS}| with {ITS}|)",
        f"(does|can) {ITS} (support|allow|do|offer|let me do|let models) (GPU sharing|share "
        f"{A_GPU}|splitting {A_GPU}|shares of {A_GPU}|fractional GPUs|half GPUs|parts of a GPU)",
        f"(GPU sharing|sharing {A_GPU}|splitting {A_GPU}|how to share {A_GPU}|split {A_GPU}|share "
        f"{A_GPU}|fractional GPUs)",
        f"(what|where) (do|must|should|can) (I|we) (write|set|put|enter|type|configure|use) (so that|to "
        f"let|to make|if I want that) {MODELS} (share|use|run on|fit on) {A_GPU}",
        f"(I|we) (want|need|would like|wish) to (share|split|divide|partition|use) {A_GPU}( between "
        f"{MODELS}| among {MODELS}| for {MODELS}|).",
        "(what|which) (is the|does the|setting is the|key is the) (share|GPU share|share of a GPU|share "
        "setting|share key)( for| mean| do|)",
        "(where|on which GPU|how) do I (set|say|choose|pick|decide|write) (where|on what node|on which "
        "machine|on which GPU) a model runs",
    ],
    "All under /v1: chat/completions, audio/transcriptions, audio/speech, embeddings, rerank and models.": [
        "(which|what|how many) "
        "(endpoints|endpoint|routes|paths|URLs|APIs|addresses|calls|methods|requests) (do|does|can|are|"
        "will) (you|it|Motley|this server|the server|the gateway|there|the API) "
        "(have|support|offer|serve|provide|expose|answer|know|understand|take|accept|give)( here|)",
        f"(which|what) (endpoints|routes|paths|URLs|APIs|addresses) (are|exist|can I use|can I call|may I "
        f"use|are there|do I have|can be called|are served|are open|are supported|are offered|are on "
        f"offer)( in {ITS}| on {ITS}| here|)",
        "(list|name|show|show me|give me|tell me|enumerate|print) (all |all the |the |your |me the |every "
        "|me all |)(endpoints|endpoint|routes|API endpoints|paths|URLs|APIs|addresses|API routes).",
        "(what|which) (is|are) (the|your|all the|Motley's|its) (endpoints|routes|paths|API|URLs|available "
        "endpoints|API endpoints|addresses)",
        "(endpoints|routes|API endpoints|the endpoints|all endpoints|an overview of the endpoints|a list "
        "of routes|api paths|list of endpoints)",
        "(what|which) (parts|part|pieces|features) of the OpenAI API (do you|does Motley|does it|can you) "
        "(support|have|serve|cover|offer)",
        "(what|where) can I (call|send requests|post|send a request|reach)( on this server| here| in "
        "Motley| on Motley|)",
        "(where|how) (do|can) I (find|see|get) (the |a list of |all |)(endpoints|routes|the API|URLs)",
        "what (does|is in) (the API|your API|this API|Motley's API) (have|offer|look "
        "like|provide|contain|include|support|)",
    ],
    "Post your audio file and a model name to /v1/audio/transcriptions.": [
        "how (do|can|could|should) (I|we|one) (transcribe|turn|convert|change|recognise|write down) "
        "(audio|speech|a recording|an audio file|a voice message|sound|a wav file|an interview|spoken "
        "words)( to text| into text|)",
        "(where|to which endpoint|to what URL) (do|can|should|must) I (post|send|upload|put) (audio|my "
        "audio|a recording|an audio file|sound|speech|a voice memo)( for transcription| to transcribe it| "
        "to get text|)",
        "(what|which) (endpoint|route|path|URL|address) (is for|transcribes|does|makes|handles) "
        "(transcription|audio|speech to text|transcriptions|recordings|speech recognition)",
        "(speech to text|transcription|transcribe audio|audio to text|speech recognition)( how|)",
        "I (want|need|would like) to (transcribe|get the text of|have the text of) (audio|a recording|an "
        "audio file|speech).",
    ],
    "Post your text, a voice and a model name to /v1/audio/speech.": [
        "how (do|can|could|should) (I|we|one) (make|generate|get|create|synthesise|produce) (speech|a "
        "voice|audio|spoken words|sound)( from text| from a text| out of text|)",
        "how (do|can|could|should) (I|we|one) (turn|convert|change) (text|a text|words|my text) (to|into) "
        "(speech|audio|a voice|sound)",
        "(what|which) (endpoint|route|path|URL|address) (is for|does|makes|reads|handles) (speech|text to "
        "speech|speech synthesis|voices|reading text aloud)",
        "(text to speech|tts|speech synthesis|read text aloud)( how|)",
        "(where|how) can I (have|get) (a text|text|words) (read aloud|spoken|read out)",
    ],
    "Post your text and a model name to /v1/embeddings.": [
        "how (do|can|could|should) (I|we|one) (get|make|compute|create|generate|request|calculate) "
        "(embeddings|an embedding|vectors|text embeddings|the embedding of a text|sentence vectors)",
        "(what|which|where) (endpoint|route|path|URL|address|is the endpoint|is the route) (is "
        "for|gives|makes|returns|for|serves) (embeddings|vectors|an embedding|embedding text|the "
        "embeddings)",
        "(embeddings|embed text|embedding a text|text to vector)( how|)",
        "(where|how) (do|can) I embed (text|a text|a sentence|documents|my documents)",
        "I (want|need|would like) (embeddings|vectors|an embedding|to embed a text).",
    ],
    "Post a query and a list of documents to /v1/rerank.": [
        "how (do|can|could|should) (I|we|one) (rerank|order|sort|rank|score) (documents|texts|search "
        "results|results|my documents|passages)( by relevance| for a query|)",
        "(what|which) (endpoint|route|path|URL|address) (is for|does|makes|handles|serves) "
        "(reranking|ranking|rerank|ordering documents)",
        "(reranking|rerank|rerank documents|ranking documents)( how|)",
        "(where|how) (is|do I use|does) (rerank|reranking|the reranker)( done| work|)",
    ],
    "Post your messages and a model name to /v1/chat/completions.": [
        "how (do|can|could|should) (I|we|one) (chat|talk|speak|send a message|send messages) (with|to) (a "
        "model|the model|a chat model|models)( in code| over the API|)",
        "(what|which) (endpoint|route|path|URL|address) (is for|does|handles|serves|takes) "
        "(chat|chatting|messages|chat requests|completions|conversations)",
        "(where|how) (do|can|should) I (post|send) (chat|my|the|chat requests|) "
        "(messages|message|requests|prompt|question)",
        "(chat completions|chat endpoint|how to chat|chat API)",
    ],
    "Set stream to true in the chat request, and the answer comes in pieces.": [
        "how (do|can|could|should) (I|we|one) (stream|get|receive) (the answer|answers|tokens|the reply|a "
        "stream|a response|the output)( in pieces| token by token| as it comes|)",
        "(does|can|do) (Motley|you|it|the server|this) (support |do |)(streaming|stream|streams|stream "
        "answers)",
        "(streaming|stream|server-sent events|how to stream)( how|)",
    ],
    "Send a GET request to /v1/models.": [
        "how (do|can|could|should) (I|we|one) (list|see|find|get|show|look up) (the|all|all "
        "the|which|available|your) models( there are| are served|)",
        "(which|what) models (are there|do you have|do you serve|are served|can I use|are available|are "
        "running|does Motley serve|does Motley have)",
        "(list|show|show me|give me) (the|all|all the|your|available) models.",
    ],
    "Yes. Use any OpenAI client and only change its base URL.": [
        "(is|are) (Motley|you|this|it|the API|this server) (really |fully |) "
        "(compatible|OpenAI-compatible|compatible with OpenAI|compatible with the OpenAI (API|client|SDK))",
        "(can|could|may|will|does|do) (I|we|one) (use|keep|take|reuse|point) (the|my|an|any|our|the "
        "official) (OpenAI|openai) (client|SDK|library|package|app|code|program|script|python package)( "
        "with Motley| here| with this| with it| at Motley|)",
        "(does|will|can|do) (the|my|an|any|our|existing) (OpenAI|openai) "
        "(client|SDK|library|package|app|code|programs|script|tools) (work|run|connect|speak|function|go)( "
        "with Motley| here| with this server| to Motley| against Motley|)",
        "(how|can) (do I|can I|I) (connect|use|point) (LangChain|LlamaIndex|the OpenAI SDK|my OpenAI "
        "client|my app|openai)( to Motley| with Motley| at Motley| here|)",
        "do I (have|need) to (change|rewrite|touch) my (OpenAI |)(code|client|program|app)( for Motley| to "
        "use Motley|)",
        "(which|what) (client|SDK|library) (do|can|should) I use( with Motley| for Motley|)",
    ],
    "The fleet file is a YAML file that says which models Motley serves and where each one runs.": [
        "(what is|what's|explain|describe|define|what do you mean by|what means) (a|the) fleet( file| yaml|)",
        "what (is|goes|do I write|stands|must be) in (a|the) fleet file",
        "(what|which) (is the|does the|format has the|format is the) fleet file( for| do| in| look like|)",
        "(tell me|teach me) (about|more about) the fleet file.",
        "how do I (write|make|create|edit|read) (a|the) fleet file",
    ],
    "Write a fleet file and run motley up with it.": [
        "how (do|can|could|should) (I|we|one) (start|run|launch|begin with|boot|get started with|use|set "
        "up|install) (Motley|motley|the gateway|the server|it all)",
        "(starting|launching|running|getting started with) Motley.",
        "(which|what) command (starts|runs|launches|is for starting) (Motley|the gateway|the server|the "
        "fleet)",
    ],
    "Motley runs on nodes with NVIDIA, AMD or Intel GPUs, and on plain CPUs.": [
        "(which|what) (GPUs|hardware|graphics cards|cards|vendors|machines|chips) (does|can|will) "
        "(Motley|it) (run on|support|use|need|work with|take)",
        "(does|can|will) (Motley|it) (run|work) (on|with) (AMD|NVIDIA|Intel|a CPU|CPUs|a laptop|AMD "
        "GPUs|NVIDIA cards|an Intel GPU|my laptop|no GPU|without a GPU)",
        "do I need a GPU( for Motley| to run Motley| for this|)",
        "Motley on (AMD|NVIDIA|Intel|CPUs|a laptop)",
    ],
}
