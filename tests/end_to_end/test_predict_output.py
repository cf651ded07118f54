"""What edge predict prints of names and labels that no program expects, to terminals and pipes of every kind."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tiny_model import write_tiny_model

NAMES = [
    b"bell\a.png",
    b"carriage\rreturn.png",
    b'comma,"quote".png',
    b"escape\x1b[2J.png",
    b"line\nend.png",
    b"next\xc2\x85line.png",
    b"not-utf-8-\xff\xfe.png",
    "ünï 日本 😀.png".encode(),
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx", labels=("red", "gr\x1b[32meen", "blue"))


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder of pictures with every odd name the file system takes."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in NAMES:
        try:
            Image.new("RGB", (40, 40), "red").save(folder / os.fsdecode(name), "PNG")
        except OSError:
            pytest.skip(f"this file system has no {name!r}")
    return folder


def predict(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-W", "error", "-m", "edge_cli", "predict", "--model", "model.onnx", *words]
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
    ids=lambda environment: " ".join(environment.values()) or "as here",
)
@pytest.mark.parametrize("form", ["--json", "--jsonl"])
def test_json_is_json_whatever_the_names_and_the_locale(
    model: Path, odd: Path, environment: dict[str, str], form: str
) -> None:
    done = predict(model.parent, "odd", form, **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    if form == "--json":
        answers = json.loads(done.stdout)["predictions"]
    else:
        answers = [json.loads(line) for line in done.stdout.split(b"\n") if line]
    assert sorted(os.fsencode(answer["image"]) for answer in answers) == sorted(b"odd/" + name for name in NAMES)
    assert odd.is_dir() and {answer["label"] for answer in answers} == {"red"}


@pytest.mark.usefixtures("odd")
def test_csv_has_a_row_per_picture_whatever_its_name(model: Path) -> None:
    done = predict(model.parent, "odd", "--csv", "--top", "1")
    rows = list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))
    assert len(rows) == len(NAMES) + 1 and {len(row) for row in rows} == {5}
    assert {r"odd/carriage\rreturn.png", r"odd/line\nend.png", 'odd/comma,"quote".png'} <= {row[0] for row in rows}
    assert not set(done.stdout) & (set(range(32)) - {ord("\n")})


def test_csv_has_no_formula_and_the_standard_inputs_name_stays(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model.onnx", labels=("=1+1", "+gr\x1b[32meen", "@blue"))
    Image.new("RGB", (40, 40), "red").save(tmp_path / "-1+1.png")
    done = predict(tmp_path, "--csv", "--top", "3", "--", "-1+1.png")
    (row,) = csv.DictReader(io.StringIO(done.stdout.decode()))
    assert (row["image"], row["label"]) == ("'-1+1.png", "'=1+1")
    assert {row["label_1"], row["label_2"], row["label_3"]} == {"'=1+1", r"'+gr\x1b[32meen", "'@blue"}
    picture = (tmp_path / "-1+1.png").read_bytes()
    command = [sys.executable, "-m", "edge_cli", "predict", "--model", "model.onnx", "--csv", "-"]
    piped = subprocess.run(command, cwd=tmp_path, input=picture, capture_output=True, check=True)
    assert piped.stdout.splitlines()[1].startswith(b"-,")


@pytest.mark.usefixtures("odd")
def test_no_name_or_label_commands_a_terminal(model: Path) -> None:
    done = predict(model.parent, "odd", "gone\x1b[31m\n.png", "gone\x1b[31m*")
    controls = set(range(32)) - {ord("\n")}
    assert not controls & set(done.stdout) and not controls & set(done.stderr)
    # A line with the name and one for each of three labels; a line for each name that stands for nothing.
    assert len(done.stdout.splitlines()) == 4 * len(NAMES) and len(done.stderr.splitlines()) == 2
    assert b"line\\nend.png" in done.stdout and b"gone\\x1b[31m\\n.png" in done.stderr
    alone = predict(model.parent, "gone\n\x1b[31m.png")
    assert alone.returncode == 2 and alone.stderr.splitlines()[0] == b"error: gone\\n\\x1b[31m.png matches no image"
    described = subprocess.run([sys.executable, "-m", "edge_cli", "info", model], capture_output=True, check=True)
    assert b"\x1b" not in described.stdout and b"gr\\x1b[32meen" in described.stdout


def test_a_pipe_that_closes_ends_every_form_quietly(model: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(model.parent / "x.png")
    (model.parent / "list").write_text("x.png\n" * 3000)
    for form in ("", "--json", "--jsonl", "--csv"):
        words = f"{sys.executable} -m edge_cli predict --files-from list --model model.onnx {form} | head -n 2"
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {words}"], cwd=model.parent, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b""), form
        assert len(done.stdout.splitlines()) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(
    ("environment", "colours", "draws"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, True),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_a_terminal_gets_progress_and_colour_as_it_can_take_them(
    model: Path, environment: dict[str, str], colours: bool, draws: bool
) -> None:
    import pty

    Image.new("RGB", (40, 40), "red").save(model.parent / "x.png")
    (model.parent / "list").write_text("x.png\n" * 600)
    here, there = pty.openpty()
    command = [sys.executable, "-m", "edge_cli", "predict", "--model", "model.onnx"]
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM", "COLUMNS")}
    for words in ([*command, "--files-from", "list", "gone.png"], [*command, "gone.png"]):
        with subprocess.Popen(
            words, cwd=model.parent, env={**inherited, **environment}, stdout=subprocess.DEVNULL, stderr=there
        ) as running:
            said = b""
            while running.poll() is None or _readable(here):
                if _readable(here):
                    said += os.read(here, 65_536)
        colour = any(f"\x1b[{code}m".encode() in said for code in (31, 35, 36, 91))
        assert colour == colours, said
        assert (b"\x1b[K" in said or b"\x1b[2K" in said) == draws, said
        assert b"gone" in said


def _readable(file: int) -> bool:
    import select

    return bool(select.select([file], [], [], 0.05)[0])
