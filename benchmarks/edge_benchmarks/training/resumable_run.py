"""A training run that is done once: found again when it is finished, gone on with when it was interrupted."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_benchmarks.plain_data import PlainData
from edge_benchmarks.program import INTERRUPTED, python_module
from edge_runtime import CheckpointError, EdgeError, OutputError, Run, UsageError, lock_file, newest_run, write_json


@dataclass(frozen=True, slots=True)
class Outcome(PlainData):
    """What a finished run came to: accuracies in 0..1, None where it has no such split.

    `seconds` is the wall time of its processes, all invocations together; None where one of them was killed and took
    its time with it. `train_accuracy` is that of the best epoch, while it learnt, on augmented images.
    """

    strategy: str
    seed: int
    train_accuracy: float | None
    val_accuracy: float
    test_accuracy: float | None
    test_images: int
    seconds: float | None
    invocations: int
    parameters: int
    parameters_trained: int
    run: Path


@dataclass(frozen=True, slots=True)
class Trial:
    """One strategy with one seed; `flags` are what `edge train` is told beside `--seed` and `--out`.

    The folder's name holds a digest of the flags, so a changed recipe is another trial.
    """

    strategy: str
    seed: int
    flags: tuple[str, ...]
    root: Path

    @property
    def folder(self) -> Path:
        """Where its run folders and its trial.json are."""
        digest = hashlib.sha256(json.dumps(self.flags).encode()).hexdigest()[:8]
        return self.root / f"{self.strategy}-seed{self.seed}-{digest}"

    def outcome(self) -> Outcome | None:
        """What came out; None while it is not finished.

        Raises:
            CheckpointError: the finished run's files are damaged.
        """
        run = self._run_with("summary.json")
        if run is None:
            return None
        try:
            summary = json.loads(run.summary.read_text(encoding="utf-8"))
            metrics = summary["metrics"]
            times = self._invocations()
            return Outcome(
                strategy=self.strategy,
                seed=self.seed,
                train_accuracy=_train_accuracy(run, summary),
                val_accuracy=metrics["val"]["accuracy"],
                test_accuracy=metrics["test"]["accuracy"] if "test" in metrics else None,
                test_images=metrics["test"]["n"] if "test" in metrics else 0,
                seconds=_total(times, summary["seconds"]),
                invocations=len(times),
                parameters=summary["parameters"],
                parameters_trained=summary["parameters_trained"],
                run=run.path,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(run.summary, error) from None

    def train(self, *, quiet: bool) -> None:
        """Run `edge train`, or go on with the run that was interrupted; what it says goes to stderr.

        Raises:
            UsageError: another process is training this very trial.
            EdgeError: `edge train` failed; it has said why on stderr.
            KeyboardInterrupt: it was interrupted.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {self.folder}: {error.strerror}", "choose another --out") from error
        command = python_module("edge_cli", "train", *self._words(), *(["--quiet"] if quiet else []))
        with _alone(self.folder) as lock:
            times = self._invocations()
            # An invocation whose time never gets written was killed together with this process.
            self._keep([*times, None])
            start = time.perf_counter()
            try:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, pass_fds=lock, check=False)
            finally:
                self._keep([*times, time.perf_counter() - start])
        if done.returncode == INTERRUPTED:
            raise KeyboardInterrupt
        if done.returncode:
            raise EdgeError(
                f"{self.strategy}, seed {self.seed}: edge train ended with {done.returncode}", f"see {self.folder}"
            )

    def _words(self) -> list[str]:
        unfinished = self._run_with("last.pt")
        if unfinished is not None:
            return ["--resume", str(unfinished.path)]
        return [*self.flags, "--strategy", self.strategy, "--seed", str(self.seed), "--out", str(self.folder)]

    def _run_with(self, name: str) -> Run | None:
        try:
            return newest_run(self.folder, needs=(name,))
        except UsageError:
            return None

    def _invocations(self) -> list[float | None]:
        try:
            return list(json.loads((self.folder / "trial.json").read_text(encoding="utf-8"))["seconds"])
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(self.folder / "trial.json", error) from None

    def _damaged(self, path: Path, error: Exception) -> CheckpointError:
        return CheckpointError(f"{path} is damaged: {error!r}", f"remove {self.folder} to train again")

    def _keep(self, seconds: Sequence[float | None]) -> None:
        trial = {"strategy": self.strategy, "seed": self.seed, "flags": self.flags, "seconds": list(seconds)}
        write_json(self.folder / "trial.json", trial)


def _total(invocations: Sequence[float | None], summary_seconds: float) -> float | None:
    known = [seconds for seconds in invocations if seconds is not None]
    if len(known) == len(invocations) and known:
        return sum(known)
    # Killed after its only invocation had finished the run: the run's own clock tells, less a few seconds of start-up.
    return summary_seconds if len(invocations) == 1 else None


def _train_accuracy(run: Run, summary: dict[str, Any]) -> float | None:
    if "train" in summary["metrics"]:
        return float(summary["metrics"]["train"]["accuracy"])
    if not run.metrics.is_file():
        return None
    with run.metrics.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["epoch"] == str(summary["best_epoch"]) and row.get("train_accuracy"):
                return float(row["train_accuracy"])
    return None


@contextmanager
def _alone(folder: Path) -> Iterator[tuple[int, ...]]:
    """Hold the folder's lock; gives the descriptors that the child inherits, so that it holds the lock while it lives.

    A benchmark killed on its own leaves its training running: without the lock, the next would train into the same run.
    """
    with (folder / ".lock").open("w") as file:
        if not lock_file(file.fileno()):
            raise UsageError(f"{folder} is being trained by another process", "wait until it ends, or end it")
        # On Windows nothing is locked, and no descriptor can be handed on.
        yield () if os.name == "nt" else (file.fileno(),)
