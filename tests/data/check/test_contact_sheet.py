"""The contact sheet of `edge data check`, and the command: what is drawn, printed and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from edge_data import check_data
from edge_runtime import LIGHT, OutputError, UsageError

RED, AMBER = (ImageColor.getrgb(colour)[:3] for colour in (LIGHT.wrong, LIGHT.second))
BLUE = (10, 20, 230)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for label in ("ant", "bee"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(20):
            noise = np.random.default_rng([number, len(label), ord(label[0])]).integers(0, 256, (6, 6, 3), np.uint8)
            path = tmp_path / "data" / label / f"{number}.png"
            Image.fromarray(noise).resize((48, 40), Image.Resampling.NEAREST).save(path)
    return tmp_path / "data"


def count(sheet: Path, colour: tuple[int, ...]) -> int:
    with Image.open(sheet) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return int((np.asarray(image) == colour).all(axis=-1).sum())


def test_what_harms_is_framed_red_and_what_is_odd_amber(data: Path, tmp_path: Path) -> None:
    Image.new("RGB", (60, 60), BLUE).save(data / "ant/blue.png")
    report = check_data(data, sheet=tmp_path / "sheet.png")
    assert report.sheet == tmp_path / "sheet.png"
    assert count(report.sheet, AMBER) > 4 * 144 and count(report.sheet, RED) == 0
    assert count(report.sheet, BLUE) == 144 * 144
    (data / "bee/blue.png").write_bytes((data / "ant/blue.png").read_bytes())
    (data / "bee/broken.png").touch()
    report = check_data(data, sheet=tmp_path / "sheet.png")
    assert count(tmp_path / "sheet.png", RED) > 3 * 4 * 144


def test_samples_of_each_class_are_drawn_where_nothing_was_found(data: Path, tmp_path: Path) -> None:
    assert check_data(data, sheet=tmp_path / "sheet.png").findings == ()
    assert count(tmp_path / "sheet.png", RED) == count(tmp_path / "sheet.png", AMBER) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 8 * 144 and 2 * 144 < sheet.height < 3 * 200


def test_names_of_any_kind_can_be_captions(data: Path, tmp_path: Path) -> None:
    for name in ("é 漢字 \n.png", "x" * 200 + ".png", "\udce9.png"):
        Image.new("L", (10, 500)).save(data / "ant" / name, "PNG")
    check_data(data, sheet=tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_no_sheet_is_drawn_into_the_data_and_wrong_settings_are_refused(data: Path, tmp_path: Path) -> None:
    before = sorted(data.rglob("*"))
    for target in (data / "ant/0.png", data / "sheet.png", data / "bee/../new.png"):
        with pytest.raises(UsageError, match="lies in the data folder"):
            check_data(data, sheet=target)
    with pytest.raises(UsageError, match=r"sheet\.jpg"):
        check_data(data, sheet=tmp_path / "sheet.jpg")
    (tmp_path / "notes.png").write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match=r"notes\.png is there and is not a PNG"):
        check_data(data, sheet=tmp_path / "notes.png")
    assert (tmp_path / "notes.png").read_text(encoding="utf-8") == "precious"
    with pytest.raises(UsageError, match="`threads` -1"):
        check_data(data, threads=-1)
    with pytest.raises(OutputError, match="gone"):
        check_data(data, sheet=tmp_path / "gone/sheet.png")
    assert sorted(data.rglob("*")) == before


def test_the_command_prints_the_classes_and_the_findings_by_kind(edge: Any, data: Path) -> None:
    for number in range(7):
        (data / "ant" / f"copy{number}.png").write_bytes((data / f"ant/{number}.png").read_bytes())
    done = edge("data", "check", data)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert any(line.split() == ["ant", "27"] for line in lines)
    assert any(line.split() == ["all", "classes", "47"] for line in lines)
    assert "note  copies ×7" in lines and "      and 2 more; --json lists all" in lines
    assert lines[-1] == "47 images, nothing harmful"
    (data / "bee/copy.png").write_bytes((data / "ant/9.png").read_bytes())
    done = edge("data", "check", data)
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and lines[-1] == "48 images, 1 thing that would harm training"
    assert lines.index("HARM  two-labels") < lines.index("note  copies ×7")


def test_the_command_gives_one_json_document_and_draws(edge: Any, data: Path, tmp_path: Path) -> None:
    (data / "bee/broken.png").touch()
    done = edge("data", "check", data, "--json", "--out", tmp_path / "sheet.png")
    value = json.loads(done.stdout)
    assert (done.returncode, value["harmful"], value["sheet"]) == (1, True, str(tmp_path / "sheet.png"))
    assert [finding["kind"] for finding in value["findings"]] == ["unreadable"]
    assert (tmp_path / "sheet.png").is_file()
    done = edge("data", "check", data, "--out", data / "sheet.png")
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("error: --out")


def test_a_sheet_replaces_no_picture_of_a_list_under_any_name(data: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        "path,label\n" + "".join(f"data/{label}/{n}.png,{label}\n" for label in ("ant", "bee") for n in "01")
    )
    (tmp_path / "linked").symlink_to("data")
    before = (data / "ant/1.png").read_bytes()
    for target in (data / "ant/1.png", tmp_path / "linked/ant/1.png"):
        with pytest.raises(UsageError, match=r"is a picture of the data, .*ant/1\.png"):
            check_data(manifest, sheet=target)
    assert (data / "ant/1.png").read_bytes() == before
    # A list says what is of the data: a picture beside that is none.
    assert check_data(manifest, sheet=data / "ant/new.png").sheet
