"""What edge label says when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("uvicorn")

from edge_cli.commands.label import next_step
from edge_serve import Labelled


def test_mended_mistakes_alone_are_not_what_to_train_on() -> None:
    """A list of ten mistakes is no data set: the labels go back among the images that they were found in."""
    whole = Labelled(Path("labels.csv"), 10, 10, 10)
    assert next_step(whole) == "edge train --data labels.csv"
    part = next_step(Labelled(Path("mended.csv"), 10, 10, 10, is_part=True))
    assert part.startswith("edge data list DATA --relabel mended.csv --out")
