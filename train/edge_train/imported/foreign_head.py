"""The last layers of a checkpoint from elsewhere: how many classes they answer, and where they belong here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from edge_runtime import WeightsError
from edge_train.network.backbones import Backbone
from edge_train.network.fastai_head import read_fastai_head
from edge_train.network.state_fit import form
from edge_train.network.state_names import NamedState, uncounted

# A number that no layer has by chance, so that a dimension of it is the number of classes.
BLUEPRINT_CLASSES = 7919
_SHOWN = 3
_OTHER_HEAD = (
    "a FILE.py:FUNCTION that makes the network with its own head can be imported; edge train --weights {} takes the "
    "body and learns a head"
)


@dataclass(frozen=True, slots=True, eq=False)
class ForeignHead:
    """Its tensors by the network's names, and the classes they answer; `taken` are the keys they had in the file.

    `fastai_units` is how wide fastai's own head is, where it is that; `how` tells where it was found, empty where it
    was where it belongs.
    """

    tensors: Mapping[str, Tensor]
    classes: int
    taken: frozenset[str]
    fastai_units: int | None = None
    how: str = ""


def find_head(named: NamedState, backbone: Backbone, model: nn.Module, path: Path) -> ForeignHead:
    """The head among a checkpoint's tensors; `model` is the blueprint with `BLUEPRINT_CLASSES`.

    Raises WeightsError where there is none that fits, and what there is instead.
    """
    before = f"{backbone.head}."
    network = uncounted(model.state_dict())
    target = {key: t for key, t in network.items() if key.startswith(before)}
    own = {key: tensor for key, tensor in named.tensors.items() if key.startswith(before)}
    # A layer may be in the place of the part that the head is in, `classifier` for `classifier.1`.
    strays = {key: t for key, t in named.tensors.items() if key not in network and key not in own}
    found = None
    if target.keys() <= own.keys():
        if further := [key for key in own if key not in target]:
            raise _further(further, backbone, path)
        taken = {key: own[key] for key in target}
        found = ForeignHead(taken, _classes(taken, target), frozenset(taken))
    else:
        beside = dict(named.beside or {})
        found = _of_fastai(beside, named, backbone) or _lone_linear(own, {**beside, **strays}, target)
    if found is None or found.classes < 1:
        raise _no_head({**own, **strays, **(named.beside or {})}, backbone, path)
    if found.classes == 1:
        raise WeightsError(
            f"{path} answers with one number, not with one for each class",
            "edge takes classifiers of two classes or more",
        )
    return found


def _further(keys: Sequence[str], backbone: Backbone, path: Path) -> WeightsError:
    """Further layers and scales of a head change what it answers: without them it is another network."""
    shown = ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")
    which = "1 tensor" if len(keys) == 1 else f"{len(keys)} tensors"
    return WeightsError(
        f"{path} has {which} in its head that {backbone.name}'s, {backbone.head}, has not ({shown})",
        _OTHER_HEAD.format(path),
    )


def _classes(taken: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> int:
    """The size of what in the blueprint has the number of its classes; 0 where nothing has."""
    for key, tensor in target.items():
        if tensor.ndim and tensor.shape[0] == BLUEPRINT_CLASSES and taken[key].ndim:
            return taken[key].shape[0]
    return 0


def _of_fastai(beside: Mapping[str, Tensor], named: NamedState, backbone: Backbone) -> ForeignHead | None:
    # The body is the first part of fastai's Sequential, the head the second.
    if not named.prefix.endswith("0."):
        return None
    outer = named.prefix[: -len("0.")]
    second = {key.removeprefix(outer): tensor for key, tensor in beside.items() if key.startswith(outer)}
    if (found := read_fastai_head(second, backbone)) is None:
        return None
    tensors, units, classes = found
    taken = frozenset(f"{outer}{key}" for key in second if key.startswith("1."))
    return ForeignHead(tensors, classes, taken, units, "fastai's head: average and maximum pooled, two layers")


def _lone_linear(
    own: Mapping[str, Tensor], beside: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> ForeignHead | None:
    """The one linear layer that stands for the head: behind dropout in the head's place, or beside the backbone."""
    weight = next((key for key, tensor in target.items() if tensor.ndim == 2), "")
    before = weight.removesuffix("weight")
    if target.keys() != {weight, f"{before}bias"}:
        return None
    found = []
    for key, tensor in (own or beside).items():
        stem = key.removesuffix("weight")
        # What else is in its part of the file would change what it is given, or what it gives.
        part = [other for other in (own or beside) if other.split(".")[0] == key.split(".")[0]]
        fits = tensor.ndim == 2 and tensor.shape[1] == target[weight].shape[1]
        if fits and sorted(part) == [f"{stem}bias", f"{stem}weight"]:
            found.append(stem)
    if len(found) != 1:
        return None
    (stem,) = found
    tensors = own or beside
    named = {weight: tensors[f"{stem}weight"], f"{before}bias": tensors[f"{stem}bias"]}
    taken = frozenset({f"{stem}weight", f"{stem}bias"})
    return ForeignHead(named, named[weight].shape[0], taken, None, f"head from {stem.rstrip('.')}")


def _no_head(there: Mapping[str, Tensor], backbone: Backbone, path: Path) -> WeightsError:
    shown = ", ".join(f"{key} {form(tensor)}" for key, tensor in list(there.items())[:_SHOWN])
    more = ", …" if len(there) > _SHOWN else ""
    said = f"; beside the body it has {len(there)} tensors ({shown}{more})" if there else ""
    return WeightsError(
        f"{path} has no head that fits {backbone.name}'s, {backbone.head}{said}",
        _OTHER_HEAD.format(path),
    )
