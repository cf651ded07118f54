"""edge predict --engine ray: what is refused before anything begins, and --plan. tests/batch runs it."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from bench_reports import make_report, make_row
from edge_batch import BatchSummary
from edge_cli.console import Console
from edge_cli.main import run
from edge_cli.predict.ray_batch import _say_summary
from tiny_model import write_tiny_model


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and two pictures."""
    write_tiny_model(tmp_path / "model.onnx")
    (tmp_path / "photos").mkdir()
    for name in ("1.png", "2.png"):
        Image.new("RGB", (40, 40), "red").save(tmp_path / "photos" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["edge", "predict", *words])
    return run()


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said of a command that is refused, on one line and a hint, before anything is written."""
    assert call(monkeypatch, *words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") <= 3 and "Traceback" not in err
    return err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "photos"], "go with --engine ray"),
        (["x.png", "--embedding"], "go with --engine ray"),
        (["--engine", "ray", "x.png", "--out", "answers"], "takes its pictures from --data"),
        (["--engine", "ray", "--data", "photos", "--csv", "--out", "answers"], "takes its pictures from --data"),
        (["--engine", "ray", "--data", "photos", "--watch", "photos"], "takes its pictures from --data"),
        (["--engine", "ray", "--data", "photos"], "--out answers"),
        (["--engine", "ray", "--data", "photos", "--out", "answers", "--cores", "2"], "go with --plan"),
        (["--engine", "ray", "--data", "photos", "--out", "answers", "--address", "ray://x:1"], "--address ray://x:1"),
        (["--engine", "ray", "--data", "photos", "--plan", "--out", "answers"], "--plan classifies nothing"),
        (["--engine", "ray", "--data", "photos", "--plan", "--embedding", "--top", "2"], "no --top and no --embedding"),
        (["--engine", "ray", "--data", "photos", "--plan", "--reject-unlike", "much"], "no --reject-unlike"),
        (["--engine", "ray", "--data", "photos", "--plan", "--threads", "2"], "no --threads"),
        (["--engine", "ray", "--data", "photos", "--plan", "--min-confidence", "0.5"], "no --min-confidence"),
        (["--engine", "ray", "--plan", "--bench", "bench.json"], "--bench names its models: no --model"),
        (["--engine", "ray", "--plan"], "--plan needs pictures"),
        (["--engine", "ray", "--plan", "--data", "photos", "--cores", "0"], "--cores 0"),
        (["--engine", "spark"], "'spark' is not one of 'auto', 'onnxruntime', 'openvino', 'xnnpack', 'ray'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    words: list[str], said: str, given: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(monkeypatch, capsys, *words, "--model", "model.onnx")
    assert not (given / "answers").exists()


def test_without_the_extra_it_says_what_to_install(
    given: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = find_spec
    monkeypatch.setattr("edge_runtime.extras.find_spec", lambda name: None if name == "ray" else there(name))
    words = ("--engine", "ray", "--data", "photos", "--out", "answers", "--model", "model.onnx")
    assert "pip install 'edge-vision[ray]'" in refused(monkeypatch, capsys, *words)
    assert not (given / "answers").exists()


def test_a_plan_of_a_bench_is_for_a_million(
    given: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # 20 ms from bytes to answer; what ran on two threads says nothing of a core.
    rows = [make_row("a.onnx", 10.0), make_row("b.onnx", 1.0, threads=2)]
    (given / "bench.json").write_text(json.dumps(make_report(rows).to_json()))
    words = ("--engine", "ray", "--plan", "--bench", "bench.json", "--cores", "2,100")
    assert call(monkeypatch, *words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (speed,) = found["models"]
    assert (found["pictures"], found["bytes"], speed["model"]) == (1_000_000, None, "a.onnx")
    assert speed["images_per_core_hour"] == pytest.approx(180_000, rel=0.02)
    assert [cost["cores"] for cost in found["costs"]] == [2, 100]
    assert found["costs"][0]["paper_s"] == pytest.approx(10_000, rel=0.02)
    assert call(monkeypatch, *words) == 0
    assert "1,000,000 pictures" in capsys.readouterr().out
    (given / "bench.json").write_text(json.dumps(make_report(rows[1:]).to_json()))
    assert "no model that was measured on one thread" in refused(monkeypatch, capsys, *words)


def test_a_plan_of_pictures_says_what_they_read(
    given: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow")
    words = ("--engine", "ray", "--plan", "--data", "photos", "--model", "model.onnx", "--json")
    assert call(monkeypatch, *words) == 0
    found = json.loads(capsys.readouterr().out)
    size_bytes = sum(path.stat().st_size for path in (given / "photos").iterdir())
    assert (found["pictures"], found["bytes"]) == (2, size_bytes)
    assert found["models"][0]["model"] == "tiny" and found["models"][0]["n"] >= 1


@pytest.mark.parametrize(("seconds", "said"), [(2.0, "4 in 2.0 s by 2 workers, 2 images/s; "), (0.0, "by 2 workers; ")])
def test_the_rate_is_said_where_clocks_allow_one(seconds: float, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The clock of another machine may be ahead by more than a batch takes."""
    summary = BatchSummary(Path("answers"), 4, 4, 0, 0, 2, 1.0, seconds, "a" * 64)
    _say_summary(summary, Console())
    assert said in capsys.readouterr().err
