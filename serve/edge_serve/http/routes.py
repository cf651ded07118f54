"""Which path leads where, and what is answered where none does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_serve.http.body import ClientGone
from edge_serve.http.refusal import Refusal

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def routed(routes: Sequence[Route], hint: str) -> ASGIApp:
    """The application of `routes`, which raises Refusal where none is meant; `hint` is told to who asks for nothing."""
    router = Router(routes, redirect_slashes=False)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        # With an application in the scope starlette raises what it would otherwise answer in plain text.
        scope["app"] = router
        try:
            await router(scope, receive, send)
        except HTTPException as error:
            if error.status_code == 405:
                raise Refusal(
                    405, "method", "this path does not take that method", headers=dict(error.headers or {})
                ) from None
            raise Refusal(404, "path", "there is nothing at this path", hint) from None
        except ClientGone:
            return

    return application


def route(path: str, endpoint: Endpoint, method: str = "GET") -> Route:
    """The route of one method of a path; what a request costs is counted under the path as it stands here."""

    async def handle(request: Request) -> Response:
        # What a client makes of it would be a new time series each.
        request.scope["edge"].route = path
        return await endpoint(request)

    return Route(path, handle, methods=[method])
