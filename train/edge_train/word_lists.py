"""Settings that are several words, given as one text with commas or as several texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from edge_runtime import UsageError, as_kind

TrackerName: TypeAlias = Literal["tensorboard", "mlflow", "wandb", "comet"]


def words(given: str | Sequence[str], name: str) -> tuple[str, ...]:
    """The words of texts that may have several, with commas. Raises UsageError, which calls it `name`, for others."""
    parts = ",".join(as_kind(given, tuple[str, ...], f"`{name}`")).split(",")
    return tuple(name for part in parts if (name := part.strip()))


def parse_trackers(given: str | Sequence[str]) -> tuple[str, ...]:
    """Each tracker once, of names that may be several in one text. Raises UsageError for one that is none."""
    names = tuple(dict.fromkeys(words(given, "track")))
    for name in names:
        if name not in get_args(TrackerName):
            raise UsageError(f"`track` {name} is not known", f"choose {', '.join(get_args(TrackerName))}")
    return names
