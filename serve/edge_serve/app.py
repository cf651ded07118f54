"""The application: which path leads where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_serve.api.open_inference import OpenInference
from edge_serve.api.openapi import openapi
from edge_serve.api.predict_endpoint import Predicting
from edge_serve.api.web_page import Page
from edge_serve.http.body import BodyBudget, ClientGone
from edge_serve.http.gate import Gate
from edge_serve.http.refusal import Refusal
from edge_serve.http.tokens import TokenCheck
from edge_serve.model.engine import Engine
from edge_serve.observability.prometheus import Metrics
from edge_serve.observability.request_log import RequestLog
from edge_serve.settings import ServeSettings

Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(settings: ServeSettings, engine: Engine, metrics: Metrics, log: RequestLog) -> Gate:
    """The ASGI application that serves `engine`'s model as `settings` say."""
    budget = BodyBudget(settings.limits)
    page = Page()
    predicting = Predicting(settings, engine, budget)
    inference = OpenInference(settings, engine, budget)
    document = openapi(settings)

    async def healthz(request: Request) -> Response:
        draining = request.scope["edge"].draining
        return JSONResponse({"status": "draining" if draining else "ok"}, status_code=503 if draining else 200)

    async def exposition(_: Request) -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def described(_: Request) -> Response:
        return JSONResponse(document)

    routes = [
        _route("/predict", predicting.predict, "POST"),
        _route("/model", predicting.model),
        _route("/healthz", healthz),
        _route("/metrics", exposition),
        _route("/openapi.json", described),
        _route("/v2", inference.server),
        _route("/v2/health/live", inference.live),
        _route("/v2/health/ready", inference.ready),
    ]
    for start in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            _route(start, inference.model),
            _route(f"{start}/ready", inference.model_ready),
            _route(f"{start}/infer", inference.infer, "POST"),
        ]
    routes += [_route(path, page) for path in sorted(page.paths)]
    token = None if settings.token is None else TokenCheck(settings.token)
    return Gate(
        _application(routes), hosts=settings.host_check(), token=token, open_paths=page.paths, metrics=metrics, log=log
    )


def _application(routes: list[Route]) -> ASGIApp:
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
            raise Refusal(
                404, "path", "there is nothing at this path", "GET /openapi.json tells what there is"
            ) from None
        except ClientGone:
            return

    return application


def _route(path: str, endpoint: Endpoint, method: str = "GET") -> Route:
    async def handle(request: Request) -> Response:
        # The path as it stands here: what a client makes of it would be a new time series each.
        request.scope["edge"].route = path
        return await endpoint(request)

    return Route(path, handle, methods=[method])
