"""The engine: `edge predict --engine ray` against `predict_many` on the same cores, start-up counted apart.

    python benchmarks/self_checks/ray_throughput.py --data DIR [--model M] [--images 2000] [--workers N] [--check]

The same pictures go through both, by turns: `predict_many` before and after each batch, whose rate is that from the
moment that as many files of answers are there as workers: by then all processes run. With --check it ends with
1 where the best round reaches less than 90 % of the mean of the two passes around it. It says how busy the machine is:
believe nothing of it where others work, too.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

from edge_batch import BatchSettings, Listing, list_all, predict_batch
from edge_runtime import Classifier, require_extra, usable_cores
from ray_kills import workers_of
from shared import at_least_1, check, default_model, flags, megabytes, say

TARGET = 0.90


def main() -> int:
    """Measure and print; 1 where something failed or, with --check, the target was missed."""
    parser = flags("edge predict --engine ray against predict_many", "model")
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--images", type=at_least_1, default=2000, help="of them (default: %(default)s)")
    parser.add_argument("--workers", type=at_least_1, default=usable_cores(), help="(default: %(default)s)")
    parser.add_argument("--rounds", type=at_least_1, default=1, help="(default: %(default)s)")
    given = parser.parse_args()

    def measure(folder: Path) -> bool:
        require_extra("ray")
        # By default Ray's workers give way to whatever else runs, which predict_many does not.
        os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
        model = given.model or default_model(folder)
        listing = list_all([str(given.data)])
        listing = replace(listing, paths=listing.paths[: given.images], sizes=listing.sizes[: given.images])
        say(f"{len(listing.paths):,} pictures of {given.data}, {model}, {given.workers} workers or threads")
        shares = [compare(model, listing, folder / f"answers-{n}", given.workers) for n in range(given.rounds)]
        say(f"best of the engine {max(shares):.1%} of predict_many; the target is {TARGET:.0%}")
        return max(shares) >= TARGET

    return check(given, measure)


def compare(model: Path, listing: Listing, out: Path, workers: int) -> float:
    """The share of predict_many's rate that the engine reaches; prints one round."""
    classifier = Classifier(model, threads=workers)
    before = _pass(classifier, listing)
    files: list[tuple[float, int]] = []
    begun = time.perf_counter()
    with _Memory() as memory:
        settings = BatchSettings(workers=workers)
        predict_batch(model, listing, out, settings, lambda new: files.append((time.perf_counter(), new.pictures)))
    whole_s = time.perf_counter() - begun
    after = _pass(classifier, listing)
    first_s, last_s = files[workers - 1][0], files[-1][0]
    engine = sum(pictures for _, pictures in files[workers:]) / (last_s - first_s)
    mean = 2 / (1 / before + 1 / after)
    say(
        f"predict_many {before:.1f} and {after:.1f} images/s; the engine {engine:.1f} images/s, {engine / mean:.1%}; "
        f"{first_s - begun:.1f} s to the first {workers} files of {len(files)}, {whole_s:.1f} s in all\n"
        f"a worker's resident memory: {memory.first_mb:.0f} MB at first, {memory.most_mb:.0f} MB at most; "
        f"this process {megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss):.0f} MB; "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return engine / mean


def _pass(classifier: Classifier, listing: Listing) -> float:
    """Images per second of `predict_many` over the listing."""
    start = time.perf_counter()
    count = sum(1 for _ in classifier.predict_many(listing.paths, on_error="return"))
    return count / (time.perf_counter() - start)


class _Memory:
    """The resident memory of this process's workers while the block runs: the mean of the first look, and the most."""

    def __init__(self) -> None:
        self.first_mb = self.most_mb = 0.0
        self._ended = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        page = resource.getpagesize()
        while not self._ended.wait(2):
            sizes = []
            for worker in workers_of(os.getpid()):
                try:
                    sizes.append(int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * page / 1e6)
                except OSError:
                    continue
            if sizes:
                self.first_mb = self.first_mb or sum(sizes) / len(sizes)
                self.most_mb = max(self.most_mb, *sizes)


if __name__ == "__main__":
    sys.exit(main())
