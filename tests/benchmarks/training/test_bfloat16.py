from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from edge_benchmarks.training.bfloat16 import main

WORDS = (
    "--backbones",
    "shufflenet_v2_x0_5",
    "--image-size",
    "32",
    "--batch-size",
    "2",
    "--runs",
    "1",
    "--threads",
    "1",
)


@pytest.mark.slow
def test_both_precisions_are_measured_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert list(row["train"]) == ["fp32", "autocast", "bf16"] and list(row["forward"]) == ["fp32", "bf16"]
    assert all(len(runs) == 1 for task in ("train", "forward") for runs in row[task].values())
    assert main(WORDS) == 0
    heads, line = capsys.readouterr().out.splitlines()[-2:]
    assert heads.startswith("backbone") and heads.endswith("faster to train in")
    assert line.startswith("shufflenet_v2_x0_5") and len(line) == len(heads)


def test_an_unknown_backbone_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--backbones", "magic"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("flag", ["--runs", "--batch-size", "--threads", "--image-size"])
def test_less_than_one_is_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*WORDS, flag, "0"])
    assert ended.value.code == 2 and f"{flag} 0: at least 1 is needed" in capsys.readouterr().err
