"""What every request passes on its way in and out: who may come in, how it is counted, what is told of a failure."""

from __future__ import annotations

import asyncio
import json
import random
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_serve.http.hosts import HostCheck
from edge_serve.http.refusal import Refusal
from edge_serve.http.tokens import TokenCheck
from edge_serve.observability.prometheus import Metrics
from edge_serve.observability.request_log import RequestLog

CLIENT_GONE = 499
# Probes have no token, and the page needs none: it holds nothing, and asks for the token itself.
OPEN_PATHS = frozenset({"/healthz", "/v2/health/live", "/v2/health/ready"})
API_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
# What a page of another site may ask with, where it may ask at all (Fetch standard, CORS-preflight).
PREFLIGHT_HEADERS = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "authorization, content-type, inference-header-content-length",
    "access-control-max-age": "600",
    "content-length": "0",
}
_RETRY_WHILE_DRAINING_S = 5
# Numbers of requests need to be different, not secret, and asking the system for them takes longer than all else here.
_draw = random.Random()


@dataclass(slots=True)
class Exchange:
    """One request and what became of it, for the log and the metrics; handlers fill in what they know."""

    id: str
    method: str
    path: str
    route: str = "other"
    # Which of several models it is for.
    model: str = ""
    client: str = ""
    draining: bool = False
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    body_unread: bool = False
    kind: str | None = None
    error: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)


