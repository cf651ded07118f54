"""The application: which path leads where."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from edge_serve.api.named_models import NamedModels, unnamed
from edge_serve.api.open_inference import OpenInference
from edge_serve.api.openapi import openapi
from edge_serve.api.predict_endpoint import Predicting
from edge_serve.api.web_page import Page
from edge_serve.http.answer_text import JSONResponse
from edge_serve.http.body import BodyBudget
from edge_serve.http.gate import Gate
from edge_serve.http.routes import route, routed
from edge_serve.http.tokens import TokenCheck
from edge_serve.model.served_model import ServedModel
from edge_serve.observability.prometheus import Metrics
from edge_serve.observability.request_log import RequestLog
from edge_serve.settings import ServeSettings


def build_app(settings: ServeSettings, models: Mapping[str, ServedModel], metrics: Metrics, log: RequestLog) -> Gate:
    """The ASGI application that serves `models`, by name, as `settings` say."""
    budget = BodyBudget(settings.limits, settings.workers)
    names = tuple(models) if settings.several else ()
    predicting = {name: Predicting(each, budget, names) for name, each in models.items()}
    inference = OpenInference(models, settings.limits, budget)
    page = Page()
    start = Page(files("edge_serve").joinpath("models_page")) if settings.several else page
    named = NamedModels(predicting, page, locked=settings.token is not None)
    document = openapi(settings)

    async def healthz(request: Request) -> Response:
        draining = request.scope["edge"].draining
        return JSONResponse({"status": "draining" if draining else "ok"}, status_code=503 if draining else 200)

    async def exposition(_: Request) -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def described(_: Request) -> Response:
        return JSONResponse(document)

    one = predicting[settings.model_name]
    routes = [
        route("/predict", unnamed if settings.several else one.predict, "POST"),
        route("/model", unnamed if settings.several else one.model),
        *named.routes,
        route("/healthz", healthz),
        route("/metrics", exposition),
        route("/openapi.json", described),
        route("/v2", inference.server),
        route("/v2/health/live", inference.live),
        route("/v2/health/ready", inference.ready),
    ]
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            route(path, inference.model),
            route(f"{path}/ready", inference.model_ready),
            route(f"{path}/infer", inference.infer, "POST"),
        ]
    routes += [route(path, start) for path in sorted(start.paths)]
    token = None if settings.token is None else TokenCheck(settings.token)
    return Gate(
        routed(routes, "GET /openapi.json tells what there is"),
        hosts=settings.host_check(),
        token=token,
        is_open=lambda path: path in start.paths or named.is_page(path),
        metrics=metrics,
        log=log,
        prefix=settings.path_prefix,
    )
