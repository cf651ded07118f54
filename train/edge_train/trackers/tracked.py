"""What every tracker is told of a run, and where it finds the run that it has of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_data import chart_style, new_figure
from edge_runtime import LIGHT, Run, write_json
from edge_train.run.callbacks import ActiveRun
from edge_train.run.train_result import TrainResult

NAMED_UP_TO, COUNTED_UP_TO = 40, 20


def run_name(active: ActiveRun) -> str:
    """What the run is called there: as its folder, a fold's after that of the whole."""
    path = active.run.path.resolve()
    return f"{path.parent.name}/{path.name}" if "fold" in active.card.data else path.name


def read_identity(run: Run, tracker: str) -> str | None:
    """What `keep_identity` kept; None where there is nothing."""
    path = run.path / "trackers.json"
    found: str | None = json.loads(path.read_text(encoding="utf-8")).get(tracker) if path.is_file() else None
    return found


def keep_identity(run: Run, tracker: str, identity: str) -> None:
    """Note in trackers.json what the tracker calls its run, so that a resumed one goes on there. Raises OutputError."""
    path = run.path / "trackers.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_json(path, {**known, tracker: identity})


def plain_parameters(active: ActiveRun) -> dict[str, str | int | float | bool]:
    """The hyperparameters as any tracker takes them: what is no number is text."""
    parts = active.hyperparameters | {"data_name": active.card.data["name"], "classes": len(active.card.labels)}
    return {name: value if isinstance(value, bool | int | float) else _as_text(value) for name, value in parts.items()}


def _as_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def final_figures(result: TrainResult) -> dict[str, float]:
    """Every number that summary.json has of a split, as `test/accuracy` or `test/species/accuracy`, and of the run."""
    parts = {
        "/".join((split, *(each for each in (task,) if each))): figures
        for split, whole in result.summary["metrics"].items()
        for task, figures in (("", whole), *whole.get("tasks", {}).items())
    }
    found = {f"{part}/{name}": value for part, figures in parts.items() for name, value in figures.items()}
    found |= {name: result.summary[name] for name in ("best_epoch", "temperature", "parameters_trained")}
    return {name: float(value) for name, value in found.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def draw_confusions(result: TrainResult) -> dict[str, NDArray[np.uint8]]:
    """The confusion matrix of the split that the run is quoted by, `[H, W, 3]` RGB, by a name for it.

    One for each task where there are several, and none where a picture has any number of labels.
    """
    split = result.summary["headline"]
    found = result.summary["metrics"][split]
    if "confusion" in found:
        return {"confusion": _draw_confusion(split, result.card.labels, found["confusion"])}
    drawn = {}
    for task in result.card.tasks:
        if "confusion" in (own := found["tasks"][task.name]):
            drawn[f"confusion_{task.name}"] = _draw_confusion(f"{split}, {task.name}", task.labels, own["confusion"])
    return drawn


@chart_style(10)
def _draw_confusion(title: str, labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> NDArray[np.uint8]:
    """A row for each true class."""
    from matplotlib.colors import LinearSegmentedColormap
    from PIL import Image

    shades = LinearSegmentedColormap.from_list("shares", [LIGHT.panel, LIGHT.first])
    counts = np.array(confusion)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side_px = 260 + 34 * min(len(labels), NAMED_UP_TO)
    figure = new_figure(side_px, side_px)
    axes = figure.subplots()
    axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
    axes.set(title=f"{title}, {counts.sum():,} images", xlabel="answered", ylabel="true")
    if len(labels) <= NAMED_UP_TO:
        places = range(len(labels))
        axes.set_xticks(places, labels, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(places, labels)
    if len(labels) <= COUNTED_UP_TO:
        for (row, column), count in np.ndenumerate(counts):
            dark = shares[row, column] > 0.5
            axes.text(column, row, str(count), ha="center", va="center", color=LIGHT.panel if dark else LIGHT.ink)
    file = BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB"))
