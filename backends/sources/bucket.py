"""`s3://`: all objects under a prefix, by boto3.

Where the store is (`AWS_ENDPOINT_URL_S3`), its region and whose credentials are used are that package's
business: variables, profiles, and what a cloud gives to a machine or a pod.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from backends.contract.errors import SourceFailed
from backends.sources.address import Address
from backends.sources.parts import PIECE, Broken, Listing, Part, Pieces, from_base64

LOOKERS = 8
_ABSENT = ("NoSuchBucket", "NoSuchKey", "404", "NotFound")
_REFUSED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "403", "401")
_PASSING = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "500", "503")


def listing(address: Address, _: str = "") -> Listing:
    """Raises SourceFailed."""
    try:
        import boto3
        from botocore.config import Config
    except ModuleNotFoundError:
        raise SourceFailed.because(
            "unsupported", "s3:// needs a package more: pip install motley[s3]"
        ) from None
    try:
        with _told():
            # Its own retries end in the end of a listing; those of a transfer are ours.
            config = Config(connect_timeout=10, read_timeout=30, retries={"total_max_attempts": 3})
            client = boto3.Session().client("s3", config=config)
            prefix = f"{address.inside}/" if address.inside else ""
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=address.place, Prefix=prefix)
            found = [one for page in pages for one in page.get("Contents", ()) if one["Key"][-1] != "/"]
            with ThreadPoolExecutor(LOOKERS) as pool:
                parts = tuple(pool.map(lambda one: _part(client, address.place, prefix, one["Key"]), found))
    except Broken as broken:
        raise SourceFailed.because("offline", f"the object store cannot be reached: {broken}") from None
    if not parts:
        client.close()
        raise SourceFailed.because("not_found", "there is nothing under the source's prefix")
    return Listing("", parts, close=client.close)


def _part(client: Any, bucket: str, prefix: str, key: str) -> Part:
    with _told():
        told = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    etag = told["ETag"].strip('"')
    stamp = f"{etag} {told.get('VersionId', '')}"
    read = partial(_read, client, bucket, key, told["ETag"])
    return Part(key.removeprefix(prefix), told["ContentLength"], _check(told, etag), stamp, read)


def _check(told: dict[str, Any], etag: str) -> str:
    """What sent in parts has sums of sums, and what is kept under a key of its own has no MD5 for a tag."""
    sha256 = told.get("ChecksumSHA256", "")
    if sha256 and "-" not in sha256:
        return f"sha256:{from_base64(sha256)}"
    if len(etag) == 32 and told.get("ServerSideEncryption", "AES256") == "AES256":
        return "" if "SSECustomerAlgorithm" in told else f"md5:{etag}"
    return ""


@contextmanager
def _read(client: Any, bucket: str, key: str, etag: str, offset: int) -> Iterator[Pieces]:
    with _told():
        # Of the very object that was listed: another one would not fit what is here of it.
        answer = client.get_object(Bucket=bucket, Key=key, IfMatch=etag, Range=f"bytes={offset}-")
        with closing(answer["Body"]) as body:
            yield offset, body.iter_chunks(PIECE)


@contextmanager
def _told() -> Iterator[None]:
    """The client's errors as ours."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _ABSENT:
            raise SourceFailed.because("not_found", "there is no such bucket or object") from None
        if code in _REFUSED:
            raise SourceFailed.because(
                "gated", "the object store refuses the environment's credentials"
            ) from None
        if code in _PASSING:
            raise Broken(f"it answers {code}") from None
        raise SourceFailed.because("failed", f"the object store answers {code}") from None
    except (NoCredentialsError, PartialCredentialsError):
        raise SourceFailed.because(
            "gated", "the environment holds no credentials for the object store (AWS_ACCESS_KEY_ID …)"
        ) from None
    except BotoCoreError as error:
        raise Broken(type(error).__name__) from None
