"""What each of the models has below /models/NAME/: all that one model alone has at /."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_serve.api.predict_endpoint import Predicting
from edge_serve.api.web_page import Page
from edge_serve.http.answer_text import JSONResponse
from edge_serve.http.refusal import Refusal
from edge_serve.http.routes import route

# Of any name: who has no token does not learn which models there are.
_PAGE_PATH = re.compile(r"/models/[^/]+(/(static/[^/]+)?)?")
_START = "/models/{model}"


@dataclass(frozen=True, slots=True)
class NamedModels:
    """The models by name, and the page that each has; with `locked` nobody is told of a page which model it lacks."""

    models: Mapping[str, Predicting]
    page: Page
    locked: bool

    @property
    def routes(self) -> list[Route]:
        """The paths of all of them."""
        return [
            route("/models", self.listed),
            route(_START, self.folder),
            route(f"{_START}/", self.shown),
            route(f"{_START}/static/{{file}}", self.shown),
            route(f"{_START}/model", self.model),
            route(f"{_START}/predict", self.predict, "POST"),
        ]

    @staticmethod
    def is_page(path: str) -> bool:
        """Whether it is the path of such a page, or of a file that it is made of."""
        return _PAGE_PATH.fullmatch(path) is not None

    async def listed(self, _: Request) -> Response:
        """Every model by name, and what it tells apart."""
        return JSONResponse({"models": [_summary(name, each) for name, each in self.models.items()]})

    async def folder(self, request: Request) -> Response:
        """Where the page is: its own addresses begin at its folder."""
        # Relative, for a proxy may have taken what stands before it off the path.
        name = quote(request.path_params["model"], safe="")
        raise Refusal(308, "path", "the page is a folder", headers={"location": f"{name}/"})

    async def shown(self, request: Request) -> Response:
        """The page, or a file of it."""
        if not self.locked:
            self._asked(request)
        file = request.path_params.get("file")
        path = "/" if file is None else f"/static/{file}"
        if path not in self.page.paths:
            raise Refusal(404, "path", "there is nothing at this path", "GET /openapi.json tells what there is")
        return self.page.answer(request, path)

    async def model(self, request: Request) -> Response:
        """What one model alone has at /model."""
        return await self._asked(request).model(request)

    async def predict(self, request: Request) -> Response:
        """What one model alone has at /predict."""
        return await self._asked(request).predict(request)

    def _asked(self, request: Request) -> Predicting:
        found = self.models.get(request.path_params["model"])
        if found is None:
            raise Refusal(404, "path", "there is no model of that name", "GET /models tells the names")
        return found


async def unnamed(_: Request) -> Response:
    """What a path of one model alone says where there are several."""
    raise Refusal(
        404, "path", "there are several models here", "put /models/NAME before the path; GET /models tells the names"
    )


def _summary(name: str, predicting: Predicting) -> dict[str, Any]:
    model = predicting.engine.model
    card = model.wide.card
    return {
        "name": name,
        "kind": card.kind,
        "labels": list(card.labels),
        "backbone": card.backbone,
        "precision": card.precision,
        "loaded": model.loaded,
        "signed_by": model.signed_by or None,
    }
