"""What goes beside Ray: between two ends of the real socket."""

import asyncio
import os
import pickle
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from backends.contract.audio import Spooled, opened
from backends.contract.errors import FileNeeded
from backends.serve.lane import Lane, Sending, Ticket, fetch


@pytest.fixture
async def lane() -> AsyncIterator[Lane]:
    one = Lane()
    await one.start()
    yield one
    await one.close()


Towards = Callable[[Ticket], Awaitable[Sending]]


@pytest.fixture
async def sending() -> AsyncIterator[Towards]:
    """The replica's end; closed after the test."""
    made: list[Sending] = []

    async def towards(ticket: Ticket) -> Sending:
        found = await Sending.towards(ticket)
        assert found is not None
        made.append(found)
        return found

    yield towards
    for one in made:
        one.close()
    await asyncio.sleep(0)


async def send_on(replica: Sending) -> None:
    """More than any buffer holds. Raises ConnectionError once nobody reads."""
    for _ in range(200):
        await replica.send([b"x" * 100_000])


async def read(items: AsyncGenerator[list[Any], None]) -> list[Any]:
    return [item async for batch in items for item in batch]


async def test_items_come_in_order_until_the_end(lane: Lane, sending: Towards) -> None:
    ticket = lane.ticket()
    replica = await sending(ticket)
    for number in range(5):
        await replica.send([number, b"x" * 100_000])
    replica.end()
    found = await read(lane.items(ticket))
    assert [item for item in found if isinstance(item, int)] == list(range(5))
    assert len(found) == 10


async def test_streams_do_not_cross(lane: Lane, sending: Towards) -> None:
    tickets = [lane.ticket() for _ in range(8)]
    replicas = [await sending(ticket) for ticket in tickets]
    for number, replica in enumerate(replicas):
        await replica.send([number])
        replica.end()
    assert [await read(lane.items(ticket)) for ticket in tickets] == [[number] for number in range(8)]


async def test_a_connection_that_breaks_ends_the_items(lane: Lane, sending: Towards) -> None:
    ticket = lane.ticket()
    replica = await sending(ticket)
    await replica.send([1])
    replica.close()
    assert await read(lane.items(ticket)) == [1]


async def test_a_number_nobody_waits_for_is_sent_away(lane: Lane, sending: Towards) -> None:
    stranger = await sending(lane.ticket()._replace(number=b"0" * 16))
    with pytest.raises(ConnectionError):
        await send_on(stranger)
    assert not lane._arrivals


async def test_another_machine_has_no_such_path() -> None:
    assert await Sending.towards(Ticket("/nowhere/s", b"0" * 16)) is None


async def test_a_slow_door_slows_the_replica(lane: Lane, sending: Towards) -> None:
    replica = await sending(lane.ticket())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send_on(replica), 0.3)


async def test_who_leaves_is_noticed(lane: Lane, sending: Towards) -> None:
    ticket = lane.ticket()
    replica = await sending(ticket)
    await replica.send([1])
    items = lane.items(ticket)
    assert await anext(items) == [1]
    await items.aclose()
    lane.done(ticket)
    with pytest.raises(ConnectionError):
        await send_on(replica)


UPLOAD = os.urandom(100_000)


@pytest.fixture
def upload() -> Iterator[Spooled]:
    with tempfile.TemporaryFile() as file:
        file.write(UPLOAD)
        file.flush()
        yield Spooled(file, len(UPLOAD))


def crossed(spooled: Spooled) -> Spooled:
    """What arrives of it at the replica."""
    there: Spooled = pickle.loads(pickle.dumps(spooled))
    return there


async def test_a_file_is_fetched(lane: Lane, upload: Spooled) -> None:
    """As often as somebody is asked, and kept when the door has closed its own."""
    one, another = crossed(upload), crossed(upload)
    await fetch(one, lane.ticket(upload))
    await fetch(another, lane.ticket(upload))
    upload.close()
    for there in (one, another):
        assert not os.get_inheritable(there.fileno())
        with opened(there) as file:
            assert file.read() == UPLOAD
        there.close()


async def test_a_ticket_fetches_its_own_file_and_items_go_by_it_too(
    lane: Lane, sending: Towards, upload: Spooled
) -> None:
    ticket, there = lane.ticket(upload), crossed(upload)
    await fetch(there, ticket)
    there.close()
    replica = await sending(ticket)
    await replica.send([1])
    replica.end()
    assert await read(lane.items(ticket)) == [1]


@pytest.mark.parametrize("wrong", ["number", "over", "closed", "elsewhere"])
async def test_who_may_not_have_a_file_needs_it_sent(lane: Lane, upload: Spooled, wrong: str) -> None:
    ticket = lane.ticket(upload)
    match wrong:
        case "number":
            ticket = ticket._replace(file=b"0" * 16)
        case "over":
            lane.done(ticket)
        case "closed":
            upload.close()
        case _:
            ticket = ticket._replace(path="/nowhere/s")
    there = crossed(upload)
    with pytest.raises(FileNeeded):
        await fetch(there, ticket)
    with pytest.raises(ValueError, match="another process"):
        opened(there)
