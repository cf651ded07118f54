"""What a network's modules hold as attributes: other modules, in one place or several, and activations they kept."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

from edge_runtime import UsageError

M = TypeVar("M", bound=nn.Module)


def copied(module: M, *, shared: Iterable[Tensor] = ()) -> M:
    """A deep copy; `shared` tensors are those of the module itself.

    An activation that a forward kept on itself is let go of its graph, with which torch copies none.

    Raises UsageError where a user's network keeps what cannot be copied.
    """
    memo: dict[int, Any] = {id(tensor): tensor for tensor in shared}
    tensors = (value for value in held_values(module) if isinstance(value, Tensor))
    memo |= {id(tensor): tensor.detach() for tensor in tensors if not tensor.is_leaf}
    try:
        return copy.deepcopy(module, memo)
    except (RuntimeError, TypeError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(f"the network keeps what cannot be copied: {said}", "keep no such value on its modules") from (
            error
        )


def held_modules(module: nn.Module) -> Iterator[nn.Module]:
    """Every module that a module within this one holds, once for every place that it lies in."""
    return (value for value in held_values(module) if isinstance(value, nn.Module))


def held_values(module: nn.Module) -> Iterator[object]:
    """What the modules within this one hold as attributes, or in lists and dictionaries of theirs."""
    for each in module.modules():
        for value in vars(each).values():
            yield from _within(value)


def _within(value: object, depth: int = 4) -> Iterator[object]:
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        if depth:
            for inner in value.values() if isinstance(value, Mapping) else value:
                yield from _within(inner, depth - 1)
    else:
        yield value
