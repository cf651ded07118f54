"""The models that are served: each with its engine, all on the same threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from edge_runtime import DriftRecord, UsageError, identify_file
from edge_serve.model.engine import AnswerRecord, Engine
from edge_serve.model.loaded_model import LoadedModel, load_model
from edge_serve.model.worker_pool import WorkerPool
from edge_serve.observability.prometheus import Metrics, ModelMetrics
from edge_serve.settings import ServeSettings


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model under its `name`: `settings` as if it were served alone, what answers, and what is counted.

    `tag` is its name where there are several models, else "": what is written down of one model alone needs no name.
    """

    name: str
    settings: ServeSettings
    engine: Engine
    metrics: ModelMetrics
    record: AnswerRecord | None
    tag: str


@contextmanager
def open_models(
    settings: ServeSettings, metrics: Metrics, say: Callable[[str], None]
) -> Iterator[Mapping[str, ServedModel]]:
    """The models by name, open and tried; `say` is told how each is run.

    Raises UsageError or ModelError where a file cannot serve; nothing is opened where one is missing.
    """
    for path in settings.models.values():
        # Before the others take their time.
        if settings.several and identify_file(path) is None:
            raise UsageError(f"{path} does not exist", "make one with edge export, or name another with `model`")
    own = {name: settings.alone(name) for name in settings.models}
    loaded: dict[str, LoadedModel] = {}
    for name, alone in own.items():
        loaded[name] = load_model(alone)
        choice = loaded[name].choice
        say(f"{name}: " * settings.several + f"batching {'on' if choice.on else 'off'}: {choice.reason}")
    batching = settings.batching == "on" or any(each.choice.on for each in loaded.values())
    threads = next(iter(loaded.values())).threads
    pool = WorkerPool(settings, threads, batching=batching)
    with ExitStack() as records:
        served = {}
        for name, alone in own.items():
            model, counted = loaded[name], metrics.of(name)
            record = _open_record(alone, model, say, several=settings.several)
            if record is not None:
                records.enter_context(record)
                counted.show_drift(record.figures)
            counted.show_model(model.wide.card)
            engine = Engine(alone, model, counted, pool, record)
            served[name] = ServedModel(name, alone, engine, counted, record, name if settings.several else "")
        yield served


def _open_record(
    settings: ServeSettings, model: LoadedModel, say: Callable[[str], None], *, several: bool
) -> DriftRecord | None:
    """The record of drift, where one is asked for; raises as it does, but among several models is only said of one."""
    if settings.drift is None:
        return None
    card = model.wide.card
    if several and card.kind != "single-label":
        say(f"note: no record of drift for {settings.model_name}: it is a {card.kind} model")
        return None
    return DriftRecord(settings.drift, card, say)
