"""Answers to many pictures, as Parquet: Ray Data gives blocks of them to workers and sees to it that each comes back.

Paths go one way and answers the other; every worker opens its pictures itself. Ray retries the block of a worker that
dies and keeps which files of answers are whole, so that the same call goes on after a kill.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_batch.answer_columns import INDEX, AnswerColumns
from edge_batch.answers_folder import FORMAT, GROUP_ROWS, AnswersFolder, answers_place
from edge_batch.committed_answers import Follower, OnAnswers
from edge_batch.joined_cluster import first_line, ray_cluster
from edge_batch.picture_answers import Answering, Work
from edge_batch.picture_listing import Listing
from edge_batch.settings import BatchSettings
from edge_batch.worker_deaths import MOST_DEATHS, WorkerDeaths
from edge_runtime import Classifier, EdgeError, ModelError, OutputError, package_version, require_extra

# A block takes a worker some seconds, and there are enough of them that all workers end at about the same time.
LEAST_ROWS, BLOCKS_PER_WORKER = 16, 8
# With what is left of a core a machine full of workers also writes answers; one process writes those of many workers.
WORKER_CORES, WRITER_CORES, WORKERS_PER_WRITER = 0.9, 0.02, 32


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """What became of a batch: `answered` and `failed` pictures, of which `before` were there when this call began.

    `seconds` are those from the moment that all workers had opened the model; `start_s` those before.
    """

    out: Path
    pictures: int
    answered: int
    failed: int
    before: int
    workers: int
    start_s: float
    seconds: float
    model_sha256: str

    def to_json(self) -> dict[str, Any]:
        """As `edge predict --engine ray --json` prints it."""
        return {**asdict(self), "out": str(self.out)}


def predict_batch(
    model: Path, listing: Listing, out: Path, settings: BatchSettings, on_answers: OnAnswers
) -> BatchSummary:
    """Answer every picture of `listing` once, in Parquet files of the folder `out`; goes on where another call ended.

    `on_answers` hears of files of answers as they become whole. A picture that cannot be read is a row with an error.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: `out` is a URI, or holds something else, or answers of another model, listing or settings; no such
            cluster.
        ModelError: the model cannot be used.
        OutputError: `out` cannot be written.
        EdgeError: the batch failed; the same call goes on with it.
    """
    require_extra("ray")
    data = _read(model)
    sha256 = hashlib.sha256(data).hexdigest()
    columns = _open(model, settings)
    if _read(model) != data:
        raise EdgeError(f"{model} was replaced while it was read", "try again")
    folder = AnswersFolder(answers_place(out).absolute(), _promise(model, sha256, listing, settings))
    follower = Follower(folder, on_answers)
    times, workers = (0.0, 0.0), 0
    with folder.alone(), _in_our_words(folder):
        folder.begin(listing)
        follower.look(before=True)
        before = follower.pictures
        if not follower.all_there and _todo(folder, listing).any():
            work = Work(data, sha256, settings, columns, listing.locations, folder.ready, folder.begun)
            workers, times = _answer(work, folder, listing, follower)
        if not follower.all_there:
            follower.look()
            _check(folder, len(listing.paths))
            folder.finish({"answered": follower.pictures - follower.failed, "failed": follower.failed})
    return BatchSummary(
        folder.path,
        len(listing.paths),
        follower.pictures - follower.failed,
        follower.failed,
        before,
        workers,
        *times,
        sha256,
    )


def _open(model: Path, settings: BatchSettings) -> AnswerColumns:
    """The columns of the model's answers. Raises where it cannot be used as it is asked for."""
    classifier = Classifier(model, threads=1, reject_unlike=settings.reject_unlike, require_signature=settings.keys)
    if settings.embedding and not classifier.embedding_size:
        raise ModelError(f"{model} gives no embedding", "export it again with `with_embedding`")
    return AnswerColumns.of(
        classifier.card,
        rejects=settings.reject_unlike is not None,
        embedding_size=classifier.embedding_size if settings.embedding else 0,
    )


def _todo(folder: AnswersFolder, listing: Listing) -> NDArray[np.bool_]:
    """Which pictures have no answer, bool `[pictures]`."""
    return np.equal(folder.count(len(listing.paths)), 0)


