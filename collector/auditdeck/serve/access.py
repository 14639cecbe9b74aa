"""Who may look: the Host header, the token, and what a browser may do with an answer.

The token comes once in the address that `auditdeck serve` prints, and is kept as a cookie after that. On a unix socket
its file's permissions take the token's place.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
    "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
))  # fmt: skip
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
OPEN = "/assets/"
"""Style, scripts and pictures of the package: nothing of this host."""

Refuse = Callable[[Request, HTTPStatus, str], Response]


class Access:
    """Around an application. `token` is None on a unix socket; `name` is the host name that --listen names."""

    def __init__(self, app: ASGIApp, refuse: Refuse, token: str | None, name: str = "localhost") -> None:
        self.app = app
        self.refuse = refuse
        self.token = token
        self.name = name.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self.check(Request(scope)) or self.app
        await answer(scope, receive, send_with_headers)

    def check(self, request: Request) -> Response | None:
        """The answer to a request that may not pass."""
        if not self.is_own(request.headers.get("host", "")):
            return self.refuse(request, HTTPStatus.MISDIRECTED_REQUEST, "This name is not one of this server.")
        if self.token is None or request.url.path.startswith(OPEN):
            return None
        if "token" in request.query_params:
            return self.enter(request, request.query_params["token"])
        if not secrets.compare_digest(request.cookies.get(cookie(request), "").encode(), self.token.encode()):
            return self.refuse(
                request, HTTPStatus.UNAUTHORIZED, "Open the address that `auditdeck serve` printed when it began."
            )
        return None

    def is_own(self, host: str) -> bool:
        """A number, localhost, or the name that was asked for: a site that points its own name here has another one."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        name = name.lower()
        if name in ("localhost", self.name):
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def enter(self, request: Request, given: str) -> Response:
        """From the address with the token to the one without, with the cookie."""
        if self.token is None or not secrets.compare_digest(given.encode(), self.token.encode()):
            return self.refuse(
                request,
                HTTPStatus.UNAUTHORIZED,
                "This token is not valid any more; `auditdeck serve` printed a new one.",
            )
        rest = [(name, value) for name, value in parse_qsl(request.url.query, True) if name != "token"]
        target = request.url.path + (f"?{urlencode(rest)}" if rest else "")
        # A path such as //elsewhere would lead to another host.
        response = RedirectResponse("/" + target.lstrip("/"), HTTPStatus.SEE_OTHER)
        response.set_cookie(cookie(request), self.token, httponly=True, samesite="strict")
        return response


def cookie(request: Request) -> str:
    """Cookies do not tell ports apart (RFC 6265, section 8.5); two servers on one host have names of their own."""
    return f"auditdeck-{(request.scope.get('server') or ('', 0))[1]}"
