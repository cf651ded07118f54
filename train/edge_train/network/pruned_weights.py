"""A new network as narrow as a pruned one whose checkpoint it begins with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from edge_runtime import CheckpointError, WeightsError
from edge_train.network.backbones import Backbone
from edge_train.network.checkpoint import Checkpoint, load_checkpoint
from edge_train.network.hub_weights import HubFile
from edge_train.network.narrowing import PRUNED, narrow


def narrow_as_weights(model: nn.Module, backbone: Backbone, choice: str | Path | HubFile) -> float | None:
    """Give a model that `build` made the widths of the pruned network whose checkpoint of edge `choice` is.

    The head stays as it was drawn, for a shorter embedding; other weights that change their size are arbitrary. Returns
    the share of the channels that were pruned, None where the model stays as it is: `choice` is nothing of the kind, or
    of another backbone. Raises WeightsError where it has parts that the pruned network has not.
    """
    if not isinstance(choice, Path) or (pruned := _read_pruned(choice)) is None:
        return None
    if pruned.card.backbone != backbone.name:
        return None
    state = {name.removeprefix("backbone."): tensor for name, tensor in pruned.network.items()}
    head = _head(model, f"{backbone.head}.", state)
    try:
        narrow(model, {**state, **head})
    except RuntimeError as error:
        raise WeightsError(
            f"{choice} is a pruned {backbone.name}, of other parts than the network to train: {error}",
            "train it with the `attention` that it has",
        ) from error
    model.load_state_dict(head, strict=False)
    return float(pruned.card.architecture[PRUNED])


def _read_pruned(path: Path) -> Checkpoint | None:
    try:
        found = load_checkpoint(path)
    except CheckpointError:  # what it is instead is said by who loads it
        return None
    return found if isinstance(found.card.architecture.get(PRUNED), int | float) else None


def _head(model: nn.Module, head: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the model's own head, the first of its layers as it was drawn for as many inputs as in `state`."""
    own = {name: tensor.clone() for name, tensor in model.state_dict().items() if name.startswith(head)}
    weights = [name for name, tensor in own.items() if tensor.ndim > 1]
    pruned = [tensor for name, tensor in state.items() if name.startswith(head) and tensor.ndim > 1]
    if weights and pruned:
        own[weights[0]] = own[weights[0]][:, : pruned[0].shape[1]]
    return own
