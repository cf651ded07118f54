"""What `make pi` says of two machines' answers, and what it does where it cannot run; nothing is emulated here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from arm64.pi_check import choose, commands, compare
from edge_runtime import EdgeError

ROOT = Path(__file__).parents[2]
RUN = ROOT / "tests" / "arm64" / "run.sh"
PAGE = ROOT / "docs" / "raspberry-pi.md"


def answers(folder: Path, precision: str, *ants: float, **changes: Any) -> Path:
    """What edge said on one machine of as many photos as there are probabilities."""
    folder.mkdir()
    lines = [
        {"image": f"{n}.jpg", "top": [{"label": "ants", "probability": p}, {"label": "bees", "probability": 1 - p}]}
        for n, p in enumerate(ants)
    ]
    (folder / "model.predict").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    (folder / "model.evaluate").write_text(json.dumps({"confusion": [[1, 0], [0, 1]]} | changes))
    (folder / "model.exact").write_text(json.dumps({"exact": {"exact_accuracy": 0.9, "holds": True} | changes}))
    (folder / "model.info").write_text(json.dumps({"sha256": "0", "card": {"precision": precision}} | changes))
    (folder / "model.bench").write_text(json.dumps({"results": [{"latency": {"p50_ms": 1.0}}]} | changes))
    return folder


@pytest.mark.parametrize(
    ("precision", "there", "said"),
    [
        ("fp32", (0.9, 0.2), ""),
        ("fp32", (0.90009, 0.2), ""),
        ("fp32", (0.9002, 0.2), "more than 0.0001"),
        ("fp32", (0.9,), "other photos were answered"),
        ("int8", (0.915, 0.19), ""),
        ("int8", (0.875, 0.2), "more than 0.02"),
        ("int8", (0.4, 0.2), "other labels"),
    ],
)
def test_probabilities_and_labels_decide(tmp_path: Path, precision: str, there: tuple[float, ...], said: str) -> None:
    here = answers(tmp_path / "here", precision, 0.9, 0.2)
    (found,) = compare(here, answers(tmp_path / "there", precision, *there))
    assert said in found.fault and bool(said) == bool(found.fault)
    assert precision in str(found)


def test_a_tie_may_fall_otherwise_in_int8_and_never_in_fp32(tmp_path: Path) -> None:
    for precision, fault in (("int8", ""), ("fp32", "other labels")):
        here = answers(tmp_path / f"here-{precision}", precision, 0.50001, 0.9)
        (found,) = compare(here, answers(tmp_path / f"there-{precision}", precision, 0.49999, 0.9))
        assert (found.fault, found.differing, found.ties) == (fault, 1, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "1"}, "edge info"),
        ({"confusion": [[0, 1], [0, 1]]}, "edge evaluate"),
        ({"results": [{"latency": {"p50_ms": 0.0}}]}, "edge bench"),
    ],
)
def test_the_other_commands_are_compared_too(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    here = answers(tmp_path / "here", "fp32", 0.9)
    (found,) = compare(here, answers(tmp_path / "there", "fp32", 0.9, **change))
    assert said in found.fault


@pytest.mark.parametrize(
    ("change", "said"),
    [({"holds": False}, "its kernels are not exact"), ({"exact_accuracy": 0.8}, "exact arithmetic differs")],
)
def test_int8_kernels_are_held_against_exact_arithmetic_there_too(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    there = answers(tmp_path / "there", "int8", 0.9)
    assert compare(answers(tmp_path / "here", "int8", 0.9), there)[0].fault == ""
    (there / "model.exact").write_text(json.dumps({"exact": {"exact_accuracy": 0.9, "holds": True} | change}))
    assert compare(tmp_path / "here", there)[0].fault == said


def test_nothing_to_compare_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(EdgeError, match=r"no \*\.predict"):
        compare(tmp_path, tmp_path)


def test_photos_are_taken_from_every_class(tmp_path: Path) -> None:
    for name in ("ants", "bees"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(9):
            Image.new("RGB", (8, 8)).save(tmp_path / "photos" / name / f"{number}.png")
    assert choose(tmp_path / "photos", tmp_path / "few", each=4) == 8
    assert [len(list((tmp_path / "few" / name).iterdir())) for name in ("ants", "bees")] == [4, 4]


def test_the_pages_commands_are_found_by_their_label() -> None:
    text = "<!-- run: a -->\n```sh\none\n```\n```sh\ntwo\n```\n<!-- run: a -->\n\n```sh\nthree\n```\n<!-- run: b -->\n"
    assert commands(text, "a") == "one\nthree\n"
    with pytest.raises(EdgeError, match="'b'"):
        commands(text, "b")


def test_the_page_has_what_is_run_and_its_flags_exist(edge: Any) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "pip install" in commands(page, "install")
    assert "--watch" in commands(page, "use")
    assert "[serve]" in commands(page, "serve")
    helped = edge("predict", "--help", COLUMNS="200").stdout
    for flag in ("--image", "--model", "--watch", "--move-to", "--min-confidence", "--jsonl"):
        assert flag in page and flag in helped


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_where_it_cannot_run_it_says_so_in_two_lines(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "id", "uname"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [str(tools / "bash"), str(RUN), "photos", "model.onnx"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": str(tools), "PI_WORK": str(tmp_path / "work")},
        check=False,
    )
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith(" hint: "), done.stderr
    assert not (tmp_path / "work").exists()
