"""What `edge bench` makes of reports that lie there: comparisons, recommendations, tables, without measuring."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench_command import Bench
from bench_reports import make_report, make_row
from edge_benchmarks import json_text
from edge_benchmarks.measure.sustained import Bucket, Sustained


def write_reports(folder: Path) -> None:
    for name, rows in {
        "old": [make_row("a.onnx", 10.0, accuracy=0.8), make_row("b.onnx", 30.0, accuracy=0.9)],
        "slow": [make_row("a.onnx", 13.0, accuracy=0.8), make_row("b.onnx", 30.0, accuracy=0.9)],
        "else": [make_row("c.onnx", 1.0), make_row("d.onnx", 1.0)],
    }.items():
        (folder / f"{name}.json").write_text(json_text(make_report(rows).to_json()), encoding="utf-8")
    other = make_report([make_row("a.onnx", 10.0)], cpu="Another 9000")
    (folder / "other.json").write_text(json_text(other.to_json()), encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("old.json", "old.json", "--fail-over", "10%"), 0),
        (("old.json", "slow.json", "--fail-over", "10%"), 1),
        (("slow.json", "old.json", "--fail-over", "10%"), 0),
        (("old.json", "slow.json", "--fail-over", "40%"), 0),
        (("old.json", "slow.json"), 0),
        (("old.json", "else.json"), 2),
        (("old.json", "gone.json"), 2),
    ],
)
def test_comparing_is_a_gate(edge_bench: Bench, tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    write_reports(tmp_path)
    done = edge_bench("--compare", *words)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 2:
        assert done.stdout == ""
    else:
        assert "a.onnx" in done.stdout and "95 % interval" in done.stdout
    if code == 1:
        assert "slower by more than 10%: a.onnx, +30.0% by the median" in done.stderr


def test_a_comparison_as_json_and_with_another_machine(edge_bench: Bench, tmp_path: Path) -> None:
    write_reports(tmp_path)
    done = edge_bench("--compare", "other.json", "old.json", "--json", "--fail-over", "5%")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["fail_over"] == 0.05 and found["regressions"] == []
    assert [change["model"] for change in found["changes"]] == ["a.onnx"]
    assert "processor:" in done.stderr and "Another 9000" in done.stderr
    assert "only in old.json: b.onnx" in done.stderr


def test_a_model_that_is_not_measured_any_more_does_not_pass_the_gate(edge_bench: Bench, tmp_path: Path) -> None:
    write_reports(tmp_path)
    fewer = json.loads((tmp_path / "other.json").read_text())
    for failures in ([], [{"model": "b.onnx", "message": "b.onnx was killed by signal 9"}]):
        (tmp_path / "fewer.json").write_text(json_text({**fewer, "failures": failures}), encoding="utf-8")
        done = edge_bench("--compare", "old.json", "fewer.json", "--fail-over", "10%")
        assert done.returncode == 1 and "b.onnx, 1 threads: no figure in fewer.json" in done.stderr
        assert ("not measured in fewer.json: b.onnx was killed by signal 9" in done.stderr) == bool(failures)
        assert edge_bench("--compare", "old.json", "fewer.json").returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--recommend",), 0, "take b.onnx"),
        (("--max-latency", "30ms"), 0, "take a.onnx"),
        (("--recommend", "--max-size", "5MB"), 0, "take b.onnx"),
        (("--recommend", "--max-size", "1MB"), 1, "none of 2 keeps the limits"),
        (("--max-latency", "1ms"), 1, "a.onnx comes nearest"),
    ],
)
def test_a_recommendation_from_a_report(
    edge_bench: Bench, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    write_reports(tmp_path)
    done = edge_bench("--from", "old.json", *words)
    assert (done.returncode, said in done.stdout) == (code, True), done.stdout + done.stderr
    as_json = edge_bench("--from", "old.json", "--json", *words)
    assert as_json.returncode == code
    assert (json.loads(as_json.stdout)["recommendation"]["take"] is None) == (code == 1)


def test_what_is_kept_is_what_is_printed(edge_bench: Bench, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_reports(tmp_path)
    done = edge_bench("--from", "old.json", "--recommend", "--out", "kept", "--json")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kept" / "bench.json").read_text(encoding="utf-8") == done.stdout
    assert json.loads(done.stdout)["recommendation"]["take"]
    # A report with more in it is one still.
    assert edge_bench("--from", "kept/bench.json", "--quiet").returncode == 0


def test_a_report_shown_again_loses_nothing_and_says_what_is_written(edge_bench: Bench, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    more = {"engines": {"held": [], "chosen": [{"model": "a.onnx"}]}, "recommendation": {"take": None, "reasons": []}}
    (tmp_path / "kept").mkdir()
    value = {**make_report([make_row("a.onnx")]).to_json(), **more}
    (tmp_path / "kept" / "bench.json").write_text(json_text(value), encoding="utf-8")
    for name in ("notes.txt", "sustained.png"):
        (tmp_path / "kept" / name).write_text("mine")
    done = edge_bench("--from", "kept/bench.json", "--out", "kept")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "kept" / "bench.json").read_text(encoding="utf-8")) == value
    assert "written to kept: bench.csv, bench.json, bench.md, latency.png\n" in done.stderr
    assert "note: not of this report: sustained.png in kept" in done.stderr
    assert (tmp_path / "kept" / "sustained.png").read_text() == "mine"
    again = edge_bench("--from", "kept/bench.json", "--recommend", "--json")
    assert json.loads(again.stdout)["engines"] == more["engines"]
    assert json.loads(again.stdout)["recommendation"]["take"]["model"] == "a.onnx"


def test_what_a_report_calls_things_commands_no_terminal(edge_bench: Bench, tmp_path: Path) -> None:
    minute = Sustained((Bucket(0.0, 60.0, 9.0, 10.0, 5000, None, None),))
    row = make_row("\x1b[2Jevil.onnx", accuracy=0.9, sustained=minute)
    report = make_report([row], cpu="\x1b]0;owned\x07Evil")
    (tmp_path / "x.json").write_text(json_text(report.to_json()), encoding="utf-8")
    done = edge_bench("--from", "x.json", "--recommend")
    assert done.returncode == 0 and "\x1b" not in done.stdout + done.stderr
    assert r"\x1b]0;owned\x07Evil" in done.stderr and r"take \x1b[2Jevil.onnx" in done.stdout


def test_a_model_that_cannot_be_measured_is_named_and_the_exit_code_1(edge_bench: Bench, tmp_path: Path) -> None:
    report = make_report([make_row("a.onnx")]).to_json()
    report["failures"] = [{"model": "b.onnx", "message": "b.onnx was killed by signal 9"}]
    (tmp_path / "x.json").write_text(json_text(report), encoding="utf-8")
    done = edge_bench("--from", "x.json")
    assert done.returncode == 1
    assert "not measured: b.onnx was killed by signal 9" in done.stderr and "a.onnx" in done.stdout


@pytest.mark.parametrize(
    ("precision", "difference", "said"), [("fp32", 0.02, True), ("fp32", 1e-5, False), ("int8", 0.02, False)]
)
def test_an_engine_that_answers_otherwise_is_named(
    edge_bench: Bench, tmp_path: Path, precision: str, difference: float, said: bool
) -> None:
    rows = [make_row("a.onnx"), make_row("a.onnx", engine="torch", precision=precision, max_difference=difference)]
    (tmp_path / "x.json").write_text(json_text(make_report(rows).to_json()), encoding="utf-8")
    done = edge_bench("--from", "x.json")
    assert done.returncode == 0
    assert ("a.onnx run by torch answers otherwise" in done.stderr) == said


@pytest.mark.parametrize(
    "words",
    [
        ("--threads", "1"),
        ("--image", "a.jpg"),
        ("--batch", "2"),
        ("--duration", "1s"),
        ("--runs", "20"),
        ("--cold-starts", "1"),
        ("--cooldown", "1s"),
        ("--random-input",),
        ("--precision", "int8"),
        ("--keep-models", "kept"),
        ("--data", "photos"),
    ],
    ids=lambda words: words[0],
)
def test_what_says_how_to_measure_is_refused_where_nothing_is(
    edge_bench: Bench, tmp_path: Path, words: tuple[str, ...]
) -> None:
    write_reports(tmp_path)
    for instead in (("--from", "old.json"), ("--compare", "old.json", "slow.json")):
        done = edge_bench(*instead, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "measures nothing" in done.stderr and f"leave out {words[0]}" in done.stderr


def test_figures_for_others_are_made_of_an_earlier_report_and_replace_nothing(
    edge_bench: Bench, tmp_path: Path
) -> None:
    report = make_report([make_row("a.onnx", backbone="resnet18"), make_row("b.onnx", backbone="foreign")])
    (tmp_path / "bench.json").write_text(json_text(report.to_json()), encoding="utf-8")
    done = edge_bench("--from", "bench.json", "--share", "mine.json")
    assert done.returncode == 0 and "no public name: b.onnx" in done.stderr
    assert [row["backbone"] for row in json.loads((tmp_path / "mine.json").read_text())["rows"]] == ["resnet18"]
    before = (tmp_path / "mine.json").read_bytes()
    for target, said in (
        ("mine.json", "is there already"),
        ("mine.txt", "--share mine.txt is no .json file"),
        ("no/x.json", "no is not"),
    ):
        done = edge_bench("--from", "bench.json", "--share", target)
        assert (done.returncode, done.stdout) == (1 if target.startswith("no/") else 2, "") and said in done.stderr
    assert (tmp_path / "mine.json").read_bytes() == before
