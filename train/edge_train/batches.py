"""Batches of images, prepared ahead on threads while the network is busy with the last one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from edge_runtime import Sample
from edge_train.augment import Augmentation
from edge_train.store import ImageStore

__all__ = ["Batch", "evaluation_batches", "training_batches"]

Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor]  # uint8 [N, H, W, 3], int64 [N]

AHEAD = 3


def training_batches(
    store: ImageStore,
    samples: Sequence[Sample],
    augment: Augmentation,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
) -> Iterator[Batch]:
    """One epoch over `samples` in an order, and with an augmentation, that depend on seed and epoch alone."""
    order = np.random.default_rng([seed, epoch]).permutation(len(samples))

    def load(index: int) -> NDArray[np.uint8]:
        draw = np.random.default_rng([seed, epoch, index])
        return augment(store.picture(samples[index]), store.preprocessing, draw)

    yield from _prepare(store, samples, _cut(order, batch_size), load)


def evaluation_batches(store: ImageStore, samples: Sequence[Sample], *, batch_size: int) -> Iterator[Batch]:
    """All of `samples` in their order, exactly as the runtime would feed them."""

    def load(index: int) -> NDArray[np.uint8]:
        return store.pixels(samples[index])

    chunks = [np.arange(at, min(at + batch_size, len(samples))) for at in range(0, len(samples), batch_size)]
    yield from _prepare(store, samples, chunks, load)


def _cut(order: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Cut into batches; a last one of a single image joins its neighbour, since batch norm needs two."""
    batches = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        last = batches.pop()
        batches[-1] = np.concatenate([batches[-1], last])
    return batches


def _prepare(
    store: ImageStore,
    samples: Sequence[Sample],
    chunks: list[NDArray[np.int64]],
    load: Callable[[int], NDArray[np.uint8]],
) -> Iterator[Batch]:
    labels = np.array([sample.label for sample in samples], dtype=np.int64)
    waiting: deque[tuple[NDArray[np.int64], list[Future[NDArray[np.uint8]]]]] = deque()
    pool = ThreadPoolExecutor(store.threads, thread_name_prefix="edge-batch")
    try:
        upcoming = iter(chunks)
        for _ in chunks:
            while len(waiting) < AHEAD and (chunk := next(upcoming, None)) is not None:
                waiting.append((chunk, [pool.submit(load, int(index)) for index in chunk]))
            chunk, futures = waiting.popleft()
            images = np.stack([future.result() for future in futures])
            yield torch.from_numpy(images), torch.from_numpy(labels[chunk])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
