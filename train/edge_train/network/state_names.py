"""A checkpoint's tensors under the names that a network has for them, whatever a training script put before those."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from edge_runtime import WeightsError

State: TypeAlias = dict[str, Tensor]

# Old DenseNet files, torchvision's own among them, say `norm.1` where the modules are called `norm1`.
_OLD_DENSENET_KEY = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
# What DataParallel, torch.compile, Lightning, `edge` itself and others put before the names.
_PREFIXES = ("module.", "_orig_mod.", "network.", "model.", "backbone.")
_WRAPPERS = ("network", "model", "state_dict", "model_state_dict")
# The moving average of the weights beside them, by timm's train.py and torchvision's reference scripts.
_AVERAGES = ("state_dict_ema", "model_ema")
# State dicts in wrappers in wrappers; a hostile file's lie within themselves.
_DEEPEST = 4
_LISTED = 5
# Every part of a name is looked up; those of the deepest networks have some hundred letters.
_LONGEST_NAME = 1000


@dataclass(frozen=True, slots=True, eq=False)
class FoundState:
    """The tensors of a checkpoint by its own names; `wrapper` is the key they lie under, empty for a bare state dict.

    `averaged` tells that they are a moving average of the weights. `beside` is what the checkpoint holds besides.
    """

    tensors: State
    wrapper: str
    averaged: bool
    beside: Mapping[str, Any]

    @property
    def how(self) -> str:
        """The key in a few words where it is none that is known, else empty."""
        return f"under the key {self.wrapper}" if self.wrapper not in {"", *_AVERAGES, *_WRAPPERS} else ""


@dataclass(frozen=True, slots=True, eq=False)
class NamedState:
    """Tensors by a network's names: `prefix` was before them, `numbered` tells that its parts were called 0, 1, 2, ….

    `beside` are those without the prefix, by their own names: of a loss, or of a head that lies elsewhere.
    """

    tensors: State
    prefix: str = ""
    numbered: bool = False
    beside: Mapping[str, Tensor] | None = None

    @property
    def how(self) -> str:
        """What was before the names in a few words, empty for nothing."""
        parts = [f"prefix {self.prefix}"] if self.prefix else []
        return ", ".join([*parts, *(["parts by number"] if self.numbered else [])])


def find_state(loaded: object, path: Path, *, average: bool = True) -> FoundState:
    """The tensors in what a file holds; of a checkpoint with a moving average, with `average`, those of that.

    Raises WeightsError where there are none, or they are no plain tensors.
    """
    beside = loaded if isinstance(loaded, Mapping) else {}
    wrapper = ""
    for _ in range(_DEEPEST):
        if wrapper in _AVERAGES or not isinstance(loaded, Mapping):
            break
        if (key := _wrapper_in(loaded, path, average=average)) is None:
            break
        wrapper, loaded = key, loaded[key]
    averaged = wrapper in _AVERAGES
    items = loaded.items() if isinstance(loaded, Mapping) else ()
    state = {key: value for key, value in items if isinstance(key, str) and isinstance(value, Tensor)}
    if not state:
        raise WeightsError(f"{path} holds no state dict", "give what torch.save(model.state_dict()) writes")
    for key, tensor in state.items():
        if len(key) > _LONGEST_NAME:
            raise WeightsError(f"{path} has a tensor whose name is {len(key):,} letters long", "take an undamaged copy")
        if tensor.is_quantized or tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise WeightsError(f"{path} holds quantized or sparse tensors ({key})", "give the float weights")
        if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise WeightsError(f"{path} claims more values than it holds ({key})", "take an undamaged copy")
    renamed = {_OLD_DENSENET_KEY.sub(r"\1\2", key): tensor for key, tensor in state.items()}
    return FoundState(uncounted(renamed), wrapper, averaged, beside)


def _wrapper_in(loaded: Mapping[Any, Any], path: Path, *, average: bool) -> str | None:
    """The key that the weights lie under; None where they are here, or nowhere. Raises WeightsError for several."""
    known: tuple[str, ...] = (*(_AVERAGES if average else ()), *_WRAPPERS)
    for name in known:
        if _weights_in(loaded.get(name)):
            return name
    counts = {key: _weights_in(value) for key, value in loaded.items() if isinstance(key, str) and key not in _AVERAGES}
    here, most = sum(map(_is_weight, loaded.values())), max(counts.values(), default=0)
    # Class weights beside a state dict are no state dict, and nor is a loss's one tensor.
    keys = [key for key, count in counts.items() if 2 * count >= most > here]
    if len(keys) > 1:
        raise WeightsError(
            f"{path} holds several state dicts: {', '.join(keys[:_LISTED])}{', …' if len(keys) > _LISTED else ''}",
            "save the one you mean by itself",
        )
    return keys[0] if keys else None


def _weights_in(value: object, depth: int = _DEEPEST) -> int:
    """How many tensors a state dict has, or the one that it wraps: a mapping of settings is called `model`, too."""
    if not isinstance(value, Mapping) or not depth:
        return 0
    inside = (value.get(key) for key in (*_AVERAGES, *_WRAPPERS))
    return max(sum(map(_is_weight, value.values())), *(_weights_in(each, depth - 1) for each in inside))


def _is_weight(value: object) -> bool:
    # Scripts keep their best accuracy as a tensor of one number.
    return isinstance(value, Tensor) and value.ndim > 0


def uncounted(state: Mapping[str, Tensor]) -> State:
    """Without batch norm's counters: files from before PyTorch 0.4.1 lack them, and nothing reads them."""
    return {key: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")}


def named_as(model: nn.Module, state: State, path: Path, *, prefix: str | None = None) -> NamedState:
    """The tensors by the model's own names, with what stands before them guessed, unless `prefix` says it.

    Raises WeightsError where two parts of the file fit alike, or nothing has the prefix.
    """
    prefix = _with_dot(prefix, state)
    if prefix and not any(key.startswith(prefix) for key in state):
        raise WeightsError(
            f"no tensor of {path} has the prefix {prefix}", f"they are called {', '.join(list(state)[:3])}, …"
        )
    own = uncounted(model.state_dict()).keys()
    children = [name for name, _ in model.named_children()]
    by_number = {_by_number(key, children) for key in own} - {None}
    hits: Counter[tuple[str, bool]] = Counter()
    for key in state:
        for start in _starts(key) if prefix is None else ([len(prefix)] if key.startswith(prefix) else []):
            for numbered, names in ((False, own), (True, by_number)):
                if key[start:] in names:
                    hits[key[:start], numbered] += 1
    ranked = sorted(hits, key=lambda way: (-hits[way], way[1], len(way[0]), way[0]))
    if not ranked or 2 * hits[ranked[0]] < len(own):
        # It is another network's: without what is known to stand before names, what it is can be told.
        return NamedState(_without_known(state, frozenset(own)))
    best = ranked[0]
    if best[0] and len(ranked) > 1 and ranked[1][0] and hits[ranked[1]] == hits[best] and ranked[1][1] == best[1]:
        raise WeightsError(
            f"{path} holds the network twice: as {best[0]} and as {ranked[1][0]}",
            "say which with `prefix`, or save the one you mean",
        )
    return _renamed(state, *best, children)


def _with_dot(prefix: str | None, state: State) -> str | None:
    """The prefix with the dot that a person left out, where names go on with one."""
    if prefix and not prefix.endswith(".") and any(key.startswith(f"{prefix}.") for key in state):
        return f"{prefix}."
    return prefix


def _renamed(state: State, prefix: str, numbered: bool, children: Sequence[str]) -> NamedState:
    named, beside = {}, {}
    for key, tensor in state.items():
        rest = key.removeprefix(prefix)
        name = _by_name(rest, children) if numbered else rest
        if key.startswith(prefix) and name is not None:
            named[name] = tensor
        else:
            beside[key] = tensor
    return NamedState(named, prefix, numbered, beside)


def _starts(key: str) -> Iterator[int]:
    yield 0
    yield from (at + 1 for at, letter in enumerate(key) if letter == ".")


def _by_number(key: str, children: Sequence[str]) -> str | None:
    """`layer1.0.bias` as a Sequential of the network's children would have it, `4.0.bias`."""
    first, _, rest = key.partition(".")
    return f"{children.index(first)}.{rest}" if first in children and rest else None


def _by_name(key: str, children: Sequence[str]) -> str | None:
    first, _, rest = key.partition(".")
    return f"{children[int(first)]}.{rest}" if first.isdecimal() and int(first) < len(children) and rest else None


def _without_known(state: State, own: frozenset[str]) -> State:
    for _ in range(len(_PREFIXES) ** 2):
        # A network may well call a part of its own `backbone`.
        if 2 * sum(key in own for key in state) > len(state):
            break
        most = (p for p in _PREFIXES if 2 * sum(key.startswith(p) for key in state) > len(state))
        if (prefix := next(most, None)) is None:
            break
        # What lies beside the prefixed names belongs to the wrapper: a loss, normalisation constants.
        state = {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}
    return state
