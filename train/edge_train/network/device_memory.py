"""What is done, and said, where a device has not the memory that torch asks it for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

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


@dataclass(slots=True, eq=False)
class Portions:
    """In what portions images go through a network that only answers: halves, quarters, … where memory wants it.

    `at_once` is how many go together, None for all; what memory has taught is kept for the next ones.
    """

    say: Callable[[str], object] = lambda _: None
    at_once: int | None = None

    def answer(self, network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """What `network` answers to the images, whose first axis is theirs, in their order. It may take no gradients.

        Raises:
            EdgeError: one image alone is too much.
        """
        while True:
            size = min(self.at_once or len(images), len(images))
            try:
                return torch.cat([network(portion) for portion in torch.split(images, size)])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if size < 2:
                    raise out_of_memory() from error
            # Only here, when the error no longer holds what was computed until then.
            self.at_once = -(-size // 2)
            free_cached_memory()
            self.say(
                f"note: memory does not suffice for the answers to {size} images at once; "
                f"{self.at_once} at a time are answered"
            )


def free_cached_memory() -> None:
    """Give a GPU back what torch keeps of freed memory, which may lie in pieces too small."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