class Gate:
    """The outermost application.

    It checks name, origin and token before a body is read, adds the headers every answer has, turns each exception into
    an answer without path or traceback, and counts and logs it. Paths that `is_open` need no token. While `draining`
    nothing new is let in.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: HostCheck,
        token: TokenCheck | None,
        is_open: Callable[[str], bool],
        metrics: Metrics,
        log: RequestLog,
        prefix: str = "",
    ) -> None:
        self._app = app
        self._prefix = prefix
        self._hosts = hosts
        self._token = token
        self._is_open = is_open
        self._metrics = metrics
        self._log = log
        self.draining = False
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request."""
        started = time.perf_counter()
        headers = dict(scope["headers"])
        client = scope["client"]
        exchange = Exchange(
            id=f"{_draw.getrandbits(64):016x}",
            method=scope["method"],
            path=scope["path"],
            client=client[0] if client else "",
            draining=self.draining,
        )
        length = headers.get(b"content-length", b"0")
        exchange.body_unread = b"transfer-encoding" in headers or length.strip(b"0") != b""
        scope["edge"] = exchange
        origin = headers.get(b"origin", b"")
        way_out = _WayOut(exchange, send, self._sharing(origin))
        accepted = not self.draining
        self.in_flight += accepted
        try:
            try:
                self._strip(scope)
                if self._is_preflight(scope, headers):
                    await way_out.answer(204, PREFLIGHT_HEADERS)
                else:
                    self._let_in(scope, headers)
                    await self._app(scope, _counting(receive, exchange), way_out.send)
            except Refusal as refusal:
                await way_out.refuse(refusal)
            except asyncio.CancelledError:
                if not self.draining:
                    raise
                # What the grace period was too short for.
                await way_out.refuse(_shutting_down())
            except Exception as error:
                # What failed is for the log; a stranger learns nothing of it.
                exchange.error = f"{type(error).__name__}: {error} ({_place(error)})"
                await way_out.refuse(Refusal(500, "internal", "the server failed on this request", "its log says why"))
        finally:
            self.in_flight -= accepted
            self._note(exchange, time.perf_counter() - started)

    def _strip(self, scope: Scope) -> None:
        """Take the prefix off the path, where the proxy in front has left it there."""
        path = scope["path"]
        if self._prefix and path == self._prefix:
            # The page's own addresses begin at its folder.
            raise Refusal(308, "path", "the page is a folder", headers={"location": f"{self._prefix}/"})
        if self._prefix and path.startswith(f"{self._prefix}/"):
            scope["path"] = path[len(self._prefix) :]

    def _is_preflight(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a browser asks on behalf of a page of another site, which may, what that page may ask."""
        if scope["method"] != "OPTIONS" or b"access-control-request-method" not in headers:
            return False
        self._hosts.check(headers.get(b"host", b""), b"", b"", changes=False)
        return self._hosts.may_share(headers.get(b"origin", b""))

    def _sharing(self, origin: bytes) -> Mapping[str, str]:
        """The headers that let a page of that origin read the answer, if it may."""
        if not self._hosts.origins:
            return {}
        if not self._hosts.may_share(origin):
            return {"vary": "Origin"}
        return {
            "vary": "Origin",
            "access-control-allow-origin": origin.decode(),
            "access-control-expose-headers": "x-request-id, retry-after, inference-header-content-length",
            "cross-origin-resource-policy": "cross-origin",
        }

    def _let_in(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        changes = scope["method"] not in ("GET", "HEAD", "OPTIONS")
        self._hosts.check(
            headers.get(b"host", b""), headers.get(b"origin", b""), headers.get(b"sec-fetch-site", b""), changes=changes
        )
        if self.draining and scope["path"] not in OPEN_PATHS:
            raise _shutting_down()
        if self._token is None or scope["path"] in OPEN_PATHS or self._is_open(scope["path"]):
            return
        if not self._token(headers.get(b"authorization", b"")):
            raise Refusal(
                401,
                "token",
                "a token is needed",
                "send it as 'Authorization: Bearer TOKEN'",
                {"www-authenticate": 'Bearer realm="edge"'},
            )

    def _note(self, exchange: Exchange, seconds: float) -> None:
        status = exchange.status or CLIENT_GONE
        if not exchange.status:
            exchange.kind = "gone"
        # Anyone may invent methods; each new one would be a new time series.
        known = exchange.method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
        method = exchange.method if known else "other"
        self._metrics.answered(method, exchange.route, status, seconds, exchange.model)
        if exchange.kind:
            self._metrics.failed(exchange.kind, exchange.model)
        self._log.event(
            "request",
            level="error" if status == 500 else "info",
            id=exchange.id,
            client=exchange.client,
            method=exchange.method,
            path=exchange.path[:200],
            model=exchange.model or None,
            status=status,
            ms=round(seconds * 1e3, 3),
            bytes_in=exchange.bytes_in,
            bytes_out=exchange.bytes_out,
            kind=exchange.kind,
            error=exchange.error,
            **exchange.figures,
        )


class _WayOut:
    """Sends an answer with the headers every answer has."""

    def __init__(self, exchange: Exchange, send: Send, more: Mapping[str, str]) -> None:
        self._exchange = exchange
        self._send = send
        self._more = more

    async def send(self, message: Message) -> None:
        exchange = self._exchange
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            headers = message["headers"] = list(message.get("headers", ()))
            there = {name for name, _ in headers}
            wanted = {**API_HEADERS, **self._more, "x-request-id": exchange.id}
            # What was not read of a body would be taken for the next request, or read without a limit.
            if exchange.body_unread:
                wanted["connection"] = "close"
            headers += [(name.encode(), value.encode()) for name, value in wanted.items() if name.encode() not in there]
        else:
            exchange.bytes_out += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with what is wrong, unless an answer has begun."""
        self._exchange.kind = refusal.kind
        self._exchange.error = self._exchange.error or refusal.message
        if self._exchange.status:
            return
        body = json.dumps({**refusal.to_json(), "request_id": self._exchange.id}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
        await self.answer(refusal.status, headers, body)

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Answer with these headers, those that every answer has, and `body`."""
        start = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": start})
        await self.send({"type": "http.response.body", "body": body})


def _shutting_down() -> Refusal:
    return Refusal(
        503,
        "draining",
        "the server is shutting down",
        "ask again when it is back",
        {"retry-after": str(_RETRY_WHILE_DRAINING_S), "connection": "close"},
    )


def _counting(receive: Receive, exchange: Exchange) -> Receive:
    async def counted() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            exchange.bytes_in += len(message.get("body", b""))
            if not message.get("more_body", False):
                exchange.body_unread = False
        return message

    return counted


def _place(error: BaseException) -> str:
    """The line it was raised at, as file name and number."""
    for frame in traceback.extract_tb(error.__traceback__, limit=-1):
        return f"{Path(frame.filename).name}:{frame.lineno}"
    return "nowhere"
