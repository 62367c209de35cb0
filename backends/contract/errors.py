"""Every failure a caller can see. One class is one status, one type, one code.

GatewayError                500 server_error           internal_error
├─ InvalidRequest           400 invalid_request_error  invalid_request
│  ├─ ContextExceeded       400                        context_length_exceeded
│  ├─ TaskUnsupported       400                        task_unsupported
│  ├─ MediaUnsupported      400                        unsupported_media
│  ├─ MediaTooLong          400                        media_too_long
│  ├─ MediaTooLarge         400                        media_too_large
│  ├─ MediaElsewhere        400                        media_not_fetched
│  ├─ ModelNotFound         404                        model_not_found
│  ├─ VoiceNotFound         404                        voice_not_found
│  ├─ RouteNotFound         404                        not_found
│  ├─ MethodNotAllowed      405                        method_not_allowed
│  ├─ TooSlow               408                        body_too_slow
│  ├─ TooLarge              413                        body_too_large
│  └─ BodyUnsupported       415                        unsupported_media
├─ Unauthenticated          401 authentication_error   invalid_api_key
├─ Forbidden                403 permission_error       model_not_allowed
├─ RateLimited              429 rate_limit_error       rate_limit_exceeded
├─ ClientGone               499 server_error           client_closed_request
├─ SampleNeeded             500 server_error           sample_needed
├─ FileNeeded               500 server_error           file_needed
├─ EngineFailed             502 server_error           engine_failed
│  └─ SourceFailed          502                        source_failed
├─ Overloaded               503 server_error           overloaded
├─ NotReady                 503 server_error           model_loading
│  └─ ModelDown             503                        model_down
└─ UpstreamTimeout          504 server_error           upstream_timeout
"""

from typing import Any, ClassVar, Literal


class GatewayError(Exception):
    """The base: `message` is safe to show a stranger; `param` names the offending field.

    `retry_after` is in seconds and becomes the `Retry-After` header.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        if code is not None:
            self.code = code

    # Errors cross process boundaries, and pickle rebuilds exceptions from positional
    # arguments alone: without this, everything given by keyword is lost on the way back.
    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.__dict__.copy())


def _rebuild(cls: type[GatewayError], state: dict[str, Any]) -> GatewayError:
    error = cls(state["message"])
    error.__dict__.update(state)
    return error


class InvalidRequest(GatewayError):
    """The caller asked for something malformed, out of range, or not offered here."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class ContextExceeded(InvalidRequest):
    """The prompt (with what it asks to generate) does not fit the model's window."""

    code = "context_length_exceeded"


class TaskUnsupported(InvalidRequest):
    """The model exists but does another task."""

    code = "task_unsupported"


class MediaUnsupported(InvalidRequest):
    """An uploaded file is not media that can be decoded. OpenAI answers 400 here."""

    code = "unsupported_media"


class MediaTooLong(InvalidRequest):
    """An uploaded file plays longer than the configured limit, however small it is."""

    code = "media_too_long"


class MediaTooLarge(InvalidRequest):
    """Images would take more memory than they may, however small their files are."""

    code = "media_too_large"


class MediaElsewhere(InvalidRequest):
    """The address of media was given, and nothing is fetched, not from there, or in vain."""

    code = "media_not_fetched"


class ModelNotFound(InvalidRequest):
    """No model or alias of that name in the fleet."""

    status = 404
    code = "model_not_found"


class VoiceNotFound(InvalidRequest):
    """No voice of that id was made here. (A voice that a model lacks is an InvalidRequest.)"""

    status = 404
    code = "voice_not_found"


class RouteNotFound(InvalidRequest):
    """No such path."""

    status = 404
    code = "not_found"


class MethodNotAllowed(InvalidRequest):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"


class TooSlow(InvalidRequest):
    """The body did not come in time."""

    status = 408
    code = "body_too_slow"


class TooLarge(InvalidRequest):
    """The body is over the configured limit."""

    status = 413
    code = "body_too_large"


class BodyUnsupported(InvalidRequest):
    """The request's content type is not one this route reads."""

    status = 415
    code = "unsupported_media"


class Unauthenticated(GatewayError):
    """No key, or not a known one."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class Forbidden(GatewayError):
    """A known key that may not do this."""

    status = 403
    type = "permission_error"
    code = "model_not_allowed"


class RateLimited(GatewayError):
    """The caller's quota is spent (ours is `Overloaded`)."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class ClientGone(GatewayError):
    """The client closed the connection: seen in logs and metrics only, never on the wire."""

    status = 499
    code = "client_closed_request"


class SampleNeeded(GatewayError):
    """The engine does not have the recording of a voice: the same task, with it, will do. Never on
    the wire: the door answers it."""

    code = "sample_needed"


class FileNeeded(GatewayError):
    """The replica cannot reach the file that an upload was spooled into: the same task, with its bytes,
    will do. Never on the wire: the door answers it."""

    code = "file_needed"


class EngineFailed(GatewayError):
    """The engine broke. Its traceback is in the operator's log, under the request id."""

    status = 502
    code = "engine_failed"


# Why a model's files could not be brought, in a word for programs.
Why = Literal["not_found", "gated", "offline", "no_space", "checksum", "unsafe", "unsupported", "failed"]


class SourceFailed(EngineFailed):
    """A model's files cannot be had. The sentence becomes the model's state."""

    code = "source_failed"
    why: Why = "failed"

    @classmethod
    def because(cls, why: Why, message: str, **rest: Any) -> "SourceFailed":
        failed = cls(message, **rest)
        failed.why = why
        return failed


class Overloaded(GatewayError):
    """Our capacity is spent; the same request may pass shortly."""

    status = 503
    code = "overloaded"

    def __init__(self, message: str, *, retry_after: float = 1, **rest: Any) -> None:
        super().__init__(message, retry_after=retry_after, **rest)


class NotReady(GatewayError):
    """The model is not serving yet: still placed, or still loading."""

    status = 503
    code = "model_loading"

    def __init__(self, message: str, *, retry_after: float = 2, **rest: Any) -> None:
        super().__init__(message, retry_after=retry_after, **rest)


class ModelDown(NotReady):
    """The model's process died or could not start; it is being restarted."""

    code = "model_down"


class UpstreamTimeout(GatewayError):
    """The model did not answer within its `timeout_s`."""

    status = 504
    code = "upstream_timeout"
