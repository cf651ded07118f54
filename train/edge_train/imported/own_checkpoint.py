"""A checkpoint of `edge` itself: its card says how its network was built, and what a picture of it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import nn

from edge_runtime import ModelCard, ModelError, Preprocessing, UsageError
from edge_train.network.backbones import Backbone
from edge_train.network.checkpoint import Checkpoint
from edge_train.network.state_fit import copy_into
from edge_train.network.state_names import FoundState, uncounted

_BODY = "backbone."
_KINDS = {"multi-label": "any number of labels", "multi-task": "an answer for each of several tasks"}


def read_own_card(found: FoundState, path: Path) -> ModelCard | None:
    """The card of a checkpoint of edge; None where it is another's, or the card makes no sense.

    Raises UsageError where its pictures have no one label each, which an import would make of them.
    """
    said = found.beside.get("card")
    if "edge_checkpoint" not in found.beside or not isinstance(said, Mapping):
        return None
    if isinstance(kind := said.get("kind"), str) and kind in _KINDS:
        run = path.parent if (path.parent / "config.json").is_file() else "DIR"
        raise UsageError(
            f"{path} is of edge, and its pictures have {_KINDS[kind]}, of which an import would make one label",
            f"its run's folder can be exported as it is: edge export --run {run}",
        )
    try:
        return ModelCard.from_json(said, where=str(path))
    except (ModelError, RuntimeError):  # a tensor in the place of a number is neither this nor that
        return None


def is_built_otherwise(card: ModelCard, backbone: Backbone) -> bool:
    """Whether its layers are not the backbone's own: another head or stem, attention, or fewer channels."""
    return bool(card.architecture.keys() - (backbone.maker.identity.keys() if backbone.maker else set()))


def build_as_trained(card: ModelCard, found: FoundState, contract: Preprocessing, path: Path) -> nn.Module:
    """The backbone of a checkpoint with that card, with its weights, for pictures of that size.

    Raises CheckpointError where it cannot be built or they do not fit, WeightsError where they are no usable numbers.
    """
    tensors = found.beside["network"]
    model = Checkpoint(replace(card, preprocessing=contract), tensors, 0, {}).build().backbone
    own = {key.removeprefix(_BODY): tensor for key, tensor in found.tensors.items() if key.startswith(_BODY)}
    copy_into(uncounted(model.state_dict()), own, path)
    return model
