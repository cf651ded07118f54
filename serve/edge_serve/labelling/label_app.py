"""The application behind the page: the list, the pictures, and what is said of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from edge_runtime import EdgeError, ImageError, UsageError, plain_text
from edge_serve.api.web_page import Page
from edge_serve.http.answer_text import JSONResponse
from edge_serve.http.body import BodyBudget, read_whole
from edge_serve.http.gate import Gate
from edge_serve.http.hosts import HostCheck
from edge_serve.http.limits import ServeLimits
from edge_serve.http.refusal import Refusal
from edge_serve.http.routes import route, routed
from edge_serve.http.tokens import TokenCheck
from edge_serve.labelling.label_session import Figures, LabelSession
from edge_serve.labelling.orders import Order
from edge_serve.labelling.thumbnails import SIDES_PX, Thumbnails
from edge_serve.observability.prometheus import Metrics
from edge_serve.observability.request_log import RequestLog

_T = TypeVar("_T")

_MOST_DIGITS = 9


@dataclass(frozen=True, eq=False)
class LabelPage:
    """What the page shows: the session, the path and fault of each row, what a model says, and the orders.

    `title` is what the list is called, `order` the one to begin with.
    """

    session: LabelSession
    title: str
    places: Sequence[str]
    problems: Sequence[str]
    figures: Sequence[Figures]
    orders: Mapping[Order, Sequence[int]]
    order: Order


def build_label_app(
    page: LabelPage, *, hosts: HostCheck, token: str, limits: ServeLimits, log: RequestLog, pool: ThreadPoolExecutor
) -> Gate:
    """The ASGI application that labels `page`'s rows for who has the token; pictures are read on `pool`."""
    static = Page(files("edge_serve").joinpath("labelling", "static"))
    labelling = _Labelling(page, limits, pool)
    routes = [
        route("/list", labelling.list),
        route("/picture/{row}", labelling.picture),
        route("/label", labelling.label, "POST"),
        route("/undo", labelling.undo, "POST"),
        route("/classes", labelling.add_class, "POST"),
        *(route(path, static) for path in sorted(static.paths)),
    ]
    return Gate(
        routed(routes, "the page is at /"),
        hosts=hosts,
        token=TokenCheck(token),
        is_open=static.paths.__contains__,
        metrics=Metrics(),
        log=log,
    )


class _Labelling:
    """The endpoints."""

    def __init__(self, page: LabelPage, limits: ServeLimits, pool: ThreadPoolExecutor) -> None:
        self._page = page
        self._session = page.session
        self._limits = limits
        self._budget = BodyBudget(limits)
        self._pool = pool
        self._thumbnails = Thumbnails()

    async def list(self, _: Request) -> Response:
        """All there is to know at the start: rows, classes, orders."""
        page, session = self._page, self._session
        file = session.file
        rows = [
            {
                "name": plain_text(file.cell(row, "path")),
                **self._state(row),
                **({"answer": figures.answer, "probability": figures.probability} if figures.answer else {}),
                **(
                    {}
                    if figures.label_probability is None
                    else {"label_probability": figures.label_probability, "of_label": figures.of_label}
                ),
                **({"problem": page.problems[row]} if page.problems[row] else {}),
            }
            for row, figures in enumerate(page.figures)
        ]
        return JSONResponse(
            {
                "title": page.title,
                "out": file.path.name,
                "next_step": file.next_step,
                "review": session.since is not None,
                "rows": rows,
                "orders": page.orders,
                "order": page.order,
                **self._common(),
            }
        )

    async def picture(self, request: Request) -> Response:
        """A row's picture as JPEG, `?side=` pixels on its longer side."""
        row, side = _row_number(request.path_params["row"]), request.query_params.get("side", str(SIDES_PX[-1]))
        if row is None or row >= len(self._page.places):
            raise Refusal(404, "row", "there is no such row", "reload the page")
        if side not in map(str, SIDES_PX):
            raise Refusal(400, "side", "`side` is not known", f"ask for {' or '.join(map(str, SIDES_PX))}")
        name = plain_text(self._session.file.cell(row, "path"))
        if problem := self._page.problems[row]:
            raise Refusal(422, "picture", problem)
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._pool, self._thumbnails.get, self._page.places[row], int(side), name)
        except ImageError as error:
            raise Refusal(422, "picture", error.message, error.hint) from None
        return Response(made, media_type="image/jpeg")

    async def label(self, request: Request) -> Response:
        """`{"labels": {"ROW": "LABEL" or ""}}`, written when it is answered."""
        value = await self._body(request)
        labels = value.get("labels")
        if not isinstance(labels, dict):
            raise Refusal(400, "body", "`labels` is no object of rows and labels")
        wanted: dict[int, str] = {}
        for name, label in labels.items():
            row = _row_number(name)
            if row is None or not isinstance(label, str):
                raise Refusal(400, "body", "`labels` is no object of rows and labels")
            wanted[row] = label
        return await self._change(lambda: self._session.label(wanted))

    async def undo(self, request: Request) -> Response:
        """Takes the last step back; `rows` is empty where there is none."""
        await self._body(request)
        return await self._change(self._session.undo)

    async def add_class(self, request: Request) -> Response:
        """`{"name": NAME}`: a class more."""
        name = (await self._body(request)).get("name")
        if not isinstance(name, str):
            raise Refusal(400, "body", "`name` is no text")
        label = await self._done(lambda: self._session.add_class(name))
        return JSONResponse({"name": label, **self._common()})

    async def _change(self, change: Callable[[], Sequence[int]]) -> Response:
        rows = await self._done(change)
        return JSONResponse({"rows": {str(row): self._state(row) for row in rows}, **self._common()})

    async def _done(self, change: Callable[[], _T]) -> _T:
        """What `change` gives, worked out on a thread: it waits for the disk."""
        try:
            return await asyncio.to_thread(change)
        except UsageError as error:
            raise Refusal(400, "label", error.message, error.hint) from None
        except EdgeError as error:
            raise Refusal(507, "disk", error.message, error.hint) from None

    async def _body(self, request: Request) -> dict[str, Any]:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Refusal(415, "type", "this takes application/json")
        with self._budget.share() as share:
            data = await read_whole(request.receive, request.headers, share, self._limits)
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise Refusal(400, "body", "this is no JSON") from None
        if not isinstance(value, dict):
            raise Refusal(400, "body", "this is no JSON object")
        return value

    def _state(self, row: int) -> dict[str, Any]:
        return {"label": self._session.file.label(row), "done": self._session.is_done(row)}

    def _common(self) -> dict[str, Any]:
        return {"classes": self._session.classes, "can_undo": self._session.can_undo}


def _row_number(text: str) -> int | None:
    """The number of a row, which has one spelling, so that no request names a row twice; None where it is none."""
    # Python reads no number of thousands of digits.
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None
    return number if number is not None and str(number) == text else None
