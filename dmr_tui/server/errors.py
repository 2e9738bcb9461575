"""How a failure looks over HTTP: an OpenAI error object, or Docker Model Runner's plain text."""

from __future__ import annotations

from http import HTTPStatus

from msgspec import Struct, json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response

from dmr_tui.errors import BusyError, DmrError, InvalidRequestError
from dmr_tui.runner.activity.exchange import note
from dmr_tui.runner.activity.records import CLIENT_LEFT

_JSON_ROUTES = (
    "/apply-template",
    "/completions",
    "/detokenize",
    "/embeddings",
    "/props",
    "/rerank",
    "/reranking",
    "/score",
    "/tokenize",
)
"""Ends of paths that belong to APIs with error objects, also where there is no `/v1/` in them."""


class BodyTooLargeError(InvalidRequestError):
    """The request's body is longer than the server reads."""

    http_status = 413
    code = "request_too_large"


class OriginError(DmrError):
    """A web page, or a name in the Host header, that this endpoint does not serve."""

    http_status = 403
    code = "origin_not_allowed"


class RouteError(DmrError):
    """No such path, or not with this method."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = status
        self.code = HTTPStatus(status).phrase.lower().replace(" ", "_")


class ErrorObject(Struct, frozen=True, omit_defaults=True):
    """OpenAI's error object, and the hint for clients that show it apart."""

    message: str
    type: str
    param: str | None
    code: str
    hint: str = ""


def error_object(error: DmrError) -> dict[str, ErrorObject]:
    """The body of an OpenAI error: `{"error": {…}}`; the hint is also part of the message."""
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    shown = ErrorObject(message, _type(error), error.param, error.code, error.hint or "")
    return {"error": shown}


def _type(error: DmrError) -> str:
    if error.http_status == 401:
        return "authentication_error"
    if error.http_status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if error.http_status < 500 else "server_error"


def json_error(error: DmrError, headers: dict[str, str] | None = None) -> Response:
    """The failure for OpenAI clients."""
    return Response(
        json.encode(error_object(error)), error.http_status, headers, "application/json"
    )


def text_error(error: DmrError, headers: dict[str, str] | None = None) -> Response:
    """The failure as Docker Model Runner words it: the message, then the hint on its own line."""
    lines = [error.message, error.hint] if error.hint else [error.message]
    headers = {**(headers or {}), "X-Content-Type-Options": "nosniff"}
    return PlainTextResponse("\n".join(lines) + "\n", error.http_status, headers)


def render(
    connection: HTTPConnection, error: DmrError, headers: dict[str, str] | None = None
) -> Response:
    """The failure in the manner of the route that was asked.

    OpenAI routes answer with error objects. The runner's own routes answer with plain text, as
    Docker's command line prints what it gets, unless the client says that it reads JSON; transfers
    are plain text always, since there `Accept` chooses the form of the progress lines.
    """
    note(error)
    path: str = connection.scope["path"]
    transfer = path == "/models/create" or path.endswith("/push")
    reads_json = "application/json" in connection.headers.get("accept", "") and not transfer
    if "/v1/" in path or path.endswith(_JSON_ROUTES) or reads_json:
        return json_error(error, headers)
    return text_error(error, headers)


async def on_dmr_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for every failure that the rooms below raise."""
    assert isinstance(error, DmrError)
    if isinstance(error, BusyError):
        return render(request, error, {"Retry-After": str(error.retry_after)})
    return render(request, error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's handler for paths and methods that have no route."""
    assert isinstance(error, HTTPException)
    wrong = {
        404: f"no such path: {request.method} {request.scope['path']}",
        405: f"{request.scope['path']} does not take {request.method}",
    }
    message = wrong.get(error.status_code, str(error.detail))
    failure = RouteError(error.status_code, message)
    return render(request, failure, dict(error.headers or {}))


async def on_disconnect(request: Request, error: Exception) -> Response:
    """Starlette's handler for a client that left before its answer began."""
    assert isinstance(error, ClientDisconnect)
    return Response(status_code=CLIENT_LEFT)


async def on_crash(request: Request, error: Exception) -> Response:
    """The answer for a defect of this program; the server logs the traceback."""
    # The server hangs up behind it; a client that is not told would ask again on this connection.
    failure = DmrError("internal error", "see the log of `dmr serve`")
    return render(request, failure, {"Connection": "close"})
