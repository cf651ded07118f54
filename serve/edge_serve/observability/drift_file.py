"""The record of drift of a model that is served."""

from __future__ import annotations

from collections.abc import Callable

from edge_runtime import DriftRecord, ModelCard
from edge_serve.settings import ServeSettings


def open_record(settings: ServeSettings, name: str, card: ModelCard, say: Callable[[str], None]) -> DriftRecord | None:
    """The record of that model's drift, where one is asked for.

    Raises as it does; but of a model among several that gives several labels it is only said that there is none.
    """
    path = settings.alone(name).drift
    if path is None:
        return None
    if settings.several and card.kind != "single-label":
        say(f"note: no record of drift for {name}: it is a {card.kind} model")
        return None
    return DriftRecord(path, card, say)
