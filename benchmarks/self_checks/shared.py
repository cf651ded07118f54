"""What the checks of `edge` itself share: their flags, the model and the picture they take, and how they end."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_benchmarks.machine.environment import read_environment
from edge_benchmarks.models.drawn_picture import draw_picture
from edge_benchmarks.program import exit_code
from edge_runtime import Call, Plan, Timings, UsageError, newest_run, require_extra, take_turns, usable_cores, warm_up

EXPORT_SCRIPT = """
import sys
from pathlib import Path

from edge_benchmarks import build_fresh, choose_backbones

build_fresh(choose_backbones("mobilenet_v2")[0], Path(sys.argv[1]))
"""


def at_least_1(text: str) -> int:
    """A whole number from 1 on, as argparse takes a type."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return number


def number(lowest: float, highest: float) -> Callable[[str], float]:
    """A type for argparse: from `lowest` to `highest`."""

    def parse(text: str) -> float:
        if not lowest <= (value := float(text)) <= highest:
            raise argparse.ArgumentTypeError(f"from {lowest:g} to {highest:g}")
        return value

    return parse


def flags(about: str, *names: str) -> argparse.ArgumentParser:
    """A parser with --check and those of --model, --image, --seconds and --threads that are named."""
    parser = argparse.ArgumentParser(description=about)
    offered = {
        "model": {"type": Path, "help": "model file (default: the newest run's, or a fresh mobilenet_v2)"},
        "image": {"type": Path, "help": "picture (default: a drawn one, 640 × 480)"},
        "seconds": {"type": number(0.01, 3600), "default": 5.0, "help": "for each side (default: %(default)s)"},
        "threads": {"type": at_least_1, "default": usable_cores(), "help": "of one inference (default: %(default)s)"},
    }
    for name in names:
        parser.add_argument(f"--{name}", **offered[name])  # type: ignore[arg-type]
    parser.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    return parser


def check(given: argparse.Namespace, measure: Callable[[Path], bool]) -> int:
    """Measure, with a folder to work in; gives 1 where something failed or, with --check, a target was missed."""

    def run() -> int:
        with TemporaryDirectory(prefix="edge-check-") as folder:
            return 0 if measure(Path(folder)) or not given.check else 1

    return exit_code(run)


def subject(given: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """The model and the picture to measure with, which are told, and so is the machine."""
    model, image = given.model or default_model(folder), given.image or draw_picture(folder / "picture.jpg")
    say(f"{read_environment(threads=getattr(given, 'threads', None))}\n{model}, {image}")
    return model, image


def default_model(folder: Path) -> Path:
    """The newest run's model here, or a mobilenet_v2 with random weights, exported into `folder`."""
    try:
        run = newest_run()
        if run.model.is_file():
            return run.model
    except UsageError:
        pass
    say("no exported run here: exporting a mobilenet_v2 with random weights")
    require_extra("export")
    # In a process of its own: the peak of whatever is started counts what its parent held, and torch is large.
    subprocess.run([sys.executable, "-c", EXPORT_SCRIPT, str(folder)], check=True)
    return folder / "mobilenet_v2.onnx"


def time_by_turns(calls: Sequence[Call], seconds: float) -> list[Timings]:
    """Each of `calls` warmed up, then timed for so many seconds, by turns in this process."""
    for call in calls:
        warm_up(call, least_s=0.2)
    return take_turns(calls, Plan(duration_s=seconds, rounds=20, least_runs=40, most_durations=3))


def edge_command() -> list[str]:
    """`edge` of the environment this script runs in."""
    script = Path(sys.executable).with_name("edge.exe" if sys.platform == "win32" else "edge")
    return [str(script)] if script.exists() else [sys.executable, "-m", "edge_cli"]


def megabytes(max_rss: int) -> float:
    """What getrusage says in kilobytes on Linux, bytes on macOS."""
    return max_rss * (1 if sys.platform == "darwin" else 1024) / 1e6


def say(text: str) -> None:
    """Print a line at once, though stdout is a pipe."""
    print(text, flush=True)
