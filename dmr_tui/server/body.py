"""JSON in and out: bodies are bounded, and errors name the field at fault."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dmr_tui.errors import InvalidRequestError, ModelNotFoundError
from dmr_tui.server.errors import BodyTooLargeError

MAX_BODY = 10 * 1024 * 1024
"""Bytes; Docker Model Runner's limit."""

_AT = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>.+)`")

T = TypeVar("T")


_EXACT = 2.0**53
"""From here on a float is no whole number in particular."""


def _number(text: str) -> int | float:
    """As Dart, Java and PHP mean it, which know but one kind of number."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


_WHOLE = msgspec.json.Decoder(float_hook=_number)


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises:
        BodyTooLargeError: it is longer than `MAX_BODY`; the rest is not kept in memory.
        ClientDisconnect: the client left in the middle of it.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BODY:
        raise _too_large()
    received = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            received += chunk
            if len(received) > MAX_BODY:
                raise _too_large()
    return bytes(received)


def _too_large() -> BodyTooLargeError:
    return BodyTooLargeError(f"the request is larger than {MAX_BODY // 1024**2} MiB")


def decode(body: bytes, kind: type[T]) -> T:
    """The body as the wire type `kind`; a whole number may be written `5.0`.

    Raises:
        InvalidRequestError: it is no JSON, or a field has the wrong type; `param` names the field.
    """
    try:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.ValidationError as error:
            if "got `float`" not in str(error):
                raise
            return msgspec.convert(_WHOLE.decode(body), kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise _at_field(str(error)) from error
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequestError("the body is not valid JSON: it is not UTF-8") from error
    except RecursionError as error:
        raise InvalidRequestError("the body nests too deep") from error


def _at_field(text: str) -> InvalidRequestError:
    """Turn "Expected `str`, got `int` - at `$.messages[0].role`" round: the field comes first."""
    found = _AT.match(text)
    what, path = (found["what"], found["path"] or "") if found else (text, "")
    missing = _MISSING.match(what)
    if missing:
        path = ".".join(filter(None, (path, missing["field"])))
        what = "this field is required"
    what = what.replace("`", "").replace(" | null", "")
    what = what[:1].lower() + what[1:]
    return InvalidRequestError(f"{path or 'the body'}: {what}", param=path or None)


def stored_name(name: str) -> str:
    """The name of a model as a body gives it, if it is no path.

    A local runner opens GGUF files by their path; other programs have no business with that.

    Raises:
        ModelNotFoundError: it is a path.
    """
    if name.startswith(("/", "~", "file:")):
        raise ModelNotFoundError(f"model {name!r} not found", "paths are no names of models here")
    return name


def named_model(request: Request, asked: str | None) -> str:
    """The model that the path names, or else the body.

    Raises:
        InvalidRequestError: neither does.
    """
    model = request.path_params.get("model") or asked
    if not model:
        raise InvalidRequestError("model is required", param="model")
    return stored_name(str(model))


def json_response(payload: Any, status: int = 200) -> Response:
    """An answer of one JSON document."""
    return Response(msgspec.json.encode(payload), status, media_type="application/json")
