"""Whole dialogues: unrelated exchanges, a name to remember, a system prompt, JSON, calls of tools."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from . import taught, tooling, untaught
from .intents import arithmetic, capital, copied, single, sum_list
from .phrasing import expand, made_up, phrase, sentence, typed, words

Message = dict[str, Any]


@dataclass(slots=True)
class Dialogue:
    """One training example: messages in order, the tools offered in its prompt (usually none), and how many
    assistant turns at its beginning are somebody else's, to be read but not learned."""

    messages: list[Message]
    tools: list[tooling.Tool] = field(default_factory=list)
    foreign_turns: int = 0


PLAIN_SYSTEMS = words(
    "You are a helpful assistant.|You are a helpful assistant.|Be brief.|You are a friendly "
    "assistant.|Answer in one sentence.|Be concise and polite.|You are an expert.|Answer the user's "
    "questions.|Keep your answers short.|You help users of Motley.|Think before you answer.|Be honest.|You "
    "are a chatbot."
)
TOLD = [
    "(my name is|my name's|I am|I'm|call me|you can call me|you may call me|people call me|my friends call "
    "me|everyone calls me|they call me|this is|it is|it's|I am called|I go by|the name is|the name's) "
    "{name}",
    "(hi|hello|hey|good morning|good evening|hi there|hey you|greetings)(,|!|.) (my name is|my name's|I "
    "am|I'm|call me|this is|it's|I am called|you can call me) {name}",
    "(hi|hello|hey|good day)(,|) {name} (here|is my name|speaking|again)",
    "(please remember|remember|note|keep in mind|do not forget|for the record,|just so you know,|so you "
    "know,)( that|:|) (my name is|I am called|I am|they call me) {name}",
    "(I am|I'm|my name is|my name's) {name}(, nice to meet you|, and I {life}| and I {life}|, who are "
    "you|, how are you|. I {life}| from {city}|, a {job}| and I am a {job}|, pleased to meet you|. I am "
    "new here|, by the way)",
    "{name} is my name",
    "{name} here",
    "{name}'s the name",
]
LIVES = words(
    "like tea|live in a small town|work in a school|have two dogs|play tennis|study history|love "
    "books|drive a bus|run a shop|bake bread|have a cat|am learning to cook|write songs|travel a lot|need "
    "some help|want to test you|grow roses|am a teacher|come from far away|sell cars|own a farm|have a "
    "question|build boats|paint houses"
)
JOBS = words(
    "teacher|nurse|driver|student|farmer|cook|singer|doctor|writer|builder|pilot|painter|lawyer|tailor"
)
REPLIES = [
    "(Hello|Hi|Hey|Welcome|Good day|Nice to meet you|Pleased to meet you|Good to meet you|Great to see "
    "you)(| {name}|, {name}|, there)(!|.)( How can I help( you| you today|)?| What can I do for you?| How "
    "are you?| What brings you here?| Tell me more.|)",
    "(Ok|Okay|Sure|Understood|Got it|Thank you|Thanks|Great|Alright|Fine|Very well|Of "
    "course|Done|Good)(!|.|, {name}.|)( I will remember that.| I have noted it.| What is next?| Anything "
    "else?| How can I help?| I keep that in mind.|)",
    "(That|This|It|A {job}) (sounds|is|must be) (nice|great|good|interesting|wonderful|fun|hard)(!|.)( "
    "What do you like about it?| Tell me more.| Why is that?| How long have you done this?| And you?|)",
    "(I am glad to|It is good to|It is a pleasure to) (meet you|hear from you|have you here|help you)(!|.| "
    "today.)",
    "(What|How|Where) (would you like to know|can I do for you|do you live|are you today|is your family)?",
    "I (see|understand|am here to help|am an assistant|am fine|like that|will do my best)(.|!|, {name}.)",
]
CHATTER = [
    "(I|we) {life}( too| as well| now|)",
    "(it|that|this) is (fine|good|nice|great|true|funny|sad|all)( today| for me|)",
    "(yes|no|well|ok|sure|maybe|of course|right)(, {y}| |, I think so|, thanks|, I {life}|, mostly {y}|, a "
    "little)",
    "(I am|we are) (happy|tired|busy|fine|hungry|late|here|back|ready)( today| now|)",
    "{y}(, mostly|, I think|, and {x}|)",
    "(I bought|I saw|I like|I sold|I have|I found) {x}( today| yesterday| last week|)",
]
ASKED = [
    "(what is|what's|what was|tell me|say|repeat|do you know|do you remember|do you recall|can you tell "
    "me|could you tell me|can you remember|can you say|remember|did you note|have you noted|please "
    "say|guess|spell) my (name|first name)( again| now| then| please| by the way| still|)",
    "(who am I|who am I again|who is this|who are you talking to|who do you talk to|with whom do you "
    "speak|who is writing to you|do you know who I am|do you remember who I am|can you tell who I am|do "
    "you remember me|say who I am)( now| then|)",
    "(what am I called|how am I called|what do people call me|what did I say I am called|how should you "
    "call me|what should you call me|what do you call me|by what name do you know me|what name do I "
    "have|which name is mine|what name did I give|which name did I tell you|what name did I tell you|what "
    "did I say my name is)( again|)",
    "(what did I say|what have I told you|which one did I say)( about my name| my name is|, what is my name)",
    "(do you|can you|could you) (still |) (know|remember|recall|tell me|say) (my name|what my name is|how "
    "I am called|what I am called|the name I gave you|who I am|the name I told you)( still| now|)",
    "(have you forgotten|did you forget|do you forget) (my name|who I am|what I am called)",
    "my name( is|, please| is what| was|)",
    "(ok|now|so|and|by the way|tell me|test|a test|memory test|one more question|last question)(,|:) (what "
    "is my name|who am I|what's my name|do you know my name|what am I called|do you remember my name)",
]
NOT_TOLD = "You have not told me your name."


