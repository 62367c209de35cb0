"""`hf://`: a repository at a revision of a hub, by `huggingface_hub`.

Where the hub is (`HF_ENDPOINT`), the token (`HF_TOKEN`), proxies and `HF_HUB_OFFLINE` are that
package's business. It also knows the files; their bytes are brought by `parts`: a download of its own
that is killed begins anew.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import httpx2
from huggingface_hub import HfApi, get_session, get_token, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from backends.contract.errors import SourceFailed
from backends.sources import web
from backends.sources.address import Address
from backends.sources.parts import Broken, Listing, Part, Pieces

COMMIT = re.compile(r"[0-9a-f]{40}")


def listing(address: Address, commit: str = "") -> Listing:
    """`commit`: what the revision was found to be before. Raises SourceFailed."""
    api = HfApi(library_name="motley")
    try:
        with _told():
            if COMMIT.fullmatch(address.pin):
                commit = address.pin
            commit = commit or api.repo_info(address.place, revision=address.pin, timeout=30).sha or ""
            found = api.list_repo_tree(address.place, address.inside or None, recursive=True, revision=commit)
            files = [one for one in found if isinstance(one, RepoFile)]
    except Broken as broken:
        raise SourceFailed.because("offline", f"the hub cannot be reached: {broken}") from None
    return Listing(commit, tuple(_part(address, commit, file) for file in files))


def _part(address: Address, commit: str, file: RepoFile) -> Part:
    inside = file.path.removeprefix(f"{address.inside}/") if address.inside else file.path
    check = f"git:{file.blob_id}" if file.lfs is None else f"sha256:{file.lfs.sha256}"
    url = hf_hub_url(address.place, file.path, revision=commit)
    return Part(inside, file.size, check, check, partial(_read, url))


@contextmanager
def _read(url: str, offset: int) -> Iterator[Pieces]:
    token = get_token()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with _told(), web.stream(get_session(), url, headers, offset, hf_raise_for_status) as pieces:
        yield pieces


@contextmanager
def _told() -> Iterator[None]:
    """The hub's errors as ours. The order matters: they derive from one another."""
    try:
        yield
    except OfflineModeIsEnabled:
        raise SourceFailed.because("offline", "the hub may not be asked: HF_HUB_OFFLINE is set") from None
    except (GatedRepoError, LocalTokenNotFoundError):
        raise SourceFailed.because(
            "gated", "the model is gated: accept its terms on the hub, and give a token in HF_TOKEN"
        ) from None
    except RevisionNotFoundError:
        raise SourceFailed.because("not_found", "the repository has no such revision") from None
    except RepositoryNotFoundError:
        raise SourceFailed.because(
            "not_found", "the hub has no such repository, or the token in HF_TOKEN may not see it"
        ) from None
    except RemoteEntryNotFoundError:
        raise SourceFailed.because("not_found", "the repository has no such folder or file") from None
    except HfHubHTTPError as error:
        if error.response.status_code >= 500 or error.response.status_code in (408, 429):
            raise Broken(f"it answers {error.response.status_code}") from None
        raise web.refusal(error.response.status_code) from None
    except httpx2.HTTPError as error:
        raise Broken(type(error).__name__) from None
