"""The processes that train together: one alone, or those that torchrun started."""

from __future__ import annotations

import atexit
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed as dist, nn

from edge_runtime import EdgeError, UsageError

T = TypeVar("T")

# What gloo and NCCL say where the other end of a connection is gone.
_OF_OTHERS = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe")


@dataclass(frozen=True, slots=True)
class World:
    """`size` processes, of which this is number `rank`; rank 0 alone writes files and speaks."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def shard(self, items: Sequence[T]) -> Sequence[T]:
        """This process's share: every `size`-th item."""
        return items if self.size == 1 else items[self.rank :: self.size]

    def unshard(self, pieces: Sequence[Tensor]) -> Tensor:
        """All processes' shares of what `shard` dealt out, put together in the first order, on the CPU.

        `pieces` are this process's share, one after another; it has none where there are fewer items than processes.
        """
        mine = torch.cat(list(pieces)) if pieces else None
        if self.size == 1:
            return torch.empty(0) if mine is None else mine
        parts = self.collect(None if mine is None else mine.cpu())
        there = [each for each in parts if each is not None]
        if not there:
            return torch.empty(0)
        whole = torch.empty((sum(map(len, there)), *there[0].shape[1:]), dtype=there[0].dtype)
        for rank, each in enumerate(parts):
            if each is not None:
                whole[rank :: self.size] = each
        return whole

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def tell(self, value: T | None) -> T:
        """Rank 0's value, on every process."""
        if self.size == 1:
            assert value is not None
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        told = box[0]
        assert told is not None
        return told

    def lead(self, make: Callable[[], T]) -> T:
        """What `make` gives rank 0, which alone calls it, on every process; the EdgeError it raises there as well."""
        if self.size == 1:
            return make()
        made: tuple[T | None, EdgeError | None] | None = None
        if self.leads:
            try:
                made = make(), None
            except EdgeError as error:
                made = None, error
        value, refused = self.tell(made)
        if refused is not None:
            raise refused
        return value  # type: ignore[return-value]  # of rank 0's type, which may have None

    def collect(self, value: T) -> list[T]:
        """Every process's value, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def share(self, network: nn.Module) -> None:
        """Give all processes rank 0's weights: one seed draws others on another processor, one name is any file's."""
        if self.size > 1:
            network.load_state_dict(self.tell(network.state_dict() if self.leads else None))

    def parallel(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network, its gradients averaged over all processes after each backward pass."""
        if self.size == 1:
            return network
        ids = [device.index] if device.type == "cuda" else None
        with warnings.catch_warnings():
            # Renamed in torch 2.15; the older name works in all that edge supports.
            warnings.filterwarnings("ignore", message=".*broadcast_buffers.* is deprecated", category=FutureWarning)
            return nn.parallel.DistributedDataParallel(network, device_ids=ids, broadcast_buffers=False)

    def agree(self, network: nn.Module) -> None:
        """Give all processes the mean of their batch norm statistics, each of which saw its share of the images."""
        if self.size > 1:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    # The mean of what all agree on must be that, bit for bit: summed and divided it need not be.
                    first = buffer.clone()
                    dist.broadcast(first, src=0)
                    apart = buffer - first
                    dist.all_reduce(apart)
                    buffer.copy_(first + apart / self.size)


ALONE = World()


def join_world(device: torch.device) -> tuple[World, torch.device]:
    """The world that torchrun set up in the environment, joined, and this process's device; else a world of one.

    Raises:
        UsageError: torchrun's variables make no sense, or its processes do not find each other.
    """
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        return ALONE, device
    try:
        rank, size, local = (int(os.environ.get(name, "0")) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        if device.type == "cuda":
            device = torch.device("cuda", local)
            torch.cuda.set_device(device)
        if size == 1:
            return ALONE, device
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            atexit.register(_let_threads_rest)
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"cannot join the processes of torchrun: {str(error).splitlines()[0]}",
            doubt_of_restarts() or "start with torchrun --nproc-per-node N -m edge_cli train …",
        ) from error
    return World(rank, size), device


def is_of_others(error: BaseException) -> bool:
    """Whether it says that another of the processes that train together is gone."""
    return any(word in str(error).lower() for word in _OF_OTHERS)


def others_gone() -> EdgeError:
    """What a user is told in a process whose partner is gone: why, that one said itself."""
    return EdgeError("another process of this training is gone", "torchrun begins again where --max-restarts lets it")


@contextmanager
def with_others() -> Iterator[None]:
    """Raise EdgeError where another process is gone that the work in the block waits for."""
    try:
        yield
    except RuntimeError as error:
        if not (dist.is_available() and dist.is_initialized() and is_of_others(error)):
            raise
        raise others_gone() from error


def doubt_of_restarts() -> str | None:
    """Why processes that torchrun starts again may never find each other, and what helps; None where they will.

    In the store that torchrun keeps for all starts of a job they read addresses of those that are gone; and where
    another machine comes first than before, each waits in a store of its own (pytorch#135712; all up to 2.14).
    """
    shares = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if not shares or os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") == "0":
        return None
    return (
        "processes that torchrun starts again may not find each other in the store that it shares: "
        "set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for torchrun, with --rdzv-backend c10d"
    )


def _let_threads_rest() -> None:
    """Give gloo's threads time to let go of the last tensors they sent.

    One that does so while Python is being taken down needs a lock that is no more, and aborts the finished process. The
    threads outlive `destroy_process_group` where DistributedDataParallel was used, so they cannot be joined.
    """
    time.sleep(0.2)