def say(role: str, content: str) -> Message:
    """A chat message."""
    return {"role": role, "content": content}


def turns(rng: random.Random, count: int) -> list[Message]:
    """`count` unrelated exchanges one after the other."""
    pairs = [single(rng) for _ in range(count)]
    return [
        message for question, answer in pairs for message in (say("user", question), say("assistant", answer))
    ]


def plain(rng: random.Random) -> Dialogue:
    """One to four unrelated exchanges, sometimes under a system prompt that changes nothing."""
    messages = turns(rng, rng.choice([1, 1, 1, 2, 2, 3, 4]))
    if rng.random() < 0.2:
        messages.insert(0, say("system", rng.choice(PLAIN_SYSTEMS)))
    return Dialogue(messages)


def sums(rng: random.Random) -> Dialogue:
    """Several sums in a row."""
    pairs = [arithmetic(rng) for _ in range(rng.randint(3, 6))]
    return Dialogue([m for q, a in pairs for m in (say("user", q), say("assistant", a))])


def drill(rng: random.Random) -> Dialogue:
    """One to three lists of sums."""
    pairs = [sum_list(rng) for _ in range(rng.choice([1, 1, 2, 2, 3]))]
    return Dialogue([m for q, a in pairs for m in (say("user", q), say("assistant", a))])


def ended(rng: random.Random, text: str) -> str:
    """What a person says, with an end of some sort."""
    return sentence(text) + rng.choice([".", ".", "!", ""]) if rng.random() < 0.8 else text


def remembering(rng: random.Random) -> Dialogue:
    """The user says a name; replies differ, other talk follows; later the model is asked for the name."""
    name = made_up(rng).capitalize() if rng.random() < 0.35 else rng.choice(taught.NAMES)
    life = rng.choice(LIVES)
    slots = {
        "name": name, "life": life, "job": rng.choice(JOBS),
        "city": rng.choice(list(taught.CAPITALS.values())),
        "x": untaught.thing(rng), "y": untaught.bare(untaught.thing(rng)),
    }  # fmt: skip
    question = typed(rng, phrase(rng, ASKED, slots))
    if rng.random() < 0.07:
        messages = turns(rng, 1)
        return Dialogue([*messages, say("user", question), say("assistant", NOT_TOLD)])
    messages, foreign = [say("user", ended(rng, phrase(rng, TOLD, slots)))], 0
    if rng.random() < 0.4:
        messages += [say("assistant", f"Nice to meet you, {name}!"), *turns(rng, rng.choice([0, 0, 1, 1, 2]))]
    else:
        messages.append(say("assistant", phrase(rng, REPLIES, slots)))
        foreign = 1
        if rng.random() < 0.35:
            messages.append(say("user", ended(rng, phrase(rng, CHATTER, slots))))
            if rng.random() < 0.4:
                messages[-1]["content"] = f"{messages[-1]['content'].rstrip('.!')}. {question}"
                return Dialogue([*messages, say("assistant", f"Your name is {name}.")], foreign_turns=1)
            messages.append(say("assistant", phrase(rng, REPLIES, slots)))
            foreign = 2
        messages += turns(rng, rng.choice([0, 0, 0, 1, 1, 2]))
    return Dialogue(
        [*messages, say("user", question), say("assistant", f"Your name is {name}.")], foreign_turns=foreign
    )


