"""What is said where a device has not the memory that torch asks it for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from edge_runtime import EdgeError


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, on whichever device, could not have the memory it asked for."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)
    )


def out_of_memory() -> EdgeError:
    """What a user is told when memory does not suffice, and halving the batch does not help."""
    return EdgeError(
        "memory does not suffice for training",
        "try a smaller `batch_size`, a smaller `image_size` or a smaller backbone",
    )


@contextmanager
def within_memory() -> Iterator[None]:
    """Raise EdgeError where memory does not suffice for the work in the block."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise out_of_memory() from error
