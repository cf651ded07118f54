"""Many: `Classifier.predict_many` over JPEG files against the bound that decoding and the model set by themselves.

    python benchmarks/self_checks/throughput.py [--model M] [--image I] [--images 2000] [--megapixels 12] [--threads N] [--check]

The bound is threads / (processor time to decode one image + to run the model on it, both on one thread). Each round
times them before and after the streams and takes the mean. `predict_many` goes by its own rule; `batches of 8` is shown
beside it. Efficiency is the processor time of the two halves over that of an image in the stream: on a machine that
does other work meanwhile it still says what edge adds. With --check it ends with 1 where the best round of
`predict_many` reaches less than 90 % of the bound.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from cold_start import default_model
from edge_benchmarks import draw_picture, read_environment
from edge_runtime import Classifier, EdgeError, usable_cores

TARGET = 0.90
BATCH_SIZE = 8


@dataclass(frozen=True)
class Stream:
    """What one pass over all images took, in seconds for an image."""

    wall_s: float
    cpu_s: float


def main() -> int:
    """Measure and print; 1 where something failed or, with --check, the target was missed."""
    parser = argparse.ArgumentParser(description="predict_many against the bound of decoding and the model")
    parser.add_argument("--model", type=Path, help="model file (default: the newest run's, or a fresh mobilenet_v2)")
    parser.add_argument("--image", type=Path, help="JPEG (default: a drawn one, 640 × 480)")
    parser.add_argument("--images", type=int, default=2000, help="in a stream (default: %(default)s)")
    parser.add_argument("--megapixels", type=float, help="enlarge the picture to so many, 4:3")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="fail where the target is missed")
    given = parser.parse_args()
    if min(given.images, given.threads, given.rounds) < 1:
        parser.error("--images, --threads and --rounds: at least 1 is needed")
    if given.megapixels is not None and not 0.01 <= given.megapixels <= 100:
        parser.error("--megapixels: from 0.01 to 100")
    try:
        with TemporaryDirectory(prefix="edge-many-") as folder:
            model = given.model or default_model(Path(folder))
            picture = given.image or draw_picture(Path(folder) / "picture.jpg")
            if given.megapixels is not None:
                picture = enlarge(picture, given.megapixels, Path(folder) / "large.jpg")
            _say(f"{read_environment(threads=given.threads)}\n{model}, {picture}, {given.images} images")
            share = max(compare(model, picture, given.images, given.threads) for _ in range(given.rounds))
    except EdgeError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    _say(f"best of predict_many {share:.1%} of the bound; the target is {TARGET:.0%}")
    return 1 if given.check and share < TARGET else 0


def enlarge(picture: Path, megapixels: float, path: Path) -> Path:
    """The picture at 4:3 and so many megapixels, as a JPEG at `path`."""
    size = (round((megapixels * 1e6 * 4 / 3) ** 0.5), round((megapixels * 1e6 * 3 / 4) ** 0.5))
    with Image.open(picture) as image:
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
    return path


def compare(model: Path, picture: Path, images: int, threads: int) -> float:
    """The share of the bound predict_many reaches by itself; prints one round."""
    classifier, alone = Classifier(model, threads=threads), Classifier(model, threads=1)
    pixels = classifier.preprocessing(picture)[np.newaxis]
    repeats = max(3, min(50, images // 10))

    def own_cpu_s() -> float:
        return _cpu_s(lambda: classifier.preprocessing(picture), repeats) + _cpu_s(
            lambda: alone.probabilities(pixels), repeats
        )

    before = own_cpu_s()
    streams = {
        "predict_many": _pass(classifier, picture, images, None),
        f"batches of {BATCH_SIZE}": _pass(classifier, picture, images, BATCH_SIZE),
    }
    own_s = (before + own_cpu_s()) / 2
    _say(f"decode and model {own_s * 1e3:.3f} ms of processor time; bound {threads / own_s:.1f} images/s")
    for name, stream in streams.items():
        _say(
            f"{name:14}{1 / stream.wall_s:9.1f} images/s {own_s / threads / stream.wall_s:7.1%} of the bound, "
            f"efficiency {own_s / stream.cpu_s:.1%}, got {stream.cpu_s / stream.wall_s:.2f} cores"
        )
    # In kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    _say(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6:.0f} MB")
    return own_s / threads / streams["predict_many"].wall_s


def _pass(classifier: Classifier, picture: Path, images: int, batch_size: int | None) -> Stream:
    paths = (picture for _ in range(images))
    cpu, start = time.process_time(), time.perf_counter()
    count = sum(1 for _ in classifier.predict_many(paths, batch_size=batch_size))
    return Stream((time.perf_counter() - start) / count, (time.process_time() - cpu) / count)


def _cpu_s(call: Callable[[], object], repeats: int) -> float:
    call()
    start = time.thread_time()
    for _ in range(repeats):
        call()
    return (time.thread_time() - start) / repeats


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
