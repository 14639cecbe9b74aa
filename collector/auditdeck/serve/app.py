"""The routes: the page, the events behind a number, the same answers as JSON, and what has changed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

import duckdb
import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from auditdeck.errors import AuditdeckError
from auditdeck.query.behind import PAGE
from auditdeck.serve.access import Access
from auditdeck.serve.address import Address
from auditdeck.serve.pages import ASSETS, render
from auditdeck.serve.source import Source
from auditdeck.serve.view import View
from auditdeck.visible import visible

LOOK = 2.0
"""Seconds between two looks at the store."""
ENDING = 0.25
"""Seconds between two looks whether the server ends."""
REST = 10.0
"""A page is not drawn again before so many times what its numbers took."""
PAGES = ("/", "/events")
LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
"""What <input type="datetime-local"> sends. The form asks for UTC."""


def make_app(source: Source, token: str | None, name: str = "localhost") -> Starlette:
    """`token` is None on a unix socket; `name` is the host name that --listen names."""

    def shown(path: str) -> Callable[[Request], Response]:
        def respond(request: Request) -> Response:
            try:
                address = Address.read(request.query_params.multi_items())
            except ValueError as error:
                return refuse(request, HTTPStatus.BAD_REQUEST, str(error))
            return show[path](source, address)

        return respond

    async def changes(request: Request) -> Response:
        return StreamingResponse(told(request, source), media_type="text/event-stream")

    return Starlette(
        routes=[
            *(Route(path, shown(path)) for path in show),
            Route("/choose", choose),
            Route("/changes", changes),
            Mount("/assets", StaticFiles(directory=ASSETS)),
        ],
        middleware=[Middleware(Access, refuse=refuse, token=token, name=name)],
        exception_handlers={
            HTTPStatus.NOT_FOUND: lambda request, _: refuse(request, HTTPStatus.NOT_FOUND, "There is no such page."),
            AuditdeckError: lambda request, error: refuse(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error)),
            duckdb.Error: unreadable,
            OSError: unreadable,
        },
    )


def overview(source: Source, address: Address) -> Response:
    question, numbers = source.answer(address)
    view = View(numbers, question, address)
    return HTMLResponse(render("page.html", view=view, live=address.rolling, clear=cleared(address, "/")))


def events(source: Source, address: Address) -> Response:
    question, found = source.behind(address)
    since, until = question.since.isoformat(), question.until.isoformat()

    def turn(page: int) -> str:
        """With the window as it is now, so that no event comes twice or never."""
        return address.to("/events", since=since, until=until, page=page)

    view = View({}, question, address)
    return HTMLResponse(
        render(
            "events.html", view=view, found=found, page=address.page, size_of_page=PAGE, turn=turn, path="/events",
            clear=cleared(address, "/events"),
        )
    )  # fmt: skip


def as_json(source: Source, address: Address) -> Response:
    return Response(orjson.dumps(source.answer(address)[1]), media_type="application/json")


show: dict[str, Callable[[Source, Address], Response]] = {"/": overview, "/events": events, "/answer.json": as_json}


def cleared(address: Address, path: str) -> str:
    return address.to(path, **dict.fromkeys(address.filters), page=None)


def choose(request: Request) -> Response:
    """From a form to the address that it asks for."""
    given = dict(request.query_params)
    path, field, value = given.pop("path", "/"), given.pop("field", None), given.pop("value", "")
    if path not in PAGES:
        path = "/"
    if field is not None:
        given[field] = value
    for end in ("since", "until"):
        if LOCAL.fullmatch(given.get(end, "")):
            given[end] += "Z"
    try:
        address = Address.read(given.items())
    except ValueError as error:
        return refuse(request, HTTPStatus.BAD_REQUEST, str(error))
    return RedirectResponse(address.to(path), HTTPStatus.SEE_OTHER)


def never() -> bool:
    return False


async def told(request: Request, source: Source) -> AsyncIterator[str]:
    """Server-sent events: `changed` whenever something was written, but not more often than the page can follow."""
    seen = await run_in_threadpool(source.stamp)
    yield "retry: 3000\n\n"
    while not await request.is_disconnected():
        until = asyncio.get_running_loop().time() + max(LOOK, REST * source.took)
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(ENDING)
            if getattr(request.app.state, "ending", never)():
                return
        now = await run_in_threadpool(source.stamp)
        if now != seen:
            seen = now
            yield "event: changed\ndata:\n\n"
        else:
            yield ":\n\n"


def unreadable(request: Request, error: Exception) -> Response:
    return refuse(request, HTTPStatus.SERVICE_UNAVAILABLE, f"The store cannot be read: {str(error).splitlines()[0]}")


def refuse(request: Request, status: HTTPStatus, sentence: str) -> Response:
    """One sentence, and where to go on."""
    again, text = "", ""
    if status == HTTPStatus.UNAUTHORIZED and "token" not in request.query_params:
        # A browser that came from another site did not send the cookie (SameSite=Strict); from here it does.
        again = "/" + str(request.url.path).lstrip("/") + (f"?{request.url.query}" if request.url.query else "")
        text = "I did, and came here by a link from elsewhere: go on"
    elif status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
        again, text = "/", "Back to the numbers"
    page = render(
        "refused.html", title=status.phrase, sentence=visible(sentence), hint="", again=again, again_text=text
    )
    return HTMLResponse(page, status)
