"""The texts of many callers through one model, in batches of a bounded number of tokens.

A request is read (tokenised) in slices and computed in batches, by threads that do whichever there is:
while one computes, another reads what arrives. Nothing waits for company: an idle model computes what
there is at once, and what arrives meanwhile gathers for the next batch. A lone text crosses to one
thread and back, however many others do the same.
"""

import asyncio
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Sized
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from backends.contract.errors import ModelDown, Overloaded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

# What is read in one go, a few milliseconds: in between, other callers' texts are read, and one that
# left is noticed.
SLICE_TEXTS, SLICE_CHARACTERS = 64, 65_536
# How much of a batch may be padding, unless the whole batch is small.
PADDING, SMALL = 0.3, 1 / 8


class Run(Protocol):
    """One batch on its way through a model."""

    def result(self) -> "Rows":
        """A row an item. Blocks; lets go of the GIL."""
        ...

    def stop(self) -> None:
        """From another thread: `result` ends soon, and raises."""
        ...


class Request(Protocol[R_co]):
    """What one caller wants. `texts` are read one by one, in order, into items; not each need be one."""

    @property
    def texts(self) -> Sequence[str]: ...

    def read(self, index: int, encoding: Any) -> Sized | None:
        """An item of what the tokenizer made of a text; of None where that was no text at all.
        Raises for what cannot be honoured: that ends the request, and no other."""
        ...

    def finish(self, rows: "Rows") -> R_co:
        """The answer, from a row an item, in their order. Called in a thread."""
        ...


class _Job:
    """A request and how far it is. `waiting`: (tokens, row, item), the shortest first."""

    def __init__(self, request: Request[Any], answer: "asyncio.Future[Any]") -> None:
        self.request, self.answer = request, answer
        self.taken = self.read = self.items = self.computed = 0
        self.left = len(request.texts)  # not in a batch yet
        self.waiting: list[tuple[int, int, Sized]] = []
        self.rows: Rows | None = None
        self.gone = False

    def take(self, batch: "_Batch") -> None:
        """Give the batch what fits into it, from the longest that may on."""
        end = bisect_right(self.waiting, batch.reach, key=itemgetter(0)) if batch.jobs else len(self.waiting)
        start = end
        while start and batch.fits(self.waiting[start - 1][0]):
            start -= 1
        if start < end:
            batch.add(self, self.waiting[start:end])
            self.left -= end - start
            del self.waiting[start:end]


class _Batch:
    """Items of several jobs. `most_tokens` counts padding; an item that is longer goes alone."""

    def __init__(self, most_tokens: int, most: int) -> None:
        self._most_tokens, self._most = most_tokens, most
        self._longest = self._tokens = self._count = 0
        self.jobs: list[_Job] = []
        self.items: list[Sized] = []
        self.rows: list[list[int]] = []  # of each job, in the order of `items`
        self.run: Run | None = None
        self.stopped = False
        self.ended: list[asyncio.Future[None]] = []  # who waits for its end

    @property
    def reach(self) -> float:
        """The longest item that may still join."""
        return max(self._longest / (1 - PADDING), self._most_tokens * SMALL)

    @property
    def full(self) -> bool:
        return self._count == self._most or (self._count + 1) * self._longest > self._most_tokens

    def fits(self, length: int) -> bool:
        """Count one of that length in, if it does."""
        longest, count = max(self._longest, length), self._count + 1
        padded, tokens = longest * count, self._tokens + length
        if count > 1 and (count > self._most or padded > self._most_tokens):
            return False
        if padded > self._most_tokens * SMALL and tokens < (1 - PADDING) * padded:
            return False
        self._longest, self._count, self._tokens = longest, count, tokens
        return True

    def add(self, job: _Job, picked: list[tuple[int, int, Sized]]) -> None:
        self.jobs.append(job)
        self.rows.append([row for _, row, _ in picked])
        self.items += [item for _, _, item in picked]

    def parts(self) -> Iterator[tuple[_Job, list[int], slice]]:
        """(a job, its rows, where they stand in the batch)."""
        start = 0
        for job, rows in zip(self.jobs, self.rows, strict=True):
            yield job, rows, slice(start, start + len(rows))
            start += len(rows)

    def stop(self) -> None:
        self.stopped = True
        if self.run is not None:
            self.run.stop()


