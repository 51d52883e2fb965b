"""ASGI middleware that authenticates every request to Dagster's and MLflow's web applications, which trust any client.

A request passes only with the token, for an allowed host, from a page of the same origin or as a page that a user
opens, and never as a query by GET. A link or image on another page, another server on this machine, or a name bound to
this address can therefore neither start a run nor read one. The token arrives once in the address that `r1 ui` prints,
or is posted by the page of `sign_in`, and stays in a cookie. The proxy headers `X-Forwarded-*` are ignored: the host
decides which origin a request belongs to. The application learns the scheme from that origin, and no client address,
since behind a proxy every client would have the address of this machine. Not covered: processes that can read this
user's files, and encryption.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote_plus

from dagster_defs.web import sign_in

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN = "R1_UI_TOKEN"
"""Environment variable with the token, read by the servers of `r1 ui`."""
ENCRYPTED = "https://"
UNAUTHENTICATED = 401
SINGLE_HEADERS = (b"host", b"origin", b"content-type", b"sec-fetch-site")
"""Headers that decide about a request; a duplicate is refused, since the application might read the other one."""


class AuthMiddleware:
    """An ASGI application that authenticates requests for another one."""

    def __init__(self, app: App, origins: Iterable[str], token: str) -> None:
        """Takes the allowed `origins` in the form that browsers send: `http://127.0.0.1:3000`."""
        self._app = app
        self._origins = {origin.partition("://")[2]: origin for origin in origins}
        self._token = token
        self.cookie = f"r1_{hashlib.sha256(token.encode()).hexdigest()[:8]}"
        """Name of the cookie, different for each `r1 ui`, because browsers share cookies among all ports."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        refusal = self._refusal(scope, headers, query)
        passes = refusal is None or refusal[0] == UNAUTHENTICATED
        if passes and scope.get("method") == "POST" and scope["path"] == sign_in.PATH:
            await self._sign_in(scope, receive, send, headers)
        elif refusal and passes and scope.get("method") == "GET" and "text/html" in headers.get("accept", ""):
            await _send(send, UNAUTHENTICATED, b"text/html; charset=utf-8", sign_in.PAGE, sign_in.HEADERS)
        elif refusal:
            await _respond(scope, receive, send, *refusal, [])
        elif scope["type"] == "http" and "token" in query:
            there = [(b"location", _without_token(scope).encode())]
            await _respond(scope, receive, send, 303, "", [*there, self._cookie(self._origins[headers["host"]])])
        else:
            await self._app(_rewritten_scope(scope, self._origins[headers["host"]]), receive, _forbid_framing(send))

    def _refusal(self, scope: Scope, headers: dict[str, str], query: dict[str, list[str]]) -> tuple[int, str] | None:
        """Returns status and reason of a refusal, or None for a request that may pass."""
        method, path = scope.get("method", "GET"), scope["path"]
        names = [name.lower() for name, _ in scope["headers"]]
        if any(names.count(name) > 1 for name in SINGLE_HEADERS) or ".." in path.split("/"):
            return 400, "duplicate header or path traversal"
        origin = self._origins.get(headers.get("host", ""))
        if origin is None:
            return (
                403,
                "this host is not allowed; open the address that r1 ui printed (a proxy must forward the Host header)",
            )
        if headers.get("origin", origin) != origin:
            return 403, "requests from other origins are refused"
        open_instance = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not open_instance:
            return 403, "requests from other sites are refused"
        if scope["type"] == "http" and path.rstrip("/").endswith("/graphql") and method == "GET" and "query" in query:
            return 405, "queries by GET are refused; send them by POST"
        if method == "POST" and not headers.get("content-type", "").startswith("application/json"):
            return 415, "POST bodies must be application/json"
        if not self._is_authenticated(headers, query):
            return UNAUTHENTICATED, "missing or wrong token; open the address that r1 ui printed"
        return None

    async def _sign_in(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        """Answers the page of `sign_in`: with the cookie if the body has the token, otherwise with 401."""
        if self._is_token(sign_in.posted_token(await _body(receive, sign_in.LONGEST))):
            await _respond(scope, receive, send, 204, "", [self._cookie(self._origins[headers["host"]])])
        else:
            await _respond(scope, receive, send, UNAUTHENTICATED, "wrong token", [])

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(errors="replace"), self._token.encode())

    def _is_authenticated(self, headers: dict[str, str], query: dict[str, list[str]]) -> bool:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        cookies = dict(part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";"))
        tokens = [bearer, cookies.get(self.cookie, ""), *query.get("token", [])]
        return any(map(self._is_token, tokens))

    def _cookie(self, origin: str) -> tuple[bytes, bytes]:
        """Returns the header that keeps the token in a cookie of the browser."""
        secure = "; Secure" if origin.startswith(ENCRYPTED) else ""
        return b"set-cookie", f"{self.cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/{secure}".encode()


def _without_token(scope: Scope) -> str:
    """Returns path and query of a request without the token; an address of this server, whatever the path was."""
    pairs = scope.get("query_string", b"").decode("latin-1").split("&")
    kept = [pair for pair in pairs if pair and unquote_plus(pair.partition("=")[0]) != "token"]
    query = quote("&".join(kept), safe="%=&+/:?@!$'()*,;~[]")
    return "/" + quote(scope["path"].lstrip("/\\")) + (f"?{query}" if query else "")


async def _body(receive: Receive, longest: int) -> bytes:
    """Returns the body of a request; empty if it is longer than `longest` bytes, of which no more is read."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > longest:
            return b""
    return body


def _rewritten_scope(scope: Scope, origin: str) -> Scope:
    """Returns the scope for the application: with the scheme that the browser used, and without a client address."""
    scheme = {"http": "http", "websocket": "ws"}[scope["type"]] + ("s" if origin.startswith(ENCRYPTED) else "")
    return {**scope, "scheme": scheme, "client": None}


def _forbid_framing(send: Send) -> Send:
    """Wraps `send` so that every response forbids framing by other pages."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), (b"x-frame-options", b"DENY")]}
        await send(message)

    return sending


async def _respond(
    scope: Scope, receive: Receive, send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]]
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
    else:
        await _send(send, status, b"text/plain; charset=utf-8", f"{text}\n" if text else "", headers)


async def _send(send: Send, status: int, kind: bytes, text: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *headers]})
    await send({"type": "http.response.body", "body": text.encode()})
