"""Checkpoints: plain tensors and plain data, so that loading one can never run code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from edge_runtime import CheckpointError, ModelCard, ModelError, OutputError, UsageError, atomic_path
from edge_train.network.backbones import Backbone
from edge_train.network.building import build
from edge_train.network.lookup import find_again
from edge_train.network.narrowing import PRUNED, narrow
from edge_train.network.network import Network
from edge_train.settings import Stem

CHECKPOINT_FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A network at the end of an epoch, with the card that an export of it carries.

    `network` is the state dict of `edge_train.Network`; `training` is what resuming needs beside it
    (optimiser state and the like), empty in best.pt.
    """

    card: ModelCard
    network: Mapping[str, torch.Tensor]
    epoch: int
    training: Mapping[str, Any]

    @property
    def backbone(self) -> Backbone:
        """The backbone it was trained as. Raises CheckpointError where it is gone, or has changed since."""
        return find_again(self.card.backbone, self.card.architecture)

    def build(self, *, dropout: float | None = None) -> Network:
        """The network on the CPU in evaluation mode. Raises CheckpointError where it cannot be made or does not fit."""
        card, backbone = self.card, self.backbone
        try:
            # Weights are drawn, to be replaced; the caller's next random numbers are not to depend on that.
            with torch.random.fork_rng(devices=[]):
                made = build(
                    backbone,
                    classes=len(card.labels),
                    dropout=dropout,
                    size_px=card.preprocessing.height_px,
                    **architecture(card),
                )
            if PRUNED in card.architecture:
                narrow(made, {name.removeprefix("backbone."): tensor for name, tensor in self.network.items()})
            network = Network(made, mean=tuple(card.normalization["mean"]), std=tuple(card.normalization["std"]))
            network.load_state_dict(dict(self.network))
        except (RuntimeError, KeyError, TypeError, UsageError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(
                f"the checkpoint's weights do not fit {card.backbone} with {len(card.labels)} labels: {reason}",
                "train again, or name another run with `run`",
            ) from error
        return network.eval()


def architecture(card: ModelCard) -> dict[str, Any]:
    """The keywords of `build` that make a card's network. Raises TypeError where its values are of the wrong kind."""
    units, fastai_units = (card.architecture.get(name) for name in ("hidden_units", "fastai_units"))
    stem = card.architecture.get("stem", "standard")
    known = all(each is None or isinstance(each, int) for each in (units, fastai_units))
    if not known or stem not in get_args(Stem):
        raise TypeError(f"its architecture {dict(card.architecture)} is not known")
    return {"stem": stem, "hidden_units": units, "fastai_units": fastai_units}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`, whole or not at all.

    Raises:
        OutputError: the folder is not writable, or the disk is full; the file that was there is intact.
    """
    value = {
        "edge_checkpoint": CHECKPOINT_FORMAT,
        "card": checkpoint.card.to_json(),
        "network": {name: tensor.detach().cpu() for name, tensor in checkpoint.network.items()},
        "epoch": checkpoint.epoch,
        "training": dict(checkpoint.training),
    }
    try:
        with atomic_path(path) as temporary:
            torch.save(value, temporary)
    except RuntimeError as error:  # torch's zip writer reports a full disk so
        raise OutputError(
            f"cannot write {path}: the disk is full, or failed", "make room on the disk, or use `out`"
        ) from error


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint at `path`, its tensors on the CPU.

    Raises:
        CheckpointError: missing, damaged, not a checkpoint of edge, or of a newer format.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist", "train first: edge train")
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise CheckpointError(f"{path} may not be read: {error.strerror}", "check its permissions") from error
    except Exception as error:  # zip, pickle and torch each raise their own kind for a damaged file
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint", "train again, or name another run with `run`"
        ) from error
    if not isinstance(value, dict) or not isinstance(value.get("edge_checkpoint"), int):
        raise CheckpointError(f"{path} is not a checkpoint of edge", "name a run of edge train with `run`")
    if value["edge_checkpoint"] > CHECKPOINT_FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {value['edge_checkpoint']}; this edge reads up to {CHECKPOINT_FORMAT}",
            "pip install --upgrade edge-vision",
        )
    try:
        return Checkpoint(
            card=ModelCard.from_json(value["card"], where=str(path)),
            network=value["network"],
            epoch=value["epoch"],
            training=value["training"],
        )
    except (KeyError, TypeError, ModelError) as error:
        raise CheckpointError(f"{path} lacks what a checkpoint holds: {error}", "train again") from error
