"""What the commands set of their process, and that the library by itself sets nothing."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from process_snapshot import leaves_no_trace
from tiny_model import write_tiny_model

LIBRARY = """
from pathlib import Path
from edge_runtime import Classifier, ImageError, Sample, decode, evaluate

classifier = Classifier(sys.argv[1])
folder = Path(sys.argv[2])
for answer in classifier.predict_many(sorted(folder.iterdir()), on_error="return"):
    print(answer.message if isinstance(answer, ImageError) else answer.label)
print(classifier.predict(folder / "b.png").label, decode(folder / "c.tif").size)
print(evaluate(classifier, folder, [Sample("a.jpg", 0), Sample("c.tif", 1)]).metrics.n)
"""


def tiff(compression: str, image: Image.Image) -> bytearray:
    file = io.BytesIO()
    image.save(file, "TIFF", compression=compression)
    return bytearray(file.getvalue())


def noisy() -> dict[str, bytes]:
    """Files of which Pillow, its plugins or libtiff print or log something."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    broken = {}
    for compression in ("tiff_adobe_deflate", "tiff_lzw"):
        data = tiff(compression, noise)
        data[60:100] = bytes(40)
        broken[f"{compression}.tif"] = bytes(data)
    # 65535 samples a pixel, which Pillow logs.
    many = tiff("raw", noise.convert("RGB"))
    at = many.index(struct.pack("<HHI", 277, 3, 1))
    many[at + 8 : at + 10] = b"\xff\xff"
    # An EXIF block that ends in the middle, of which Pillow warns.
    jpeg = io.BytesIO()
    noise.save(jpeg, "JPEG")
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01"
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return {**broken, "samples.tif": bytes(many), "exif.jpg": b"\xff\xd8" + segment + jpeg.getvalue()[2:]}


@pytest.mark.parametrize("name", noisy())
def test_stderr_has_one_line_or_none(tmp_path: Path, name: str) -> None:
    model = write_tiny_model(tmp_path / "model.onnx")
    (tmp_path / name).write_bytes(noisy()[name])
    command = [sys.executable, "-m", "edge_cli", "predict", name, "--model", str(model), "--jsonl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert len(lines) == done.returncode == (0 if name == "exif.jpg" else 1), done.stderr
    assert all(line.startswith(f"error: {name}") for line in lines)


def test_the_files_do_make_noise_without_it(tmp_path: Path) -> None:
    said: dict[str, Any] = {}
    for name, data in noisy().items():
        (tmp_path / name).write_bytes(data)
        code = f"import sys; from PIL import Image; Image.open({name!r}).convert('RGB').getexif()"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        said[name] = done.stderr.partition("Traceback")[0]
    assert all(said.values()), said


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A JPEG, a PNG and a TIFF, and the damaged files of which the libraries below print something."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.jpg", "b.png", "c.tif"):
        Image.new("RGB", (40, 30), "red").save(folder / name)
    for name, data in noisy().items():
        (folder / name).write_bytes(data)
    return folder


def test_the_library_leaves_the_process_as_it_is(tmp_path: Path, pictures: Path) -> None:
    done = leaves_no_trace(LIBRARY, write_tiny_model(tmp_path / "model.onnx"), pictures)
    assert "(40, 30)" in done.stdout and done.stdout.splitlines()[-1] == "2"
    assert done.stdout.count("cannot be decoded") == 3


def test_the_library_is_as_quiet_as_a_command_in_a_prepared_process(tmp_path: Path, pictures: Path) -> None:
    model = write_tiny_model(tmp_path / "model.onnx")
    script = f"import sys\nfrom edge_runtime import prepare_process\nprepare_process()\n{LIBRARY}"
    command = [sys.executable, "-c", script, str(model), str(pictures)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_process_is_given_is_handed_on_and_what_was_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from edge_runtime import prepare_process as p; p(); import os; print(*map(os.environ.get, os.sys.argv[1:]))"
    command = [sys.executable, "-c", code, "ORT_DISABLE_TELEMETRY", "GOMP_SPINCOUNT"]
    for name in command[3:]:
        monkeypatch.delenv(name, raising=False)
    assert subprocess.check_output(command, text=True).split() == ["1", "10000"]
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert subprocess.check_output(command, text=True).split() == ["1", "7"]


# Runs in every Python started with its folder on the path: a process that loads onnxruntime with telemetry dies.
WATCHMAN = """
import os, sys
def look(event, values):
    if event == "import" and values[0] == "onnxruntime":
        with open(os.environ["SEEN"], "a") as file:
            file.write(f"{sys.orig_argv[1:4]}\\n")
        if os.environ.get("ORT_DISABLE_TELEMETRY") != "1":
            os._exit(97)
sys.addaudithook(look)
"""


@pytest.mark.parametrize(
    ("words", "processes"),
    [
        (["-m", "edge_cli", "predict", "x.png", "--model", "model.onnx"], 1),
        (["-m", "edge_cli", "info", "model.onnx"], 1),
        (["-m", "edge_cli", "doctor"], 1),
        (["-m", "edge_runtime.machine.probe"], 1),
        (["-m", "edge_cli", "bench", "model.onnx", "--duration", "0.1", "--runs", "3", "--cold-starts", "1"], 2),
        (["-m", "edge_benchmarks.measure.worker_process", '{"path": "model.onnx", "images": []}'], 1),
    ],
)
def test_telemetry_is_off_in_every_process_of_a_command(tmp_path: Path, words: list[str], processes: int) -> None:
    write_tiny_model(tmp_path / "model.onnx")
    Image.new("RGB", (40, 30), "red").save(tmp_path / "x.png")
    (tmp_path / "sitecustomize.py").write_text(WATCHMAN, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment["SEEN"] = str(tmp_path / "seen")
    command = [sys.executable, *words]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(set((tmp_path / "seen").read_text(encoding="utf-8").splitlines())) >= processes