def _answer(work: Work, folder: AnswersFolder, listing: Listing, follower: Follower) -> tuple[int, tuple[float, float]]:
    """Answer what has no answer; gives how many workers did, and the seconds that starting and answering took."""
    begun = time.time()
    settings = work.settings
    folder.ready.unlink(missing_ok=True)
    WorkerDeaths(folder.begun).forget()
    with ray_cluster(settings.address, folder.log, "ray.data", cores=settings.workers) as cores:
        workers = settings.workers or cores
        # Only now: processes of a driver that was killed may have ended what they were writing.
        todo = _todo(folder, listing)
        with follower.following():
            if todo.any():
                _run(work, folder, todo, workers)
        ended = time.time()
    if not folder.ready.exists():
        return 0, (ended - begun, 0.0)
    up = sorted(map(float, folder.ready.read_text(encoding="ascii").split()))[:workers]
    # The clocks of two machines may differ.
    start_s = min(max(up[-1] - begun, 0.0), ended - begun)
    return len(up), (start_s, ended - begun - start_s)


def _read(model: Path) -> bytes:
    try:
        return model.read_bytes()
    except OSError:
        return b""  # Classifier says what is wrong with it


def _promise(model: Path, sha256: str, listing: Listing, settings: BatchSettings) -> Mapping[str, Any]:
    size_bytes, _ = listing.known_bytes
    return {
        "format": FORMAT,
        "edge": package_version("edge-vision"),
        "model": {"path": str(model), "sha256": sha256},
        "data": {
            "names": list(listing.names),
            "pictures": len(listing.paths),
            "bytes": size_bytes,
            "sha256": listing.sha256,
        },
        "settings": settings.of_answers(),
    }


def _run(work: Work, folder: AnswersFolder, todo: NDArray[np.bool_], workers: int) -> None:
    """Have Ray Data answer what is `todo`."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext, read_datasource

    from edge_batch.listing_source import ListingSource, checkpoints
    from edge_batch.restarted_workers import watching

    rows = block_rows(int(todo.sum()), workers)
    source = ListingSource(folder.listing, todo, rows)
    pool = min(workers, len(source))
    context = DataContext.get_current()
    before = context.checkpoint_config, context.enable_progress_bars, context.custom_execution_callback_classes
    context.checkpoint_config, context.enable_progress_bars = checkpoints(folder.checkpoint, INDEX), False
    # Workers are restarted without end: this ends it for those that never open the model, `WorkerDeaths` for the rest.
    context.custom_execution_callback_classes = [*before[2], watching(folder.ready, folder.begun)]
    model = ray.put(work.model)
    try:
        # With the same cores, and nothing else said, Ray has each worker read its own part of the listing: processes
        # for reading cost more than they read.
        read_datasource(source, override_num_blocks=len(source), num_cpus=WORKER_CORES).map_batches(
            Answering,
            fn_constructor_args=[replace(work, model=model)],
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=pool, max_tasks_in_flight_per_actor=2),
            num_cpus=WORKER_CORES,
        ).write_parquet(
            str(folder.path),
            ray_remote_args={"num_cpus": WRITER_CORES, "max_retries": MOST_DEATHS},
            concurrency=1 + workers // WORKERS_PER_WRITER,
        )
    finally:
        context.checkpoint_config, context.enable_progress_bars, context.custom_execution_callback_classes = before


def block_rows(pictures: int, workers: int) -> int:
    """How many pictures a worker is given at once: a power of 2 that divides a group of the listing."""
    wanted = min(max(pictures // (workers * BLOCKS_PER_WORKER), LEAST_ROWS), GROUP_ROWS)
    return 1 << (wanted.bit_length() - 1)


@contextmanager
def _in_our_words(folder: AnswersFolder) -> Iterator[None]:
    """What Ray raises, as an EdgeError: one that a worker met, or what else went wrong."""
    try:
        yield
    except EdgeError:
        raise
    except Exception as error:
        if (ended_by := WorkerDeaths(folder.begun).told()) is not None:
            raise ended_by from None
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, EdgeError):
                raise type(cause)(*cause.args) from None
        if full := next((cause for cause in causes if isinstance(cause, OSError) and cause.errno), None):
            hint = "make room, then the same command goes on"
            raise OutputError(f"cannot write {folder.path}: {os.strerror(full.errno or 0)}", hint) from None
        told = "its workers died again and again" if "Died" in repr(causes) else first_line(causes[-1])
        raise EdgeError(
            f"the batch ended early: {told}", f"{folder.log} has Ray's words; the same command goes on"
        ) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from, as far as that is known."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = getattr(error, "cause", None) or error.__cause__ or error.__context__


def _check(folder: AnswersFolder, pictures: int) -> None:
    """Raise OutputError where a picture has no row, or two."""
    rows = folder.count(pictures)
    if missing := int((rows == 0).sum()):
        raise OutputError(f"{folder.path}: {missing:,} pictures have no answer yet", "the same command goes on")
    if twice := int((rows > 1).sum()):
        raise OutputError(f"{folder.path}: {twice:,} pictures have two answers", "begin anew in another folder")
