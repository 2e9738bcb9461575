"""Every failure a user or a client can meet, as one small tree.

A room raises the narrowest kind where the fact is known; the edge (command line, HTTP server,
screen) shows it once. Each kind carries what every edge needs: an exit code, an HTTP status and a
stable machine-readable code.
"""

from __future__ import annotations


class DmrError(Exception):
    """A failure with a message for a person and, where there is one, a remedy.

    Attributes:
        message: one line that says what is wrong.
        hint: one line that says what to do next, or None.
        param: the request field at fault, for OpenAI error objects.
    """

    exit_code = 1
    http_status = 500
    code = "internal_error"

    def __init__(self, message: str, hint: str | None = None, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param


class UsageError(DmrError):
    """The command line was wrong."""

    exit_code = 2
    http_status = 400
    code = "usage"


class InvalidRequestError(DmrError):
    """The caller's data was wrong: a name, a value, a body."""

    http_status = 400
    code = "invalid_request"


class ContextLengthError(InvalidRequestError):
    """The prompt does not fit into the model's context."""

    code = "context_length_exceeded"


class UnauthorizedError(DmrError):
    """Credentials are missing, wrong, or not enough."""

    http_status = 401
    code = "unauthorized"


class ModelNotFoundError(DmrError):
    """No model of that name, in the store or in the registry that was asked."""

    http_status = 404
    code = "model_not_found"


class ConflictError(DmrError):
    """The request is right but the present state forbids it."""

    http_status = 409
    code = "conflict"


class UnsupportedModelError(DmrError):
    """The artifact is of a format or a version that this program cannot use."""

    http_status = 422
    code = "unsupported_model"


class EngineError(DmrError):
    """A model could not be loaded, or its worker died."""

    code = "engine_error"


class UnavailableError(DmrError):
    """The runner is not there, is full, or is shutting down."""

    http_status = 503
    code = "unavailable"


class InsufficientMemoryError(DmrError):
    """A model needs more memory than there is."""

    http_status = 507
    code = "insufficient_memory"


class BusyError(UnavailableError):
    """More is asked at a time than can wait in line."""

    http_status = 429
    code = "too_many_requests"
    retry_after = 2
    """Seconds after which asking again makes sense."""


class RegistryError(DmrError):
    """A registry or the network failed, or sent bytes that do not match their digest."""

    http_status = 502
    code = "registry_error"


class StoppedError(DmrError):
    """Whoever asked for a long job has stopped it."""

    exit_code = 130
    http_status = 499
    code = "stopped"


class StoreError(DmrError):
    """The store on disk is damaged, full, or cannot be written."""

    code = "store_error"


def to_error(code: str, message: str, hint: str | None = None) -> DmrError:
    """Build the error of a stable code, as it came over a pipe or over HTTP."""
    pending: list[type[DmrError]] = [DmrError]
    while pending:
        kind = pending.pop()
        if kind.code == code:
            return kind(message, hint)
        pending.extend(kind.__subclasses__())
    return DmrError(message, hint)
