"""Cold start: `edge predict --image x.jpg` from the shell against a bare script that does the same work.

    python benchmarks/cold_start.py [--model M] [--image I] [--runs 10] [--verbose]

The bare script imports numpy, Pillow and onnxruntime, decodes, resizes and crops the picture, runs the model and prints
the top label. Both are started by turns, in changing order, after one unmeasured run each.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_benchmarks import build_fresh, choose_backbones, draw_picture, read_environment
from edge_runtime import EdgeError, UsageError, newest_run

BARE_SCRIPT = """
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

model, path = sys.argv[1:]
options = onnxruntime.SessionOptions()
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
card = json.loads(session.get_modelmeta().custom_metadata_map["edge"])
contract = card["preprocessing"]
with Image.open(path) as image:
    image = image.convert("RGB")
scale = contract["resize_short_side"] / min(image.size)
image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
left, top = (image.width - contract["width"]) // 2, (image.height - contract["height"]) // 2
image = image.crop((left, top, left + contract["width"], top + contract["height"]))
probabilities = session.run(None, {"image": np.asarray(image)[np.newaxis]})[0][0]
print(card["labels"][int(probabilities.argmax())], float(probabilities.max()))
"""


def main() -> int:
    """Measure and print; 1 where something failed."""
    parser = argparse.ArgumentParser(description="edge predict against a bare script, cold from the shell")
    parser.add_argument("--model", type=Path, help="model file (default: the newest run's, or a fresh mobilenet_v2)")
    parser.add_argument("--image", type=Path, help="picture (default: a drawn one)")
    parser.add_argument("--runs", type=int, default=10, help="measured runs of each (default: %(default)s)")
    parser.add_argument("--verbose", action="store_true", help="also print what edge predict spends on imports")
    given = parser.parse_args()
    if given.runs < 1:
        parser.error("--runs: at least 1 is needed")
    try:
        with TemporaryDirectory(prefix="edge-cold-") as folder:
            compare(Path(folder), given.model, given.image, given.runs, verbose=given.verbose)
    except EdgeError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"error: {' '.join(error.cmd)} failed:\n{error.stderr}")
        return 1
    return 0


def compare(folder: Path, model: Path | None, image: Path | None, runs: int, *, verbose: bool) -> None:
    """Time both programs `runs` times and print the comparison on stdout."""
    model = model or default_model(folder)
    image = image or draw_picture(folder / "picture.jpg")
    bare = folder / "bare.py"
    bare.write_text(BARE_SCRIPT, encoding="utf-8")
    programs = {
        "edge predict": [*edge_command(), "predict", "--model", str(model), "--image", str(image)],
        "bare script": [sys.executable, str(bare), str(model), str(image)],
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    for run in range(runs + 1):
        order = list(programs) if run % 2 else list(reversed(programs))
        for name in order:
            seconds = _time(programs[name])
            # The first run of each reads its files from the disk, and may compile its modules.
            if run:
                times[name].append(seconds)
    _say(f"{read_environment()}\n{model}, {image}; seconds, {runs} runs each")
    _say(f"{'':14}{'median':>8}{'min':>8}{'max':>8}{'stdev':>8}")
    for name, seconds_ in times.items():
        spread = statistics.stdev(seconds_) if runs > 1 else 0.0
        row = (statistics.median(seconds_), min(seconds_), max(seconds_), spread)
        _say(f"{name:14}" + "".join(f"{value:8.3f}" for value in row))
    edge, plain = times["edge predict"], times["bare script"]
    ratio = statistics.median(edge) / statistics.median(plain)
    _say(f"ratio of medians {ratio:.2f}, of minima {min(edge) / min(plain):.2f}")
    if verbose:
        programs["edge predict"] = _as_python(programs["edge predict"])
        for title, command in programs.items():
            _say(f"\nimports of {title}, own time by package (with -X importtime, which slows them)")
            for package, own_ms in _imports(command)[:12]:
                _say(f"{own_ms:8.1f} ms  {package}")


def edge_command() -> list[str]:
    """`edge` of the environment this script runs in."""
    script = Path(sys.executable).with_name("edge.exe" if sys.platform == "win32" else "edge")
    return [str(script)] if script.exists() else [sys.executable, "-m", "edge_cli"]


def _as_python(command: list[str]) -> list[str]:
    start = len(edge_command())
    return [sys.executable, "-m", "edge_cli", *command[start:]]


def default_model(folder: Path) -> Path:
    """The newest run's model here, or a mobilenet_v2 with random weights, exported into `folder`."""
    try:
        run = newest_run()
        if run.model.is_file():
            return run.model
    except UsageError:
        pass
    _say("no exported run here: exporting a mobilenet_v2 with random weights")
    return build_fresh(choose_backbones("mobilenet_v2")[0], folder).path


def _time(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start


def _imports(command: list[str]) -> list[tuple[str, float]]:
    """Milliseconds spent in each top-level package's own modules, most first."""
    done = subprocess.run([command[0], "-X", "importtime", *command[1:]], capture_output=True, text=True, check=True)
    own: dict[str, float] = defaultdict(float)
    for line in done.stderr.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if line.startswith("import time:") and len(fields) == 3 and fields[0].strip().isdigit():
            own[fields[2].strip().partition(".")[0]] += int(fields[0]) / 1000
    return sorted(own.items(), key=lambda pair: -pair[1])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
