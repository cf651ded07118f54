"""edge train --find-lr: what a search for a learning rate found, in the flags of the command."""

from __future__ import annotations

from collections.abc import Mapping

from edge_cli.console import Console, fail, print_json
from edge_runtime import UsageError
from edge_train import TrainSettings


def find_rate(settings: TrainSettings, strategy: str, console: Console, *, as_json: bool) -> int:
    """Look for a learning rate and print it; the exit code, 1 where the loss fell at none."""
    if strategy == "all":
        raise UsageError("--find-lr is for one strategy, and each has its own rates", "name one with --strategy")
    from edge_train import find_learning_rate

    found = find_learning_rate(settings, console)
    scale = found.curve.suggestion
    if as_json:
        print_json(found.to_json())
    console.say(f"picture: {found.picture}")
    console.say(f"table: {found.table}")
    if scale is None:
        return fail(
            "the loss fell at no rate",
            "look at the picture; other images, a larger --batch-size or another --strategy may learn",
            1,
        )
    if not as_json:
        print(f"--lr-scale {scale:g}: {_rates(found.curve.rates_at(scale))}")
    if scale == settings.lr_scale:
        console.say("that is what is set")
    return 0


def _rates(rates: Mapping[str, float]) -> str:
    """The rates with their groups, those that are alike together, from the head down."""
    alike: dict[float, list[str]] = {}
    for name, rate in reversed(list(rates.items())):
        alike.setdefault(rate, []).append(name)
    return ", ".join(f"{' '.join(reversed(names))} {rate:.2g}" for rate, names in alike.items())