class Batcher:
    """`encode`: the tokenizer, for many texts; raises TypeError where one of them is not Unicode.
    `run`: prepares a batch. `most_tokens` (padding included) and `most` bound a batch, `most_waiting`
    the texts that are here at once. Made in the event loop that asks.
    """

    def __init__(
        self,
        encode: Callable[[list[str]], Sequence[Any]],
        run: Callable[[list[Any]], Run],
        *,
        most_tokens: int,
        most: int,
        most_waiting: int,
    ) -> None:
        self._encode, self._run = encode, run
        self._most_tokens, self._most, self._most_waiting = most_tokens, most, most_waiting
        self._loop = asyncio.get_running_loop()
        self._held = 0
        self.failed = False  # the last batch did
        # What follows belongs to the lock.
        self._changed = threading.Condition()
        self._unread: deque[_Job] = deque()
        self._ready: dict[_Job, None] = {}  # who waited longest for a batch is first
        self._reading = False
        self._smallest = False
        self._closed = False
        self._computing: _Batch | None = None
        self._threads = [threading.Thread(target=self._work, name="vectors", daemon=True) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        return not self._closed and all(thread.is_alive() for thread in self._threads)

    def limit(self, *, most: int, most_waiting: int) -> None:
        """Other limits, from the next batch and the next request on."""
        self._most, self._most_waiting = most, most_waiting

    async def ask(self, request: Request[T]) -> T:
        """Raises what `request` or the model raises, Overloaded where too much waits, ModelDown once
        closed. For a caller that leaves, nothing computes any more when this has raised."""
        count = len(request.texts)
        if self._held and self._held + count > self._most_waiting:
            raise Overloaded("too many texts wait for this model; try again shortly")
        job = _Job(request, self._loop.create_future())
        self._held += count
        try:
            with self._changed:
                if self._closed:
                    raise ModelDown("the model is down")
                self._unread.append(job)
                self._changed.notify()
            return await job.answer  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            await self._leave(job)
            raise
        finally:
            self._held -= count

    async def _leave(self, job: _Job) -> None:
        """Forget what waits; end what computes where nobody else is in it."""
        with self._changed:
            job.gone = True
            self._ready.pop(job, None)
            with suppress(ValueError):
                self._unread.remove(job)
            batch = self._computing
            if batch is None or not all(other.gone for other in batch.jobs):
                return
            batch.stop()
            ended: asyncio.Future[None] = self._loop.create_future()
            batch.ended.append(ended)
        while not ended.done():
            with suppress(asyncio.CancelledError):  # an impatient one: still nothing is left behind
                await asyncio.wait({ended})

    def close(self) -> None:
        """What still runs fails now; the threads end with what they do."""
        with self._changed:
            self._closed = True
            batch = self._computing
            jobs = {*self._unread, *self._ready, *(batch.jobs if batch else ())}
            self._unread.clear()
            self._ready.clear()
            for job in jobs:
                job.gone = True
            if batch is not None:
                batch.stop()
            self._changed.notify_all()
        _settle([(job, ModelDown("the model is down")) for job in jobs], [])

    # --- in the threads ---

    def _work(self) -> None:
        while (step := self._step()) is not None:
            step()

    def _step(self) -> Callable[[], None] | None:
        """What this thread does next, when there is something. None once closed."""
        with self._changed:
            while not self._closed:
                if self._ready and self._computing is None:
                    self._computing = batch = self._gather()
                    if self._unread and not self._reading:
                        self._changed.notify()
                    return partial(self._compute, batch)
                if self._unread and not self._reading:
                    self._reading = True
                    return partial(self._read, self._slice())
                self._changed.wait()
        return None

    def _slice(self) -> list[tuple[_Job, int, int]]:
        """(whose, from, to): the texts to read next. Who has more is next in line again."""
        texts, characters = SLICE_TEXTS, SLICE_CHARACTERS
        found = []
        while self._unread and texts > 0 and characters > 0:
            job = self._unread.popleft()
            every, start = job.request.texts, job.taken
            while job.taken < len(every) and texts > 0 and characters > 0:
                texts, characters = texts - 1, characters - len(every[job.taken])
                job.taken += 1
            found.append((job, start, job.taken))
        return found

    def _read(self, piece: list[tuple[_Job, int, int]]) -> None:
        texts = [text for job, start, end in piece for text in job.request.texts[start:end]]
        read: list[tuple[_Job, list[Sized]]] = []
        failed: list[tuple[_Job, Any]] = []
        try:
            encodings = self._encoded(texts)
        except Exception as error:  # the tokenizer's, so everybody's in the slice
            failed, piece = [(job, error) for job, _, _ in piece], []
        for job, start, end in piece:
            mine, encodings = encodings[: end - start], encodings[end - start :]
            try:
                items = [job.request.read(start + offset, each) for offset, each in enumerate(mine)]
            except Exception as error:  # whatever it is, it is this caller's
                failed.append((job, error))
            else:
                read.append((job, [item for item in items if item is not None]))
        with self._changed:
            self._reading = False
            for job, found in read:
                self._enter(job, found)
            for job, _ in failed:
                job.gone = True
                self._ready.pop(job, None)
        self._tell(failed, [])

    def _encoded(self, texts: list[str]) -> Sequence[Any]:
        """None for what is not Unicode: JSON can say lone surrogates, UTF-8 cannot."""
        try:
            return self._encode(texts)
        except TypeError:
            return [None] if len(texts) == 1 else [self._encoded([text])[0] for text in texts]

    def _enter(self, job: _Job, found: list[Sized]) -> None:
        if job.gone:
            return
        job.read = job.taken
        job.waiting += [(len(item), job.items + offset, item) for offset, item in enumerate(found)]
        job.waiting.sort(key=itemgetter(0))
        job.items += len(found)
        if found:
            self._ready.setdefault(job)
        if job.taken < len(job.request.texts):
            self._unread.append(job)

    def _gather(self) -> _Batch:
        """The next batch. It begins, in turn, with who has the least left and with who has waited longest:
        a single text passes a thousand others, and those go on all the same. Then everybody adds what is
        of about that length."""
        batch = _Batch(self._most_tokens, self._most)
        self._smallest = not self._smallest
        first = min(self._ready, key=lambda job: job.left) if self._smallest else next(iter(self._ready))
        first.take(batch)
        for job in self._ready:
            if batch.full:
                break
            if job is not first:
                job.take(batch)
        for job in batch.jobs:
            del self._ready[job]
            if job.waiting:
                self._ready[job] = None
        return batch

    def _compute(self, batch: _Batch) -> None:
        failure: Exception | None = None
        try:
            run = self._run(batch.items)
            with self._changed:
                batch.run = run
                if batch.stopped:
                    run.stop()
            rows = run.result()
            for job, where, part in batch.parts():
                _place(job, where, rows[part])
        except Exception as error:  # the model's, so everybody's in the batch
            failure = error
        if not batch.stopped:
            self.failed = failure is not None
        with self._changed:
            self._computing = None
            staying = [(job, len(where)) for job, where, _ in batch.parts() if not job.gone]
            for job, count in staying:
                job.computed += count
                if failure is not None:
                    job.gone = True
                    self._ready.pop(job, None)
                    with suppress(ValueError):
                        self._unread.remove(job)
            done = [job for job, _ in staying if failure is not None or _complete(job)]
        self._tell([(job, failure or _finished(job)) for job in done], batch.ended)

    def _tell(self, answers: list[tuple[_Job, Any]], ended: "list[asyncio.Future[None]]") -> None:
        if answers or ended:
            with suppress(RuntimeError):  # the loop is closed: nobody listens
                self._loop.call_soon_threadsafe(_settle, answers, ended)


def _place(job: _Job, where: list[int], rows: "Rows") -> None:
    if len(job.request.texts) == 1:
        job.rows = rows
        return
    if job.rows is None:
        import numpy as np

        job.rows = np.empty((len(job.request.texts), rows.shape[1]), np.float32)
    job.rows[where] = rows


def _complete(job: _Job) -> bool:
    return job.read == len(job.request.texts) and job.computed == job.items


def _finished(job: _Job) -> Any:
    assert job.rows is not None
    try:
        return job.request.finish(job.rows[: job.items])
    except Exception as error:  # told to the caller like any other
        return error


def _settle(answers: list[tuple[_Job, Any]], ended: "list[asyncio.Future[None]]") -> None:
    for job, answer in answers:
        if job.answer.done():  # its caller has left
            continue
        if isinstance(answer, Exception):
            job.answer.set_exception(answer)
        else:
            job.answer.set_result(answer)
    for future in ended:
        future.set_result(None)


async def to_the_end(
    work: Callable[[], T], stop: Callable[[], None] | None = None, threads: Executor | None = None
) -> T:
    """Run blocking `work` in a thread, of the event loop's own or of `threads`. A cancelled caller
    calls `stop` and still waits for the thread: when this returns or raises, nothing computes any more."""
    running = asyncio.get_running_loop().run_in_executor(threads, work)
    left: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError as leaving:
            left = leaving
            if stop is not None:
                stop()
    if left is not None:
        running.exception()  # what a stopped run raises interests nobody
        raise left
    return running.result()
