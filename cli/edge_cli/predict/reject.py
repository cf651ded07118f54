"""edge predict --reject-unlike: a classifier that answers `unknown` to pictures unlike all training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_cli.quantities import parse_share
from edge_runtime import Classifier

if TYPE_CHECKING:
    from edge_cli.console import Console
    from edge_runtime import EngineWish


def open_rejecting(
    path: Path, threads: int | None, share: str, keys: tuple[Path, ...], engine: EngineWish, console: Console
) -> Classifier:
    """The file at `path`, signed by one of `keys` if there are any, opened to reject; what that costs is said.

    Raises UsageError where `share` is none, or the file cannot tell such a share.
    """
    wanted = parse_share("--reject-unlike", share)
    classifier = Classifier(path, threads=threads, reject_unlike=wanted, require_signature=keys, engine=engine)
    if (scale := classifier.card.unlike) is not None:
        beyond = scale.beyond(scale.threshold(wanted))
        console.say(
            f"unknown is what lies further from training than known pictures do: at most {wanted:.2%} of those are "
            f"refused, too; of {scale.n} validation pictures {beyond:.2%} were"
        )
    return classifier
