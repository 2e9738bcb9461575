"""What an answer that is a failure stands for."""

from __future__ import annotations

from typing import Any

import msgspec

from dmr_tui.errors import (
    ConflictError,
    ContextLengthError,
    DmrError,
    EngineError,
    InvalidRequestError,
    ModelNotFoundError,
    RegistryError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedModelError,
    to_error,
)

_BY_STATUS: dict[int, type[DmrError]] = {
    401: UnauthorizedError,
    403: UnauthorizedError,
    404: ModelNotFoundError,
    409: ConflictError,
    412: UnsupportedModelError,
    422: UnsupportedModelError,
    501: InvalidRequestError,
    503: UnavailableError,
}


def failure(status: int, path: str, text: str) -> DmrError:
    """The failure that an answer's status and body stand for.

    The body is an OpenAI error object, an object of llama-server's, or plain text with a hint on
    its second line.
    """
    try:
        body = msgspec.json.decode(text)
    except msgspec.DecodeError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        return from_object(body["error"], status, path)
    message, _, hint = text.strip().partition("\n")
    kind = _kind(status, path)
    return kind(message or f"the runner answered {status} to {path}", hint.strip() or None)


def from_object(fields: dict[str, Any], status: int, path: str) -> DmrError:
    """The failure of an error object; its code counts more than the status."""
    message, hint = str(fields.get("message") or ""), str(fields.get("hint") or "")
    if hint:
        message = message.removesuffix(f" ({hint})")
    message = message or f"the runner answered {status} to {path}"
    error = to_error(str(fields.get("code")), message, hint or None)
    if fields.get("type") == "exceed_context_size_error":  # llama-server's own word
        error = ContextLengthError(message, hint or None)
    elif type(error) is DmrError:
        error = _kind(status, path)(message, hint or None)
    error.param = str(fields["param"]) if fields.get("param") else None
    return error


def _kind(status: int, path: str) -> type[DmrError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < 500:
        return InvalidRequestError
    return RegistryError if status == 502 and path.startswith("/models") else EngineError
