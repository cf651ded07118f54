"""What a model file can tell of pictures unlike all training, as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime import UnlikeScale


def unlike_lines(scale: UnlikeScale) -> list[tuple[str, str]]:
    """Method, and what `--reject-unlike` costs of known pictures: a name and a value per line."""
    costs = ", ".join(f"{share:.0%}: {beyond:.1%}" for share, beyond in scale.costs().items())
    told = costs or f"shares from {scale.least_share:.1%} on alone"
    return [
        (
            "unlike",
            f"distance to the nearest of {scale.centres} centres of {scale.training_images} training embeddings",
        ),
        ("", f"--reject-unlike SHARE refused of {scale.n} validation pictures: {told}"),
    ]
