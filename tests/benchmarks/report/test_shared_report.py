"""What of a report goes to strangers, and the table of machines that is made of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench_reports import make_report, make_row
from edge_benchmarks.report.machines_table import BEGIN, END, main, write_table
from edge_benchmarks.report.report import Report
from edge_benchmarks.report.shared_report import SharedReport, read_shared, share_report
from edge_runtime import UsageError

ROOT = Path(__file__).parents[3]


def shared(*rows: object, **machine: object) -> SharedReport:
    return share_report(make_report(rows or [make_row(backbone="resnet18")], **machine))  # type: ignore[arg-type]


def write(report: SharedReport, path: Path) -> Path:
    path.write_text(json.dumps(report.to_json()), encoding="utf-8")
    return path


def test_nothing_of_the_owner_is_in_it(tmp_path: Path) -> None:
    row = make_row("anna/secret-name.onnx", backbone="resnet18", path="/home/anna/secret-name.onnx", sha256="5ec3e7")
    report = make_report([row], kernel="6.1-annas-laptop")
    report = replace(report, settings=replace(report.settings, input="/home/anna/cat.jpg"))
    text = json.dumps(share_report(report).to_json())
    assert "resnet18" in text
    for own in ("anna", "secret", "5ec3e7", "cat.jpg", "sha256", "kernel", report.created):
        assert own not in text, own
    found = read_shared(write(share_report(report), tmp_path / "pi.json"))
    assert found == share_report(report)
    assert found.rows[0].p50_ms == pytest.approx(row.latency.p50_ms, abs=1e-4) and found.month == report.created[:7]


@pytest.mark.parametrize("name", ["foreign", "/home/anna/net.py:mine", "package.module:net", "net.py:mine"])
def test_a_network_of_ones_own_is_left_out(name: str) -> None:
    own, public = make_row(backbone=name), make_row(backbone="timm:mobilenetv4_conv_small.e2400_r224_in1k")
    assert [row.backbone for row in shared(own, public).rows] == [public.backbone]
    with pytest.raises(UsageError, match="nothing to share"):
        shared(own)


def test_a_network_that_is_not_the_plain_one_does_not_go_by_its_name(tmp_path: Path) -> None:
    row = make_row(backbone="mobilenet_v2", variant=("pruned 0.5", "ensemble of 3"))
    # As `--from` reads it.
    again = Report.from_json(json.loads(json.dumps(make_report([row]).to_json())))
    write(share_report(again), tmp_path / "pi.json")
    assert read_shared(tmp_path / "pi.json").rows[0].backbone == "mobilenet_v2, pruned 0.5, ensemble of 3"


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', '{"schema": "1", "month": "", "machine": {}, "rows": []}'])
def test_what_was_not_shared_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"x\.json is not what edge bench --share writes"):
        read_shared(tmp_path / "x.json")
    write(replace(shared(), schema=99), tmp_path / "new.json")
    with pytest.raises(UsageError, match="schema 99"):
        read_shared(tmp_path / "new.json")


def test_the_table_has_each_machines_networks_and_no_markup_of_a_stranger(tmp_path: Path) -> None:
    fast, slow = make_row(backbone="resnet18", median_ms=5.0), make_row(backbone="resnet50", median_ms=50.0)
    write(shared(slow, fast, cpu="Raspberry Pi 5"), tmp_path / "a.json")
    write(shared(cpu="evil | <script>"), tmp_path / "b.json")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    assert write_table(tmp_path, page) == 2
    text = page.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert text.startswith(f"before\n{BEGIN}\n") and text.endswith(f"{END}\nafter\n") and "old" not in text
    assert ["resnet18" in lines[0], "resnet50" in lines[1]] == [True, True] and all(
        "Pi 5" in line for line in lines[:2]
    )
    assert r"evil \| &lt;script>" in lines[2]
    assert write_table(tmp_path, page) == 2 and page.read_text(encoding="utf-8") == text


def test_a_page_without_marks_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.md").write_text("no marks", encoding="utf-8")
    assert main([str(tmp_path), str(tmp_path / "page.md")]) == 2
    assert "has no lines" in capsys.readouterr().err and (tmp_path / "page.md").read_text() == "no marks"


def test_the_projects_own_table_is_that_of_its_files(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_bytes((ROOT / "docs" / "benchmarks.md").read_bytes())
    write_table(ROOT / "docs" / "machines", page)
    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8"), (
        "run make benchmarks-table"
    )
