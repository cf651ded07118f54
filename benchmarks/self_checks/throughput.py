"""Many: `Classifier.predict_many` over JPEG files against the bound that decoding and the model set by themselves.

    python benchmarks/self_checks/throughput.py [--model M] [--images 2000] [--megapixels 12] [--check]

The bound is threads / (processor time to decode one image + to run the model on it, both on one thread). Each round
times them before and after the streams and takes the mean. `predict_many` goes by its own rule; `batches of 8` is shown
beside it. Efficiency is the processor time of the two halves over that of an image in the stream: on a machine that
does other work meanwhile it still says what edge adds. With --check it ends with 1 where the best round of
`predict_many` reaches less than 90 % of the bound.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime import Classifier
from shared import at_least_1, check, flags, megabytes, number, say, subject

TARGET = 0.90
BATCH_SIZE = 8


def main() -> int:
    """Measure and print; 1 where something failed or, with --check, the target was missed."""
    parser = flags("predict_many against the bound of decoding and the model", "model", "image", "threads")
    parser.add_argument("--images", type=at_least_1, default=2000, help="in a stream (default: %(default)s)")
    parser.add_argument("--megapixels", type=number(0.01, 100), help="enlarge the picture to so many, 4:3")
    parser.add_argument("--rounds", type=at_least_1, default=3, help="(default: %(default)s)")
    given = parser.parse_args()

    def measure(folder: Path) -> bool:
        model, picture = subject(given, folder)
        if given.megapixels is not None:
            picture = enlarge(picture, given.megapixels, folder / "large.jpg")
        share = max(compare(model, picture, given.images, given.threads) for _ in range(given.rounds))
        say(f"best of predict_many {share:.1%} of the bound; the target is {TARGET:.0%}")
        return share >= TARGET

    return check(given, measure)


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
    say(f"decode and model {own_s * 1e3:.3f} ms of processor time; bound {threads / own_s:.1f} images/s")
    for name, (wall_s, cpu_s) in streams.items():
        say(
            f"{name:14}{1 / wall_s:9.1f} images/s {own_s / threads / wall_s:7.1%} of the bound, "
            f"efficiency {own_s / cpu_s:.1%}, got {cpu_s / wall_s:.2f} cores"
        )
    say(f"peak memory {megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss):.0f} MB")
    return own_s / threads / streams["predict_many"][0]


def _pass(classifier: Classifier, picture: Path, images: int, batch_size: int | None) -> tuple[float, float]:
    """Seconds that one pass over all images took for each, by the clock and of the processor."""
    paths = (picture for _ in range(images))
    cpu, start = time.process_time(), time.perf_counter()
    count = sum(1 for _ in classifier.predict_many(paths, batch_size=batch_size))
    return (time.perf_counter() - start) / count, (time.process_time() - cpu) / count


def _cpu_s(call: Callable[[], object], repeats: int) -> float:
    call()
    start = time.thread_time()
    for _ in range(repeats):
        call()
    return (time.thread_time() - start) / repeats


if __name__ == "__main__":
    sys.exit(main())
