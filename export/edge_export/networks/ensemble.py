"""Several runs as one file that averages their probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge_data import Splits, read_split
from edge_runtime import ModelCard, Run, Sample, UsageError, composed
from edge_train import Checkpoint, DeployedNetwork, deploy, load_checkpoint


class EnsembleNetwork(nn.Module):
    """The mean of its members' probabilities, each member with its own normalisation and temperature.

    uint8 images `[N, H, W, 3]` to float32 `[N, classes]`, whose rows sum to 1 as the members' do.
    """

    def __init__(self, members: Sequence[DeployedNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of already resized and cropped images."""
        return torch.stack([member(images) for member in self.members]).mean(0)


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One run and its best checkpoint."""

    run: Run
    checkpoint: Checkpoint

    @property
    def card(self) -> ModelCard:
        """The checkpoint's card."""
        return self.checkpoint.card

    def deploy(self) -> DeployedNetwork:
        """The network as it is exported. Raises CheckpointError where the weights do not fit."""
        return deploy(self.checkpoint.build().requires_grad_(False), self.card)


def read_members(runs: Sequence[Run]) -> tuple[Member, ...]:
    """The best checkpoints of `runs`, which can be averaged.

    Raises:
        UsageError: a run is named twice, or two differ in labels, input size or other preprocessing.
        CheckpointError: a run has no usable checkpoint.
    """
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise UsageError("`runs` names a run twice", "name each run of the ensemble once")
    members = tuple(Member(run, load_checkpoint(run.best)) for run in runs)
    first = members[0]
    for other in members[1:]:
        _must_go_together(first, other)
    return members


