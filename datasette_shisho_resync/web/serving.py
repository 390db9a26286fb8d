"""One request from method to response: dispatch, bodies, errors as pages or as JSON, CORS, HEAD.

The shell's one catch-all is here. No message of an unforeseen error, no traceback reaches a client.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datasette import Forbidden, NotFound, PayloadTooLarge, Response
from datasette.database import QueryInterrupted
from datasette.utils import add_cors_headers, tilde_decode
from datasette.utils.asgi import Base400

from ..errors import Conflict, DatabaseBusy, JobRunning, ResyncError, RootUnavailable
from ..json_output import error_to_json, sendable
from ..model import Mode
from ..resync import By
from ..store.schema import translate
from ..value_text import row_name
from .addresses import job_url
from .asking import BadBody, is_json
from .library import WebLibrary
from .state import state_of

if TYPE_CHECKING:
    from datasette import Request
    from datasette.app import Datasette
    from datasette.database import Database

_log = logging.getLogger(__name__)
_UNFORESEEN = "Something went wrong; the server's log says more."
_RETRY_SECONDS = "5"
_MOST_WARNINGS, _MOST_LETTERS = 4, 120  # browsers drop a cookie of more than 4 KB, message and all
_FROM_PAGE = "x-shisho-page"  # sent by the script of our pages, which speaks JSON
_UNFRAMED = {"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY"}


@dataclass(frozen=True, slots=True)
class Call:
    """A request with its body and the language of its client."""

    datasette: Datasette
    request: Request
    body: bytes
    is_json: bool

    @property
    def actor(self) -> Mapping[str, Any] | None:
        actor: Mapping[str, Any] | None = self.request.actor
        return actor

    @property
    def actor_id(self) -> str | None:
        found = (self.actor or {}).get("id")
        return None if found is None else str(found)

    @property
    def by(self) -> By:
        """Who asks, and how: on a page or as a program."""
        is_on_page = not self.is_json or _FROM_PAGE in self.request.headers
        return By("web" if is_on_page else "api", self.actor_id)

    async def library(self) -> WebLibrary:
        """Return the database that the URL names. Raises Datasette's NotFound."""
        db = await self.datasette.resolve_database(self.request)
        return WebLibrary(self.datasette, db, state_of(self.datasette))

    async def page(self, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
        """Render a page of ours, which no other site may put into a frame."""
        body = await self.datasette.render_template(template, dict(context), request=self.request)
        return Response.html(body, status=status, headers=dict(_UNFRAMED))

    def flash(self, message: str, warnings: Iterable[str] = ()) -> None:
        """Leave a message, and warnings, for the next page: as many as a cookie surely holds."""
        self.datasette.add_message(self.request, message, self.datasette.INFO)
        told = [str(sendable(warning)) for warning in warnings]
        shortened = [text if len(text) <= _MOST_LETTERS else text[:_MOST_LETTERS] + "…" for text in told]
        if len(shortened) > _MOST_WARNINGS:
            shortened[_MOST_WARNINGS - 1 :] = [f"and {len(told) - _MOST_WARNINGS + 1} more warnings"]
        for warning in shortened:
            self.datasette.add_message(self.request, warning, self.datasette.WARNING)

    def answer(self, answer: Mapping[str, Any], status: int = 200) -> Response:
        return Response.json(answer, status=status)

    def encoded_answer(self, answer: bytes) -> Response:
        return Response(answer, content_type="application/json; charset=utf-8")


Handler = Callable[[Call], Awaitable[Response]]


async def serve(datasette: Datasette, request: Request, handlers: Mapping[str, Handler]) -> Response:
    """Answer a request with the handler of its method; HEAD is a GET without body."""
    if request.method == "OPTIONS":
        response = Response.text("ok")
    else:
        response = await _answer(datasette, request, handlers)
    if datasette.cors:
        add_cors_headers(response.headers)
    if request.method == "HEAD":
        response.body = b""
    return response


async def _answer(datasette: Datasette, request: Request, handlers: Mapping[str, Handler]) -> Response:
    is_post = request.method == "POST"
    call = Call(datasette, request, b"", is_json(None, request.headers, is_post=is_post))
    try:
        if is_post:
            body = await _body(request)
            call = Call(datasette, request, body, is_json(body, request.headers, is_post=True))
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        return await (handler(call) if handler else _wrong_method(call, handlers))
    except Forbidden as error:
        if not call.is_json:
            raise  # a plugin may offer to log in
        return Response.error(str(error) or "Permission denied", 403)
    except (Base400, PayloadTooLarge, NotFound) as error:
        return await error_response(call, _as_ours(error))
    except ResyncError as error:
        return await error_response(call, error)
    except (sqlite3.Error, QueryInterrupted) as error:  # from a question that Datasette asked itself
        return await error_response(call, _of_database(datasette, request, error))
    except Exception:  # the shell's one catch-all
        _log.exception("%s %s failed", request.method, request.path)
        return await error_response(call, _UnforeseenError(_UNFORESEEN))


def _of_database(
    datasette: Datasette, request: Request, error: sqlite3.Error | QueryInterrupted
) -> ResyncError:
    db = _database_of(datasette, request)
    if db is not None:
        try:
            WebLibrary(datasette, db, state_of(datasette)).require_same_file()
        except Conflict as conflict:
            return conflict
    name = db.name if db else tilde_decode(request.url_vars["database"])
    return translate(error.e if isinstance(error, QueryInterrupted) else error, name)


def _database_of(datasette: Datasette, request: Request) -> Database | None:
    """Return the database of the URL, whose route need not be its name."""
    try:
        return datasette.get_database(route=tilde_decode(request.url_vars["database"]))
    except KeyError:
        return None


async def _body(request: Request) -> bytes:
    try:
        body: bytes = await request.post_body()
    except AssertionError as error:  # so Datasette says that the client has gone
        raise BadBody(["The request ended before its body did."]) from error
    return body


class _UnforeseenError(ResyncError):
    status = 500


def _as_ours(error: Base400) -> ResyncError:
    """Return Datasette's error as one of ours, with its status."""
    ours = ResyncError(str(error))
    ours.status = error.status
    return ours


async def _wrong_method(call: Call, handlers: Mapping[str, Handler]) -> Response:
    head = ["HEAD"] if "GET" in handlers else []
    allowed = {"Allow": ", ".join([*handlers, *head, "OPTIONS"])}
    if call.is_json or call.request.headers.get("content-type") == "application/json":
        return Response.error("Method not allowed", 405, headers=allowed)
    return Response.text("Method not allowed", status=405, headers=allowed)


async def error_response(call: Call, error: ResyncError) -> Response:
    """Return an error as a page for people, in Datasette's shape for clients."""
    if call.is_json:
        answer = error_to_json(error)
        if isinstance(error, BadBody):
            answer["errors"] = [sendable(message) for message in error.messages]
        response = call.answer(answer, error.status)
    else:
        response = await call.page("shisho_resync_error.html", _error_context(call, error), error.status)
    if isinstance(error, DatabaseBusy):
        response.headers["Retry-After"] = _RETRY_SECONDS
    return response


def _error_context(call: Call, error: ResyncError) -> dict[str, Any]:
    is_missing = isinstance(error, RootUnavailable)
    return {
        "error": sendable(error.message),
        "status": error.status,
        "would_remove": _rows_in_words(error.would_remove) if isinstance(error, RootUnavailable) else (),
        "job_url": _running_job_url(call, error) if isinstance(error, JobRunning) else None,
        "confirm_url": _confirm_url(call.request) if is_missing else None,
    }


def _confirm_url(request: Request) -> str | None:
    """Return where a removal can be confirmed, if the plan of a run was asked for."""
    if request.method != "GET" or not request.path.endswith("/-/resync"):
        return None
    return f"?mode={request.args.get('mode') or Mode.SCAN.value}&confirm_missing=1"


def _rows_in_words(names: Iterable[str]) -> list[str]:
    """Return what people call the rows that an error names as `files/3`."""
    rows = (name.partition("/") for name in names)
    return [row_name(table, int(pk)) for table, _, pk in rows]


def _running_job_url(call: Call, error: JobRunning) -> str | None:
    db = _database_of(call.datasette, call.request)
    return None if db is None or error.job is None else job_url(call.datasette, db.name, error.job)
