"""Brings a model to this node's store. A process of its own, so that its end ends all of it at once:

    python -m backends.sources.fetching SOURCE [--allow-pickle]

It waits for whoever fetches the same model already. On standard output it says in JSON what became of it.
"""

import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from backends.contract.errors import SourceFailed, Why
from backends.sources import archive, pickles
from backends.sources.address import Address, parse
from backends.sources.parts import Listing, bring
from backends.sources.store import FILES, Record, Store, is_full, no_space

log = logging.getLogger(__name__)

TOGETHER = 8
LOOK_S = 0.2
PARTS = "parts"
# What each kind of source takes long to import is imported where it is needed.
KINDS = {"hf": "backends.sources.hub", "s3": "backends.sources.bucket", "https": "backends.sources.archive"}


def fetch(store: Store, address: Address, allow_pickle: bool) -> None:
    """Returns when the model is in the store, whole. Raises SourceFailed."""
    key = address.key(allow_pickle)
    try:
        # Not by waiting for the lock: when the other is done, those who use the model hold it.
        while store.whole(key) is None:
            with store.alone(key) as mine:
                if mine and store.whole(key) is None:
                    _fetch(store, key, address, allow_pickle)
            if not mine:
                time.sleep(LOOK_S)
    except OSError as error:
        if is_full(error):
            raise no_space() from None
        raise


def _fetch(store: Store, key: str, address: Address, allow_pickle: bool) -> None:
    before = store.record(key)
    look: Callable[[Address, str], Listing] = import_module(KINDS[address.scheme]).listing
    listing = look(address, before.revision if before else "")
    try:
        _bring(store, key, Record(address.text, listing.revision), listing, allow_pickle)
    except SourceFailed as failed:
        if failed.why in ("unsafe", "unsupported"):  # to be had here it must be another one
            shutil.rmtree(store.part(key), ignore_errors=True)
        raise
    finally:
        listing.close()


def _bring(store: Store, key: str, record: Record, found: Listing, allow_pickle: bool) -> None:
    listing = _chosen(found, allow_pickle)
    archive.safe(part.path for part in listing.parts)
    folder, files = store.part(key) / PARTS, store.part(key) / FILES
    have = _only(folder, listing)
    # An archive and what comes out of it are there together for a moment.
    store.room(key, (listing.size or 0) * (2 if listing.archive else 1) - have)
    store.note(key, replace(record, size=listing.size))
    sums = _brought(listing, folder)
    shutil.rmtree(files, ignore_errors=True)  # of a run that was ended here
    if listing.archive:
        archive.unpack(folder / listing.parts[0].name, files)
    else:
        _lay(listing, folder, files)
    if not allow_pickle:
        pickles.refuse(files)
    store.finish(key, files, replace(record, size=listing.size, files=sums))


def _chosen(listing: Listing, allow_pickle: bool) -> Listing:
    if not listing.parts:
        raise SourceFailed.because("not_found", "the source holds no files")
    if allow_pickle or listing.archive:
        return listing
    wanted = pickles.wanted(part.path for part in listing.parts)
    kept = tuple(part for part in listing.parts if part.path in wanted)
    weights = any(Path(part.path).suffix in (*pickles.SAFE, *pickles.MAYBE) for part in kept)
    if len(kept) < len(listing.parts) and not weights:
        raise pickles.refused()
    return replace(listing, parts=kept)


def _only(folder: Path, listing: Listing) -> int:
    """Remove what is of another version of the model; bytes of the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {part.name for part in listing.parts}
    for file in folder.iterdir():
        if file.name.removesuffix(".open") not in names:
            file.unlink()
    return sum(file.stat().st_size for file in folder.iterdir())


def _brought(listing: Listing, folder: Path) -> dict[str, str]:
    """path → sha256. Several at once, the largest first; the first failure ends the others."""
    stop = threading.Event()
    with ThreadPoolExecutor(TOGETHER) as pool:
        largest = sorted(listing.parts, key=lambda part: -(part.size or 0))
        running = {pool.submit(bring, part, folder, stop): part for part in largest}
        done, _ = wait(running, return_when=FIRST_EXCEPTION)
        if failed := [error for one in done if (error := one.exception()) is not None]:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise failed[0]
    return {part.path: one.result() for one, part in running.items()}


def _lay(listing: Listing, folder: Path, files: Path) -> None:
    """Every file to its place. It keeps the other name until the model is whole: what is killed before finds
    it again."""
    for part in listing.parts:
        place = files / part.path
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(folder / part.name, place)
        except PermissionError:  # a file system without second names
            (folder / part.name).rename(place)


def main(source: str, allow_pickle: bool) -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    try:
        fetch(Store.of(os.environ), parse(source), allow_pickle)
    except SourceFailed as failed:
        return _say(failed.why, failed.message)
    except OSError as error:
        log.exception("a fetch failed")
        return _say("failed", f"the node's store fails ({error.strerror})")
    return _say()


def _say(why: Why | None = None, message: str = "") -> int:
    sys.stdout.write(json.dumps({"why": why, "message": message}))
    return 0 if why is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--allow-pickle" in sys.argv[2:]))
