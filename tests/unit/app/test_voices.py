"""The store of voices, and how a recording finds its way to a replica that lacks it."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.catalogue import Target
from app.formats.audio import encode_whole
from app.upstream.samples import Samples
from app.voices import Recordings, Voices
from backends.contract.errors import EngineFailed, InvalidRequest, MediaUnsupported, SampleNeeded
from backends.contract.results import Pcm
from backends.contract.tasks import Sample, SpeakTask
from tests.sounds import decoded, tone

from .conftest import Enter, fleet

TARGET = Target("tts--main", "tts", "main", "fake", "speak", 60)


@pytest.fixture(params=["folder", "memory"])
def voices(request: pytest.FixtureRequest, tmp_path: Path) -> Voices:
    return Voices(str(tmp_path / "a" / "b") if request.param == "folder" else f"memory://{tmp_path.name}")


async def test_kept_found_and_removed(voices: Voices) -> None:
    assert await voices.all() == []
    voice = await voices.add("Ann", "I agree", "en", 7.0, b"sound")
    assert await voices.find(voice.id) == voice
    assert await voices.sound(voice.id) == b"sound"
    assert await voices.sample(voice.id) == Sample(None, "en")
    again = await voices.add("Ann", "I agree again", "en", 7.0, b"sound")
    assert await voices.find(voice.id) == again == replace(voice, consent="I agree again")
    assert (await voices.add("Ann", "I agree", "de", 7.0, b"sound")).id != voice.id
    other = await voices.add("Ann", "I agree", None, 7.0, b"another sound")
    assert {voice.id, other.id} < {one.id for one in await voices.all()}
    assert await voices.remove(voice.id)
    assert not await voices.remove(voice.id)
    assert await voices.find(voice.id) is None
    assert await voices.sound(voice.id) is None
    assert other in await voices.all()
    assert voice.id not in [one.id for one in await voices.all()]


@pytest.mark.parametrize("voice", ["alloy", "", "../x", "voice_", "voice_" + "g" * 32, "voice_" + "0" * 33])
async def test_what_is_no_id_is_not_looked_for(voices: Voices, voice: str) -> None:
    assert await voices.find(voice) is None
    assert await voices.sound(voice) is None
    assert not await voices.remove(voice)


async def test_a_voice_half_written_is_not_there(tmp_path: Path) -> None:
    (tmp_path / f"voice_{'0' * 32}.json").write_bytes(b'{"id": ')
    (tmp_path / "notes.json").write_bytes(b"{}")
    assert await Voices(str(tmp_path)).all() == []


async def test_a_recording_comes_out_as_engines_take_it() -> None:
    recordings = Recordings()
    try:
        seconds, sound = await recordings.take(encode_whole([tone(6.5, 48_000)], "flac"))
        heard = decoded(sound, "wav")
        assert (heard.rate, heard.channels, heard.kind) == (24_000, 1, "wav pcm_16")
        assert seconds == pytest.approx(heard.seconds) == pytest.approx(6.5, rel=0.01)
        for wrong, kind in (
            (b"no sound", MediaUnsupported),
            (encode_whole([tone(3)], "wav"), InvalidRequest),
        ):
            with pytest.raises(kind):
                await recordings.take(wrong)
    finally:
        await recordings.close()


class Replica:
    """An upstream that knows no voice, or loses one on the way; notes what it is asked."""

    def __init__(self, *, loses: bool = False) -> None:
        self.asked: list[SpeakTask] = []
        self.known: set[str] = set()
        self._loses = loses

    async def stream(self, target: Target, task: Any) -> AsyncGenerator[Any, None]:
        self.asked.append(task)
        if task.sample and task.sample.sound:
            self.known.add(task.voice)
        elif task.sample and task.voice not in self.known:
            raise SampleNeeded("needed")
        yield Pcm(b"\0\0", 24_000)
        if self._loses:
            raise SampleNeeded("needed")


async def spoken(replica: Replica, voices: Voices, task: SpeakTask) -> int:
    upstream = Samples(replica, voices)  # type: ignore[arg-type]
    return len([item async for item in upstream.stream(TARGET, task)])


async def test_a_replica_is_sent_what_it_lacks_and_only_once(voices: Voices) -> None:
    voice = await voices.add("Ann", "I agree", "de", 7.0, b"sound")
    task = SpeakTask("r", "Hello", voice.id, sample=await voices.sample(voice.id))
    replica = Replica()
    assert await spoken(replica, voices, task) == 1
    assert await spoken(replica, voices, task) == 1
    assert [asked.sample for asked in replica.asked] == [
        Sample(None, "de"), Sample(b"sound", "de"), Sample(None, "de")
    ]  # fmt: skip
    assert [asked.heft() for asked in replica.asked] == [0, 5, 0]


async def test_a_voice_deleted_meanwhile(voices: Voices) -> None:
    task = SpeakTask("r", "Hello", f"voice_{'0' * 32}", sample=Sample())
    with pytest.raises(InvalidRequest) as refused:
        await spoken(Replica(), voices, task)
    assert refused.value.param == "voice"


async def test_nothing_is_said_twice(voices: Voices) -> None:
    voice = await voices.add("Ann", "I agree", None, 7.0, b"sound")
    replica = Replica(loses=True)
    replica.known.add(voice.id)
    with pytest.raises(EngineFailed):
        await spoken(replica, voices, SpeakTask("r", "Hello", voice.id, sample=Sample()))
    assert len(replica.asked) == 1


async def test_without_a_place_none_can_be_made(enter: Enter) -> None:
    client = await enter(fleet(tts={"task": "speak"}))
    files = {"audio_sample": ("a.wav", encode_whole([tone(7)], "wav"))}
    form = {"name": "Ann", "consent": "I agree"}
    for answer in (
        await client.post("/v1/audio/voices", data=form, files=files),
        await client.get("/v1/audio/voices/voice_1"),
        await client.delete("/v1/audio/voices/voice_1"),
    ):
        assert answer.status_code == 404
        assert "place" in answer.json()["error"]["message"]
    assert [voice["id"] for voice in (await client.get("/v1/audio/voices")).json()["voices"]] == ["fake"]
