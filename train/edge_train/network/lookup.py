"""From what a user calls a backbone to the backbone: a row of the table, a network of timm, or one of their own."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_runtime import CheckpointError, MissingExtraError, UsageError, as_kind
from edge_train.network.backbones import BACKBONES, Backbone

TIMM = "timm:"


def _squash(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def names_code(name: str) -> bool:
    """Whether `find_backbone` would run code of that name, which only its user may have it do."""
    return ":" in name and not name.strip().lower().startswith(TIMM)


def find_backbone(name: str) -> Backbone:
    """The backbone of that name, however it is spelled: `resnet18`, `ResNet-18` and `resnet_18` are one.

    `timm:NAME` is a classifier of the package timm; `package.module:FUNCTION` and `FILE.py:FUNCTION` are what that
    function makes, which is run (docs/networks.md).

    Raises:
        UsageError: there is none; the hint has the nearest names and the whole list.
        MissingExtraError: timm, or torch to look into a network with, is not installed.
    """
    name = as_kind(name, str, "`backbone`")
    # They need torch, which the table does not.
    if name.strip().lower().startswith(TIMM):
        from edge_train.network.timm_network import find_in_timm

        return find_in_timm(name.strip()[len(TIMM) :])
    if names_code(name):
        from edge_train.network.own_network import find_own

        return find_own(name.strip())
    known = {_squash(backbone): backbone for backbone in BACKBONES}
    asked = _squash(name)
    if asked in known:
        return BACKBONES[known[asked]]
    near = [squashed for squashed in known if asked and squashed.startswith(asked)]
    near = near or difflib.get_close_matches(asked, known, n=3)
    guess = f"did you mean {' or '.join(known[squashed] for squashed in near)}? " if near else ""
    raise UsageError(
        f"no backbone is called {name!r}",
        f"{guess}choose from {', '.join(BACKBONES)}, or timm:NAME, or FILE.py:FUNCTION for one of your own",
    )


def same_name(name: str, kept: str) -> bool:
    """Whether `name`, as a run's settings have it, names the network that the card calls `kept`; no code is run."""
    if not names_code(name):
        return find_backbone(name).name == kept
    place, _, function = name.strip().rpartition(":")
    return kept == f"{Path(place).name if place.endswith('.py') else place}:{function}"


def find_again(name: str, architecture: Mapping[str, Any]) -> Backbone:
    """The backbone of a card's `backbone` and `architecture`, for which no other is taken.

    Raises CheckpointError where it is gone or has changed, or is code that its user has never named to edge on this
    machine: a checkpoint from elsewhere is not to run anything.
    """
    try:
        return _with_attention(_find_again(name, architecture), architecture.get("attention"))
    except MissingExtraError:
        raise
    except UsageError as error:
        raise CheckpointError(f"the network of the checkpoint cannot be made: {error.message}", error.hint) from error


def _find_again(name: str, architecture: Mapping[str, Any]) -> Backbone:
    if not names_code(name):
        return find_backbone(name)
    from edge_train.network.own_network import find_as_trained

    return find_as_trained(name, architecture)


def _with_attention(backbone: Backbone, kind: object) -> Backbone:
    if kind is None:
        return backbone
    from edge_train.network.attention_sites import with_attention

    return with_attention(backbone, kind)


def as_kept(name: str, backbone: Backbone) -> str:
    """What config.json keeps of `name`: it must be found from any folder."""
    from edge_train.network.own_network import FILE

    file = backbone.maker.identity.get(FILE) if backbone.maker is not None else None
    return name if file is None else f"{file}:{name.rpartition(':')[2].strip()}"