def published(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Without the path on this machine of a network's own file, which is nobody else's business."""
    return {name: value for name, value in architecture.items() if name != "network_file"}


def average_cards(members: Sequence[Member]) -> ModelCard:
    """The card of the ensemble; its figures are still to be measured."""
    cards = [member.card for member in members]
    first = cards[0]
    normalizations = [card.normalization for card in cards]
    architectures = [published(card.architecture) for card in cards]
    return replace(
        first,
        backbone="+".join(dict.fromkeys(card.backbone for card in cards)),
        strategy="ensemble",
        temperature=1.0,
        architecture=architectures[0] if all(each == architectures[0] for each in architectures) else {},
        normalization=first.normalization if all(each == normalizations[0] for each in normalizations) else {},
        metrics={},
        data=_common_data(cards),
        created=datetime.now(UTC).isoformat(),
        operating_point=first.operating_point if len(set(map(_decides, cards))) == 1 else None,
        members=tuple(_describe(member) for member in members),
    )


def common_validation(
    members: Sequence[Member], data: Path | None, say: Callable[[str], object]
) -> tuple[Path, tuple[Sample, ...]]:
    """The data root, and the images that are in every member's validation split: none of them trained a member.

    A run that was cross-validated has none: alone, it is shown the images that it learned from.

    Raises:
        UsageError: there is no such image, so the ensemble's accuracy cannot be measured honestly.
    """
    splits = [read_split(member.run.split, member.card.labels) for member in members]
    roots = [_root(member) for member in members]
    keys = _keys(members, roots)
    first = splits[0]
    if len(members) == 1 and not first.val:
        return data or roots[0], first.train
    _require_validation(members, splits)
    common = set.intersection(*({key(s) for s in split.val} for key, split in zip(keys, splits, strict=True)))
    samples = tuple(sample for sample in first.val if keys[0](sample) in common)
    if not samples:
        raise UsageError(
            f"no image is in the validation split of all {len(members)} runs, so nothing can be proven",
            "train them on the same data with the same `seed`, `limit` and `group_by`",
        )
    left_out = _all_validation(splits, keys) - len(samples)
    if left_out:
        say(
            f"note: measured on the {len(samples)} validation images that all {len(members)} runs have in common; "
            f"{left_out} others may have trained one of them"
        )
    return data or roots[0], samples


def common_test(members: Sequence[Member]) -> tuple[Sample, ...]:
    """The images that are in every member's test split, below the first one's data root: nothing was chosen on them."""
    splits = [read_split(member.run.split, member.card.labels) for member in members]
    keys = _keys(members, [_root(member) for member in members])
    common = set.intersection(*({key(s) for s in split.test} for key, split in zip(keys, splits, strict=True)))
    return tuple(sample for sample in splits[0].test if keys[0](sample) in common)


def _require_validation(members: Sequence[Member], splits: Sequence[Splits]) -> None:
    for member, split in zip(members, splits, strict=True):
        if not split.val and not split.train:
            raise UsageError(
                f"{member.run.path} has no images, so no ensemble with it can be measured",
                "export it alone, or import it again with `data`",
            )
        if not split.val:
            raise UsageError(
                f"{member.run.path} learned from all its images, so no ensemble with it can be measured",
                "export it alone, or train without `folds`",
            )


def _must_go_together(first: Member, other: Member) -> None:
    one, two = first.card, other.card
    both = f"{first.run.path} and {other.run.path}"
    names, others = (tuple(map(composed, card.labels)) for card in (one, two))
    if names != others:
        if sorted(names) == sorted(others):
            raise UsageError(f"{both} have the same labels in another order", "train both on the same folder")
        differing = sorted(set(names) ^ set(others))
        raise UsageError(
            f"{both} have different labels: {', '.join(differing[:5])}{', …' if len(differing) > 5 else ''}",
            "an ensemble averages runs that know the same classes",
        )
    a, b = one.preprocessing, two.preprocessing
    if (a.height_px, a.width_px) != (b.height_px, b.width_px):
        raise UsageError(
            f"{first.run.path} takes {a.width_px}×{a.height_px} pixels, {other.run.path} {b.width_px}×{b.height_px}",
            f"train one again with `image_size` {a.width_px}, or with `image_size` {b.width_px}",
        )
    if a != b:
        one_way, other_way = a.to_json(), b.to_json()
        differing = [f"{key} {way} and {other_way[key]}" for key, way in one_way.items() if way != other_way[key]]
        raise UsageError(
            f"{both} prepare pictures differently: {', '.join(differing)}",
            "average runs of backbones with the same preprocessing (edge info shows it)",
        )


def _decides(card: ModelCard) -> tuple[str, float] | None:
    """What a card's threshold is for; the ensemble's own is still to be chosen."""
    point = card.operating_point
    return None if point is None else (point.positive, point.min_sensitivity)


def _common_data(cards: Sequence[ModelCard]) -> dict[str, Any]:
    """What the members' cards say alike of their data, as where the weights came from; of other data the names."""
    first = cards[0].data
    if any(card.data.get("fingerprint") != first.get("fingerprint") for card in cards):
        return {"name": "+".join(dict.fromkeys(str(card.data.get("name")) for card in cards))}
    return {key: value for key, value in first.items() if all(card.data.get(key) == value for card in cards)}


def _describe(member: Member) -> dict[str, Any]:
    card = member.card
    return {
        "run": member.run.name,
        "backbone": card.backbone,
        "strategy": card.strategy,
        "architecture": published(card.architecture),
        "temperature": card.temperature,
        "normalization": dict(card.normalization),
        "metrics": {split: dict(figures) for split, figures in card.metrics.items()},
        "data": dict(card.data),
        "created": card.created,
    }


def _root(member: Member) -> Path:
    return Path(str(member.run.read_config().get("data_root", "")))


def _keys(members: Sequence[Member], roots: Sequence[Path]) -> list[Callable[[Sample], str]]:
    """What names an image across the runs: its path below the data where that is the same, else its whole path."""
    prints = {member.card.data.get("fingerprint") for member in members}
    if len(prints) == 1 and None not in prints:
        return [lambda sample: sample.path for _ in members]

    def whole(root: Path) -> Callable[[Sample], str]:
        return lambda sample: str(root / sample.path)

    return [whole(root) for root in roots]


def _all_validation(splits: Sequence[Splits], keys: Sequence[Callable[[Sample], str]]) -> int:
    return len({key(sample) for key, split in zip(keys, splits, strict=True) for sample in split.val})
