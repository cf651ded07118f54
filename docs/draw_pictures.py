"""Draws the pictures in the pages anew, by the project's own commands from drawn shapes: make docs-pictures

MobileNetV2's weights are downloaded or taken from EDGE_WEIGHTS_DIR; the report is photographed by Chromium, where there
is one. Two minutes on two cores. What comes out depends on the machine in times and last digits. `--sustained` draws
instead what a machine at rest keeps of its speed through ten minutes.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).with_name("pictures")
LARGEST_BYTES = 60_000
WIDTH_PX = 1000

Edge = Callable[[str], None]


def draw(into: Path) -> None:
    """Write the pictures to the folder `into`, each a PNG of `LARGEST_BYTES` at most."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)

        def edge(words: str) -> None:
            print(f"$ edge {words}", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "edge_cli", *shlex.split(words)], cwd=work, check=True)

        edge("data preview --data shapes --out augmentation.png")
        keep(work / "augmentation.png", into)
        draw_comparison(edge, work, into)
        draw_layer(edge, work, into)
        edge("train --data shapes --backbone mobilenet_v2 --strategy fine-tune --find-lr --out rates")
        keep(next((work / "rates").glob("rates-*.png")), into / "learning-rates.png")


def draw_sustained(into: Path) -> None:
    """Latency by the minute of ten minutes without a pause, on a machine with nothing else to do."""
    with tempfile.TemporaryDirectory() as folder:
        words = "bench --backbones mobilenet_v2 --precision int8 --sustained 10m --out bench"
        subprocess.run([sys.executable, "-m", "edge_cli", *words.split()], cwd=folder, check=True)
        keep(Path(folder, "bench", "sustained.png"), into / "sustained.png")


def draw_comparison(edge: Edge, work: Path, into: Path) -> None:
    """The three strategies on the shapes, and the report of the one from scratch."""
    edge("compare --data shapes --backbone mobilenet_v2")
    (compared,) = (work / "runs").glob("comparison-*")
    keep(compared / "comparison.png", into / "strategies.png")
    keep(compared / "predictions.png", into / "predictions.png")
    (scratch,) = (work / "runs").glob("*-scratch-*")
    photograph(scratch / "report.html", into / "report.png")


def draw_layer(edge: Edge, work: Path, into: Path) -> None:
    """What the first layer of a pretrained backbone makes of a triangle."""
    edge("data shapes --out drawn")
    edge("train --data drawn --backbone mobilenet_v2 --strategy feature-extraction --epochs 1 --out layer")
    (run,) = (work / "layer").iterdir()
    edge(f"explain drawn/test/triangle/0000.png --run {run} --activations features.0 --out activations.png")
    keep(work / "activations.png", into)


def photograph(page: Path, into: Path) -> None:
    """The top of an HTML page as a picture; the old one stays where there is no Chromium."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print(f"no Chromium: {into.name} stays as it is", file=sys.stderr)
        return
    shot = page.with_name("page.png")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,900"]
    subprocess.run([chromium, *flags, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True)
    keep(shot, into)


def keep(picture: Path, into: Path) -> None:
    """Save it in as many colours as fit the bound, no wider than the pages show it."""
    path = into / picture.name if into.is_dir() else into
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    if image.width > WIDTH_PX:
        image = image.resize((WIDTH_PX, round(image.height * WIDTH_PX / image.width)), Image.Resampling.LANCZOS)
    for colours in (256, 128, 64, 32, 16):
        image.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= LARGEST_BYTES:
            print(json.dumps({"picture": path.name, "colours": colours, "bytes": path.stat().st_size}), file=sys.stderr)
            return
    raise SystemExit(f"{path.name} is larger than {LARGEST_BYTES:,} bytes even in 16 colours")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    (draw_sustained if sys.argv[1:] == ["--sustained"] else draw)(FOLDER)
