"""--engine: what runs a model file, and what is said of it where a measurement chose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from edge_cli.flags import flag
from edge_runtime import EngineWish

if TYPE_CHECKING:
    from edge_cli.console import Console
    from edge_runtime import Classifier

EngineOption = Annotated[
    EngineWish,
    flag("--engine", "What runs the model; auto: onnxruntime, or what edge bench --engines --choose found faster."),
]


def say_engine(classifier: Classifier, console: Console) -> None:
    """Say which engine was chosen by a measurement, where it is another than onnxruntime."""
    choice = classifier.engine_choice
    if choice is not None and classifier.engine != "onnxruntime":
        console.say(f"run by {choice}")
