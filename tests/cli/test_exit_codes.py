"""Exit codes and streams, through real processes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tiny_model import write_tiny_model

VERBS = [
    "train",
    "compare",
    "tune",
    "average",
    "import",
    "export",
    "evaluate",
    "predict",
    "explain",
    "label",
    "serve",
    "bench",
    "backbones",
    "weights",
    "data",
    "info",
    "sign",
    "doctor",
    "docs",
    "demo",
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx", labels=("red", "green", "blue"))


@pytest.fixture
def red(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 60), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_done_is_0_and_the_answer_alone_is_on_stdout(edge: Any, model: Path, red: Path) -> None:
    done = edge("predict", "--image", red, "--model", model)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].split()[0] == "red"
    assert done.stderr == ""


def test_json_is_one_document_and_nothing_else(edge: Any, model: Path, red: Path) -> None:
    done = edge("predict", "--image", red, "--model", model, "--json", "--top", "2")
    answer = json.loads(done.stdout)
    assert answer["predictions"][0]["label"] == "red"
    assert [row["label"] for row in answer["predictions"][0]["top"]] == ["red", "green"]


def test_a_broken_image_is_1_and_the_others_are_answered_in_order(edge: Any, model: Path, red: Path) -> None:
    folder = red.parent / "photos"
    folder.mkdir()
    Image.new("RGB", (30, 30), "blue").save(folder / "1.png")
    (folder / "2.jpg").write_text("not a picture")
    Image.new("RGB", (30, 30), "lime").save(folder / "10.png")
    done = edge("predict", "--image", red, folder, "--model", model, "--jsonl")
    assert done.returncode == 1
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()] == ["red", "blue", "green"]
    assert "2.jpg" in done.stderr and "Traceback" not in done.stderr


def test_a_damaged_model_is_1(edge: Any, model: Path, red: Path) -> None:
    broken = model.with_name("broken.onnx")
    broken.write_bytes(model.read_bytes()[:200])
    done = edge("predict", "--image", red, "--model", broken)
    assert (done.returncode, done.stdout) == (1, "")
    assert "broken.onnx" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict"], "no image is named"),
        (["predict", "--image", "gone.png", "--model", "model.onnx"], "gone.png does not exist"),
        (["predict", "--image", "red.png", "--model", "gone.onnx"], "gone.onnx does not exist"),
        (["predict", "--image", "red.png", "--model", "model.onnx", "--threads", "0"], "--threads 0"),
        (["predict", "--image", "red.png", "--model", "model.onnx", "--json", "--jsonl"], "exclude each other"),
        (["predict", "--image", "red.png"], "no run"),
        (["predict", "--image", "red.png", "--top", "none"], "--top"),
        (["predict", "--colour"], "--colour"),
        (["predcit"], "predict"),
        (["serve", "--model", "model.onnx", "--run", "gone"], "--model and --run exclude each other"),
        (["export"], "no run"),
        (["export", "--run", "gone"], "gone is not a run folder"),
        (["export", "--format", "caffe"], "caffe"),
        (["evaluate", "--model", "model.onnx"], "--data"),
        (["evaluate", "--model", "model.onnx", "--data", "gone"], "gone"),
        (["info", "gone.onnx"], "gone.onnx"),
        (["data", "check", "gone"], "gone"),
        (["data", "check", "red.png"], "red.png"),
        (["data", "suspects"], "edge train --folds 5"),
        (["data", "suspects", "--out", "red.png"], "is no .csv"),
        (["docs", "tarin"], "docs"),
    ],
)
@pytest.mark.usefixtures("model")
def test_wrong_usage_is_2_and_one_clear_error(edge: Any, red: Path, words: list[str], said: str) -> None:
    done = edge(*words, cwd=red.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["import", "gone.pth"], "gone.pth does not exist"),
        (["import", "."], ". is a folder, not a weights file"),
        (["import", "red.png", "--mean", "a,b"], "--mean a,b is no list of numbers"),
        (["import", "red.png", "--std", "1,2"], "--std 1.0,2.0 is no value for each of three channels"),
        (["import", "red.png", "--image-size", "0"], "--image-size 0"),
        (["import", "red.png", "--labels", "one"], "--labels one cannot be read"),
        (["import", "hf:one"], "hf:one names no repository of a hub"),
        (["weights", "path", "resnet19"], "no backbone is called 'resnet19'"),
        (["weights", "verify", "gone.pth"], "gone.pth does not exist"),
    ],
)
def test_a_wrong_import_is_2_and_leaves_no_run(edge: Any, red: Path, words: list[str], said: str) -> None:
    pytest.importorskip("torch")
    done = edge(*words, cwd=red.parent)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert said in done.stderr and done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert not (red.parent / "runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "gone"], "gone"),
        (["--data", "red.png"], "red.png"),
        (["--data", "empty"], "empty"),
        (["--epochs", "0"], "--epochs 0"),
        (["--backbone", "resnet19"], "resnet18"),
        (["--backbone", "mobilnet_v2"], "mobilenet_v2"),
        (["--strategy", "fine-tune", "--weights", "none"], "--weights"),
        (["--strategy", "scratch", "--weights", "x.pth"], "--weights"),
        (["--strategy", "fine-tune", "--weights", "gone.pth"], "gone.pth"),
        (["--image-size", "4", "--weights", "none"], "4"),
        (["--folds", "1"], "--folds 1: at least 2"),
        (["--folds", "3", "--strategy", "all"], "--strategy all compares on one split, not on --folds"),
        (["--folds", "3", "--resume", "gone"], "--resume takes the run's own settings, but --folds is given"),
    ],
)
def test_wrong_training_settings_are_2_and_leave_no_run(edge: Any, red: Path, words: list[str], said: str) -> None:
    pytest.importorskip("torch")
    (red.parent / "empty").mkdir()
    done = edge("train", *words, cwd=red.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not list(red.parent.glob("runs/*"))


@pytest.mark.parametrize("form", ["--jsonl", "--json"])
def test_interrupted_is_130_and_what_is_printed_is_whole(model: Path, tmp_path: Path, form: str) -> None:
    for index in range(3000):
        (tmp_path / "many").mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), "red").save(tmp_path / "many" / f"{index}.png")
    with subprocess.Popen(
        [sys.executable, "-m", "edge_cli", "predict", "--image", "many", "--model", model, form],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None and running.stderr is not None
        begun = running.stdout.readline()
        running.send_signal(signal.SIGINT)
        whole, stderr = begun + running.stdout.read(), running.stderr.read()
    assert running.returncode == 130
    for document in [whole] if form == "--json" else whole.splitlines():
        assert json.loads(document)
    assert "interrupted" in stderr and "Traceback" not in stderr


def test_a_closed_pipe_ends_quietly(model: Path, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for index in range(400):
        Image.new("RGB", (64, 64), "red").save(tmp_path / "many" / f"{index}.png")
    words = f"{sys.executable} -m edge_cli predict --image many --model {model} --jsonl | head -1"
    done = subprocess.run(words, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_work_is_done_also_where_nobody_reads_the_messages(model: Path, tmp_path: Path) -> None:
    for folder in ("ph/a", "ph/b"):
        (tmp_path / folder).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (30, 30), "red").save(tmp_path / folder / f"{index}.png")
            (tmp_path / folder / f"{index}x.png").write_text("not a picture")
    Image.new("RGB", (30, 30), "red").save(tmp_path / "ph" / "stray.png")

    def unheard(*words: str) -> subprocess.CompletedProcess[str]:
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "edge_cli", *words]
        done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=writer, text=True, check=False)
        os.close(writer)
        return done

    # It says that a picture lies beside the folders before it writes the list.
    assert unheard("data", "list", "ph", "--out", "all.csv").returncode == 0
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 13
    done = unheard("predict", "--image", "ph", "--model", str(model), "--csv")
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 8)
    assert unheard("predict", "--image", "gone.png", "--model", str(model)).returncode == 2


def test_a_connection_that_ends_is_not_taken_for_a_reader_that_has_gone() -> None:
    code = (
        "import sys; sys.argv = ['edge', 'doctor']; from edge_cli.commands import doctor\n"
        "def broken(): raise BrokenPipeError(32, 'Broken pipe')\n"
        "doctor.run_probe = broken; from edge_cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "") and "Broken pipe" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "predict --image red.png --model LONG/model.onnx",
        "predict --image red.png --model model.onnx --save-input LONG.png",
        "predict --watch LONG --model model.onnx",
    ],
)
@pytest.mark.usefixtures("model")
def test_a_name_that_is_too_long_is_one_clear_error(edge: Any, red: Path, words: str) -> None:
    done = edge(*words.replace("LONG", "x" * 300).split(), cwd=red.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and "xxx" in done.stderr and ": File name too long\n" in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(("kind", "code"), [("PermissionError(13", 2), ("OSError(30", 1)])
def test_what_may_not_be_looked_at_or_written_is_one_clear_error(kind: str, code: int) -> None:
    # Tests may run as root, who may look at everything.
    script = (
        "import sys; sys.argv = ['edge', 'doctor']; from edge_cli.commands import doctor\n"
        f"def refused(): raise {kind}, 'Refused', 'locked/model.onnx')\n"
        "doctor.run_probe = refused; from edge_cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: locked/model.onnx: Refused\n hint: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_0_and_every_default_is_in_it(edge: Any, verb: str) -> None:
    done = edge(verb, "--help", COLUMNS="200", NO_COLOR="1")
    assert done.returncode == 0
    assert "Usage" in done.stdout
    if verb == "train":
        for option in ("--data", "--backbone", "--strategy", "--weights", "--epochs", "--seed", "--threads"):
            line = next(line for line in done.stdout.splitlines() if line.startswith(f"│ {option} "))
            assert "default:" in line, line


def test_the_list_of_verbs_and_the_version(edge: Any) -> None:
    from importlib.metadata import version

    from edge_cli.main import COMMANDS

    done = edge("--help")
    assert list(COMMANDS) == VERBS
    assert all(verb in done.stdout for verb in VERBS)
    assert edge("--version").stdout == f"edge {version('edge-vision')}\n"


def test_shell_completion_can_be_shown(edge: Any) -> None:
    done = edge("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "complete" in done.stdout


@pytest.mark.parametrize(
    "words", ["--version", "--help", "backbones", "backbones --json", "predict --image red.png --model model.onnx"]
)
@pytest.mark.parametrize(("stream", "code"), [("> /dev/full", 1), (">&-", 0), ("2>&-", 0), ("| true", 0)])
@pytest.mark.usefixtures("model")
def test_a_stream_that_takes_nothing_is_no_traceback(red: Path, words: str, stream: str, code: int) -> None:
    command = f"set -o pipefail; {sys.executable} -m edge_cli {words} {stream}"
    done = subprocess.run(["bash", "-c", command], cwd=red.parent, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_no_colour_is_written_to_a_file(edge: Any, model: Path, red: Path) -> None:
    for words in (["backbones"], ["predict", "--image", red, "--model", model], ["predict", "--image", "gone"]):
        done = edge(*words)
        assert "\x1b" not in done.stdout + done.stderr


def test_output_survives_a_terminal_that_is_not_utf8(edge: Any, model: Path, red: Path) -> None:
    done = edge("predict", "--image", red, "--model", model, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "red" in done.stdout


@pytest.mark.parametrize(
    ("verb", "extra"),
    [
        ("train", "train"),
        ("compare", "train"),
        ("tune", "export"),
        ("average", "train"),
        ("explain", "train"),
        ("import", "train"),
        ("weights list", "train"),
        ("export", "export"),
    ],
)
def test_without_torch_the_extra_of_the_command_is_named(tmp_path: Path, verb: str, extra: str) -> None:
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"created": "2026-01-01"}')
    (run / "best.pt").touch()
    words = [*verb.split(), *([str(run)] if verb in {"average", "import"} else [])]
    hide = f"import sys; sys.modules['torch'] = None; sys.argv = ['edge', *{words!r}]"
    code = f"{hide}; from edge_cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and f"pip install 'edge-vision[{extra}]'" in done.stderr, done.stderr
