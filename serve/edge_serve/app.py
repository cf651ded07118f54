"""The application: which path leads where."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_serve.api.open_inference import OpenInference
from edge_serve.api.openapi import openapi
from edge_serve.api.predict_endpoint import Predicting
from edge_serve.api.web_page import Page
from edge_serve.http.body import BodyBudget
from edge_serve.http.gate import Gate
from edge_serve.http.routes import route, routed
from edge_serve.http.tokens import TokenCheck
from edge_serve.model.engine import Engine
from edge_serve.observability.prometheus import Metrics
from edge_serve.observability.request_log import RequestLog
from edge_serve.settings import ServeSettings


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
        route("/predict", predicting.predict, "POST"),
        route("/model", predicting.model),
        route("/healthz", healthz),
        route("/metrics", exposition),
        route("/openapi.json", described),
        route("/v2", inference.server),
        route("/v2/health/live", inference.live),
        route("/v2/health/ready", inference.ready),
    ]
    for start in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            route(start, inference.model),
            route(f"{start}/ready", inference.model_ready),
            route(f"{start}/infer", inference.infer, "POST"),
        ]
    routes += [route(path, page) for path in sorted(page.paths)]
    token = None if settings.token is None else TokenCheck(settings.token)
    return Gate(
        routed(routes, "GET /openapi.json tells what there is"),
        hosts=settings.host_check(),
        token=token,
        open_paths=page.paths,
        metrics=metrics,
        log=log,
        prefix=settings.path_prefix,
    )
