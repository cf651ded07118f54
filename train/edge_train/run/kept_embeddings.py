"""What a frozen backbone saw, kept in a folder, so that several runs compute it once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import numpy as np
import torch
from torch import Tensor

from edge_runtime import OutputError, Sample, atomic_path, lock_file
from edge_train.network.network import Network
from edge_train.run.job import Job

POLL_S = 0.1


def body_sha256(job: Job, body: Network) -> str:
    """What identifies all but the images that embeddings depend on: the body's weights and code, and how it is run."""
    head, maker = f"backbone.{job.backbone.head}.", job.backbone.maker
    found = hashlib.sha256()
    told = [
        torch.__version__,
        job.backbone.name,
        job.precision,
        job.device.type,
        torch.get_num_threads(),
        max(64, job.settings.batch_size),
        job.card.preprocessing.to_json(),
        # The same weights answer otherwise where the code was edited, or is another version's.
        {} if maker is None else {**maker.identity, **maker.versions},
    ]
    found.update(json.dumps(told).encode())
    for name, tensor in body.state_dict().items():
        if not name.startswith(head):
            found.update(name.encode())
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def keep(
    job: Job, body: str, samples: Sequence[Sample], view: Sequence[object], make: Callable[[], Tensor]
) -> tuple[Tensor, bool]:
    """The embeddings `[N, D]` of `samples`, float32, and whether they were made now.

    They are those of the run's folder where it has them; else `make` makes them, which one process does while others
    wait. `body` is `body_sha256`'s, `view` what was done to the images.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = job.part.embeddings
    if folder is None:
        return make(), True
    told = [body, str(job.store.root.resolve()), job.card.data["fingerprint"], *view, *(each.path for each in samples)]
    path = folder / f"{hashlib.sha256(json.dumps(told).encode(errors='surrogateescape')).hexdigest()[:32]}.npy"
    with _alone(path.with_suffix(".lock")):
        known = _read(path, len(samples))
        if known is not None:
            return known, False
        made = make()
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, made.numpy(), allow_pickle=False)
        return made, True


def _read(path: Path, rows: int) -> Tensor | None:
    """Those in a file; None where there is none, or it is not whole."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = isinstance(found, np.ndarray) and found.ndim == 2 and len(found) == rows and found.dtype == np.float32
    return torch.from_numpy(found) if whole else None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """No other process is in such a block of the same `path` meanwhile."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
    except OSError as error:
        raise OutputError(f"cannot write {path.parent}: {error.strerror}", "make room there") from error
    with file:
        while not lock_file(file.fileno()):
            sleep(POLL_S)
        yield
