"""Which settings leave an epoch for the backbone to thaw in."""

from __future__ import annotations

from edge_runtime import UsageError


def check_thawing(head_epochs: int, unfreeze_every: int | None, freeze_until: str | None, epochs: int) -> None:
    """Raise UsageError where fine-tuning would train the head alone."""
    if head_epochs >= epochs:
        raise UsageError(
            f"`head_epochs` {head_epochs} leaves none of {epochs} epochs to fine-tune in",
            "raise `epochs`, or choose `strategy` feature-extraction",
        )
    if unfreeze_every is None:
        return
    if freeze_until == "head":
        raise UsageError("`unfreeze_every` has nothing to thaw where `freeze_until` is head", "drop one of them")
    # After epochs of the head alone the first stage thaws at once.
    if not head_epochs and unfreeze_every >= epochs:
        raise UsageError(
            f"`unfreeze_every` {unfreeze_every} leaves none of {epochs} epochs to a stage but the head",
            "raise `epochs`, lower it, or choose `strategy` feature-extraction",
        )
