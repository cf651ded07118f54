"""Batches of images, prepared ahead on threads while the network is busy with the last one."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from edge_data import Augmentation, ImageStore
from edge_runtime import Sample
from edge_train.run.processes import ALONE, World

# uint8 [N, H, W, 3] or float32 embeddings [N, D]; int64 [N], or a row each where pictures have several labels; a
# teacher's logits float32 [N, classes], if there are
Batch: TypeAlias = tuple[torch.Tensor, ...]
# The truth of samples, a row for each.
Truth: TypeAlias = Callable[[Sequence[Sample]], NDArray[Any]]

AHEAD = 3


def class_indices(samples: Sequence[Sample]) -> NDArray[Any]:
    """The classes of pictures of one label, int64 `[N]`."""
    return np.array([sample.label for sample in samples], dtype=np.int64)


def even_size(count: int, most: int) -> int:
    """The size of batches of `most` images at most that `count` are cut into alike, so that none is a remainder."""
    return -(-count // -(-count // most))


def training_batches(
    store: ImageStore,
    samples: Sequence[Sample],
    augment: Augmentation,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    balanced: bool = False,
    world: World = ALONE,
    truth: Truth = class_indices,
    size_px: int | None = None,
) -> Iterator[Batch]:
    """One epoch over `samples` in an order, and with an augmentation, that depend on seed and epoch alone.

    With `balanced`, as many images are drawn with replacement, so that each class comes equally often. Of each
    batch a process of `world` gets its share. Augmented images are reduced to squares of `size_px`, where it is given.
    """
    order, cuts = epoch_order(
        samples, batch_size=batch_size, seed=seed, epoch=epoch, balanced=balanced, processes=world.size
    )

    # An image that is drawn twice is not augmented twice alike.
    seen: Counter[int] = Counter()
    chances = []
    for index in order.tolist():
        chances.append((index, seen[index]))
        seen[index] += 1

    def load(place: int) -> NDArray[np.uint8]:
        index, again = chances[place]
        draw = np.random.default_rng([seed, epoch, index, again])
        pixels = augment(store.picture(samples[index]), store.preprocessing, draw)
        return pixels if size_px is None or size_px == len(pixels) else _reduce(pixels, size_px)

    labels = truth([samples[index] for index in order])
    yield from _prepare(store, labels, [cut[world.rank :: world.size] for cut in cuts], load)


def epoch_order(
    samples: Sequence[Sample], *, batch_size: int, seed: int, epoch: int, balanced: bool = False, processes: int = 1
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """The indices of the samples in an epoch's order, and the places in that order which make each batch."""
    order = _order(samples, np.random.default_rng([seed, epoch]), balanced=balanced)
    return order, _cut(np.arange(len(order)), batch_size, least=2 * processes)


def count_batches(images: int, batch_size: int, *, processes: int = 1) -> int:
    """How many batches `epoch_order` makes of so many images."""
    return len(_cut(np.arange(images), batch_size, least=2 * processes))


def view_batches(
    store: ImageStore,
    samples: Sequence[Sample],
    augment: Augmentation,
    *,
    batch_size: int,
    seed: int,
    view: int,
    world: World = ALONE,
) -> Iterator[Batch]:
    """One augmented view of each of `samples` in their order, or of this process's share of them."""
    mine = world.shard(range(len(samples)))

    def load(place: int) -> NDArray[np.uint8]:
        index = mine[place]
        draw = np.random.default_rng([seed, view, index, 0])
        return augment(store.picture(samples[index]), store.preprocessing, draw)

    labels = class_indices([samples[index] for index in mine])
    chunks = [np.arange(at, min(at + batch_size, len(mine))) for at in range(0, len(mine), batch_size)]
    yield from _prepare(store, labels, chunks, load)


def evaluation_batches(store: ImageStore, samples: Sequence[Sample], *, batch_size: int) -> Iterator[Batch]:
    """All of `samples` in their order, exactly as the runtime would feed them."""

    def load(index: int) -> NDArray[np.uint8]:
        return store.pixels(samples[index])

    chunks = [np.arange(at, min(at + batch_size, len(samples))) for at in range(0, len(samples), batch_size)]
    labels = class_indices(samples)
    yield from _prepare(store, labels, chunks, load)


def _reduce(pixels: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize((size_px, size_px), Image.Resampling.BILINEAR))


def _order(samples: Sequence[Sample], draw: np.random.Generator, *, balanced: bool) -> NDArray[np.int64]:
    if not balanced:
        return draw.permutation(len(samples))
    labels = np.array([sample.label for sample in samples])
    chance = 1 / np.bincount(labels)[labels]
    return draw.choice(len(samples), size=len(samples), p=chance / chance.sum())


def _cut(order: NDArray[np.int64], batch_size: int, least: int = 2) -> list[NDArray[np.int64]]:
    """Cut into batches; a last one too small joins its neighbour, since batch norm needs two images a process."""
    batches = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    if len(batches) > 1 and len(batches[-1]) < least:
        last = batches.pop()
        batches[-1] = np.concatenate([batches[-1], last])
    return batches


def _prepare(
    store: ImageStore,
    labels: NDArray[Any],
    chunks: list[NDArray[np.int64]],
    load: Callable[[int], NDArray[np.uint8]],
) -> Iterator[Batch]:
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
