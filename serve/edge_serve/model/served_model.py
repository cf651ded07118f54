"""The models that are served: each with its engine, all on the same threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from edge_runtime import ModelCard, UsageError, identify_file
from edge_serve.model.batching import BatchChoice
from edge_serve.model.engine import AnswerRecord, Engine
from edge_serve.model.loaded_model import LoadedModel, load_model
from edge_serve.model.worker_pool import WorkerPool
from edge_serve.observability.drift_file import open_record
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
    settings: ServeSettings,
    metrics: Metrics,
    say: Callable[[str], None],
    *,
    known: Mapping[str, BatchChoice] | None = None,
    record_of: Callable[[str, ModelCard], AnswerRecord] | None = None,
) -> Iterator[Mapping[str, ServedModel]]:
    """The models by name, open and tried; `say` is told how each is run.

    How they are run best is measured, unless it is `known`. Answers are recorded as the settings say, unless
    `record_of` gives another record of a model.

    Raises UsageError or ModelError where a file cannot serve; nothing is opened where one is missing.
    """
    for path in settings.models.values():
        # Before the others take their time.
        if settings.several and identify_file(path) is None:
            raise UsageError(f"{path} does not exist", "make one with edge export, or name another with `model`")
    own = {name: settings.alone(name) for name in settings.models}
    loaded: dict[str, LoadedModel] = {}
    for name, alone in own.items():
        loaded[name] = load_model(alone, known=(known or {}).get(name))
        choice = loaded[name].choice
        if loaded[name].engine != "onnxruntime":
            say(f"{name}: " * settings.several + f"run by {loaded[name].engine}")
        say(f"{name}: " * settings.several + f"batching {'on' if choice.on else 'off'}: {choice.reason}")
    batching = settings.batching == "on" or any(each.choice.on for each in loaded.values())
    threads = next(iter(loaded.values())).threads
    pool = WorkerPool(settings, threads, batching=batching)
    with ExitStack() as records:
        served = {}
        for name, alone in own.items():
            model, counted = loaded[name], metrics.of(name)
            card = model.wide.card
            record: AnswerRecord | None = None
            if record_of is not None:
                record = record_of(name, card)
            elif (own_record := open_record(settings, name, card, say)) is not None:
                record = records.enter_context(own_record)
                counted.show_drift(own_record.figures)
            counted.show_model(card)
            engine = Engine(alone, model, counted, pool, record)
            served[name] = ServedModel(name, alone, engine, counted, record, name if settings.several else "")
        yield served