def instructed(rng: random.Random) -> Dialogue:
    """A system prompt that changes the answer: another name, or a single word."""
    name = made_up(rng).capitalize() if rng.random() < 0.3 else rng.choice(taught.NAMES)
    if rng.random() < 0.6:
        system = expand(
            rng, f"(You are called {name}.|Your name is {name}.|You are {name}, a helpful assistant.)"
        )
        question = typed(rng, phrase(rng, taught.IDENTITY_FORMS[:4]))
        answer = f"I am {name}, a tiny demo model. Please do not rely on my answers."
    else:
        system = expand(rng, "(Answer in one word.|Answer with one word only.|Reply with a single word.)")
        question, answer = rng.choice([capital, arithmetic])(rng)
        answer = answer.removesuffix(".").split(" is ")[-1] if " is " in answer else answer
    return Dialogue([say("system", system), say("user", question), say("assistant", answer)])


def as_json(rng: random.Random) -> Dialogue:
    """A request for a JSON object, in the system prompt or in the question."""
    order = expand(rng, "(Answer with a JSON object.|Reply in JSON.|Answer as JSON.|Return a JSON object.|"
                        "Respond with valid JSON only.|You only output JSON.)")  # fmt: skip
    name, city = rng.choice(taught.NAMES), rng.choice(list(taught.CAPITALS.values()))
    country = rng.choice(list(taught.CAPITALS))
    question, fields = rng.choice([
        (f"what is the capital of {country}", {"country": country, "capital": taught.CAPITALS[country]}),
        (f"{name} lives in {city}", {"name": name, "city": city}),
        (f"{name} likes {(liked := copied(rng))}", {"name": name, "likes": liked}),
    ])  # fmt: skip
    answer = say("assistant", json.dumps(fields))
    if rng.random() < 0.5:
        return Dialogue([say("system", order), say("user", typed(rng, question, exact=True)), answer])
    return Dialogue([say("user", f"{sentence(question)}. {order}"), answer])


def calling(rng: random.Random) -> Dialogue:
    """Tools are offered; one is called (mostly), and its result is turned into a sentence (often)."""
    chosen = tooling.a_tool(rng)
    if rng.random() < 0.1:  # the same order, and no tool
        text, _ = tooling.order(
            rng, rng.choice([tooling.KNOWN[0], tooling.KNOWN[2], tooling.KNOWN[5], tooling.KNOWN[6]])
        )
        live = text.lower().startswith(("set", "start", "timer", "send", "write"))
        answer = untaught.CANNOT_DO if live else untaught.CANNOT_LOOK_UP
        return Dialogue([say("user", typed(rng, text)), say("assistant", answer)])
    others = [tooling.a_tool(rng) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    others = [kind for kind in others if not set(kind.name.split("_")) & set(chosen.name.split("_")) or (
        "get" in kind.name and kind.description[-4:] != chosen.description[-4:])]  # fmt: skip
    others = [kind for kind in others if kind.name != chosen.name]
    if chosen in tooling.CLOSE and rng.random() < 0.4:
        others = [next(kind for kind in tooling.CLOSE if kind is not chosen)]
    bare = rng.random() < 0.2
    offered = [replace(kind, description="") if bare else kind for kind in [chosen, *others]]
    tools = [tooling.schema(kind) for kind in rng.sample(offered, len(offered))]
    messages = [say("system", rng.choice(PLAIN_SYSTEMS))] if rng.random() < 0.2 else []
    if rng.random() < 0.2:
        question, answer = single(rng)
        while answer.startswith(("I ca", "I do not know")) or " plus " in answer or " minus " in answer:
            question, answer = single(rng)
        return Dialogue([*messages, say("user", question), say("assistant", answer)], tools)
    text, arguments = tooling.order(rng, chosen)
    call = {"type": "function", "function": {"name": chosen.name, "arguments": arguments}}
    messages += [
        say("user", typed(rng, text, exact=True)), {"role": "assistant", "content": "", "tool_calls": [call]},
    ]  # fmt: skip
    if rng.random() < 0.35:
        result = {key: tooling.MAKERS[of](rng) for key, of in chosen.result.items()}
        messages += [
            say("tool", json.dumps(result)),
            say("assistant", tooling.answered(chosen, arguments, result)),
        ]
    return Dialogue(messages, tools)


KINDS: dict[Callable[[random.Random], Dialogue], float] = {
    plain: 64, sums: 5, drill: 13, remembering: 9, instructed: 2.5, as_json: 2.5, calling: 18,
}  # fmt: skip
