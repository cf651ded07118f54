"""Torch is the application's: what training sets of it is put back when training ends, and one trains at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Threads, random numbers and what torch.fx does to nn.Module while it traces are the whole process's: a training
# beside another had its settings, and two traces at once left torch broken. The callbacks of one may train again.
_TURN = threading.RLock()


@contextmanager
def borrow_torch() -> Iterator[None]:
    """When the block is left, torch has the threads and draws the random numbers that it had and would have drawn.

    One thread at a time has torch: others wait here until its block is left.
    """
    with _TURN, _put_back():
        yield


@contextmanager
def _put_back() -> Iterator[None]:
    threads, seed, state = torch.get_num_threads(), torch.initial_seed(), torch.get_rng_state()
    # Asking for its state would start it, on every GPU.
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
        if cuda is None:
            # Not started, a GPU takes the seed of the CPU.
            torch.cuda.manual_seed_all(seed)
        else:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)
