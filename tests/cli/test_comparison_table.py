"""What the command prints of a comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from edge_cli.comparison_table import print_comparison
from edge_cli.console import Console
from edge_runtime import Run
from edge_train.several_runs.comparison import Comparison, StrategyRow


@pytest.mark.parametrize("as_json", [False, True])
def test_a_reason_names_the_flag_in_the_table_and_in_json(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = StrategyRow(strategy="scratch", run=Run(tmp_path), val_accuracy=1.0, val_n=3, val_interval=(0.4, 1.0))
    other = StrategyRow(strategy="fine-tune", reason="it needs pretrained weights, but `weights` is none")
    comparison = Comparison(tmp_path, (other, done), "scratch", "the only one")
    assert print_comparison(comparison, Console(quiet=True), as_json=as_json) == 0
    said = capsys.readouterr().out
    assert "it needs pretrained weights, but --weights is none" in said and "`" not in said
    if as_json:
        assert json.loads(said)["best"] == "scratch"
