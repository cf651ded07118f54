"""POST /predict: pictures in, labels and probabilities out. GET /model: what is served."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge_runtime import ImageError
from edge_serve.http.answer_text import JSONResponse
from edge_serve.http.body import BodyBudget, read_chunks, read_whole
from edge_serve.http.limits import ServeLimits
from edge_serve.http.multipart import FILE_NAME_HINT, no_file_name, read_form
from edge_serve.http.refusal import Refusal, short
from edge_serve.model.engine import Answer, Engine
from edge_serve.model.served_model import ServedModel

DEFAULT_TOP = 5
_MOST_TOP = 10_000
_OPTIONS = ("top", "min_confidence", "input")
_PATH = re.compile(r"^(~?[/\\]|[A-Za-z]:[/\\])")
_WHOLE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class _Options:
    """How an answer is to look, from the query or a form's fields."""

    top: int = DEFAULT_TOP
    min_confidence: float = 0.0
    input: bool = False


@dataclass(frozen=True, slots=True)
class Predicting:
    """The endpoints of edge's own interface."""

    served: ServedModel
    budget: BodyBudget
    # The names of all models where there are several.
    names: tuple[str, ...] = ()

    @property
    def engine(self) -> Engine:
        """What answers."""
        return self.served.engine

    @property
    def limits(self) -> ServeLimits:
        """What a client may ask for."""
        return self.served.settings.limits

    async def predict(self, request: Request) -> Response:
        """Classify the picture that is the body, or the files of a form."""
        request.scope["edge"].model = self.served.tag
        options = _options(dict(request.query_params))
        # Before megabytes are read for nothing.
        self.engine.check_room()
        with self.budget.share() as share:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "multipart/form-data":
                chunks = read_chunks(request.receive, request.headers, share, self.limits)
                form = await read_form(chunks, request.headers["content-type"], self.limits)
                for name in form.fields:
                    if name not in _OPTIONS:
                        raise Refusal(422, "option", f"{no_file_name(name)} and is no option", FILE_NAME_HINT)
                options = _options({**request.query_params, **form.fields})
                images = [(upload.name, upload.data) for upload in form.files]
                if not images:
                    raise Refusal(422, "empty", "the form has no file", "curl -F file=@photo.jpg")
            elif not kind or kind.startswith("image/") or kind == "application/octet-stream":
                body = await read_whole(request.receive, request.headers, share, self.limits)
                if not body:
                    raise Refusal(422, "empty", "the body is empty", "curl --data-binary @photo.jpg")
                images = [("picture", body)]
            else:
                raise Refusal(
                    415,
                    "type",
                    f"{short(kind)} is not read",
                    "send image/jpeg or another image type, application/octet-stream or multipart/form-data",
                )
            answers = await self.engine.classify(images, show=options.input)
        return self._respond(request, [name for name, _ in images], answers, options)

    async def model(self, request: Request) -> Response:
        """The model card, the limits, and how the model is run."""
        request.scope["edge"].model = self.served.tag
        model = self.engine.model
        shown = ("body_bytes", "pixels", "files", "queue", "timeout_s")
        return JSONResponse(
            {
                "name": self.served.name,
                "loaded": model.loaded,
                "card": card_json(model.wide.card.to_json()),
                "limits": {name: getattr(self.limits, name) for name in shown},
                "batching": {"on": model.choice.on, "reason": model.choice.reason},
                "signed_by": model.signed_by or None,
                **({"models": list(self.names)} if self.names else {}),
            }
        )

    def _respond(
        self, request: Request, names: list[str], answers: list[Answer | ImageError], options: _Options
    ) -> Response:
        exchange = request.scope["edge"]
        good = [answer for answer in answers if isinstance(answer, Answer)]
        timings = _timings(good)
        exchange.figures = {"images": len(answers), **{f"{step}_ms": value for step, value in timings.items()}}
        if len(good) < len(answers):
            exchange.kind = "image"
            exchange.figures["undecodable"] = len(answers) - len(good)
        if len(answers) == 1 and isinstance(answers[0], ImageError):
            raise Refusal(422, "image", answers[0].message, answers[0].hint)
        results = [
            _answer_json(answer, options)
            if isinstance(answer, Answer)
            else {"image": name, "error": answer.message, "hint": answer.hint}
            for name, answer in zip(names, answers, strict=True)
        ]
        return JSONResponse(
            {"model": self.served.name, "predictions": results, "timing_ms": timings},
            status_code=200 if good else 422,
        )


def card_json(card: Mapping[str, Any]) -> Any:
    """A card as strangers may see it: of a path that training noted, only the last part.

    Labels and tasks stay as the answers have them, also where they look like paths, as /m/0bt9lr does.
    """
    tasks = card.get("tasks", ())
    answered = {*card.get("labels", ()), *(task["name"] for task in tasks)}
    return _without_paths(card, answered.union(*(task["labels"] for task in tasks)))


def _without_paths(value: Any, answered: AbstractSet[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_paths(each, answered) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_paths(each, answered) for each in value]
    if isinstance(value, str) and value not in answered and _PATH.match(value):
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value


def _options(given: Mapping[str, str]) -> _Options:
    """Raises Refusal (422) for a name or a value that means nothing here."""
    for name in given:
        if name not in _OPTIONS:
            raise Refusal(422, "option", f"there is no option {short(name)!r}", f"there are {', '.join(_OPTIONS)}")
    top = given.get("top", str(DEFAULT_TOP))
    if not _WHOLE.fullmatch(top) or not 1 <= int(top) <= _MOST_TOP:
        raise Refusal(422, "option", f"top {short(top)!r} is no whole number from 1 to {_MOST_TOP}")
    confidence = given.get("min_confidence", "0")
    try:
        least = float(confidence)
    except ValueError:
        least = math.nan
    if not 0 <= least <= 1:
        raise Refusal(422, "option", f"min_confidence {short(confidence)!r} is no number from 0 to 1")
    show = given.get("input", "false")
    if show not in ("true", "false"):
        raise Refusal(422, "option", f"input {short(show)!r} is neither true nor false")
    return _Options(int(top), least, show == "true")


def _answer_json(answer: Answer, options: _Options) -> dict[str, Any]:
    value = answer.prediction.to_json(options.top, min_confidence=options.min_confidence)
    if answer.shown is not None:
        value["input"] = answer.shown
    return value


def _timings(answers: list[Answer]) -> dict[str, float]:
    """Milliseconds of the slowest picture in each step."""
    slowest_s = {
        step: max((getattr(answer, f"{step}_s") for answer in answers), default=0.0)
        for step in ("queue", "decode", "inference")
    }
    return {step: round(seconds * 1e3, 3) for step, seconds in slowest_s.items()}
