"""edge bench --engines: a model by each engine that runs it here, and the fastest kept for this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_cli.bench.contestants import Choice, named_images, own_images
from edge_cli.console import Console
from edge_cli.flags import said_as_flags
from edge_runtime import EdgeError, UsageError

if TYPE_CHECKING:
    from edge_benchmarks import Contestant, HeldEngine, Report


def check_choice(choice: Choice, *, choose: bool) -> None:
    """Raise UsageError where options of --engines are there without it, or beside what it does not go with."""
    if not choice.engines:
        if choose or choice.max_drop_points is not None:
            raise UsageError("--choose and --max-drop go with --engines", "edge bench --engines --choose")
    elif choice.against is not None:
        raise UsageError("--engines and --against exclude each other", "--engines measures what edge can run a file by")


def add_engines(
    contestants: Sequence[Contestant], images: Sequence[Path], choice: Choice, console: Console
) -> tuple[list[Contestant], list[HeldEngine]]:
    """The contestants, each beside itself run by the engines that answer alike; and all that were held against it.

    Raises UsageError where edge did not make one of the files, DataError where the data named is not its model's.
    """
    from edge_benchmarks import beside_engines, engines_here, hold_engines

    engines, missing = engines_here()
    for line in missing:
        console.say(line)
    found: list[Contestant] = []
    held: list[HeldEngine] = []
    for contestant in contestants:
        # Of pictures with several labels or tasks no accuracy is measured here, but engines are weighed by it.
        labelled = contestant.images or named_images(contestant, choice) or own_images(contestant)
        answers = hold_engines(
            contestant, engines, pictures=images, labelled=labelled, max_drop_points=choice.max_drop_points
        )
        answers = [replace(each, refused=said_as_flags(each.refused)) for each in answers]
        for each in answers:
            console.say(str(each))
        held += answers
        found += beside_engines(contestant, answers, labelled)
    return found, held


def described_engines(
    report: Report, held: Sequence[HeldEngine], console: Console, *, choose: bool
) -> tuple[dict[str, dict[str, Any]], EdgeError | None]:
    """What the JSON document carries of the engines; with `choose` the fastest of each model is noted, and said.

    Also the first error of what could not be noted, to be raised when all that was measured is shown and written.
    """
    chosen, failed = _keep_fastest(report, held, console) if choose else ([], None)
    return {"engines": {"held": [each.to_json() for each in held], "chosen": chosen}}, failed


def _keep_fastest(
    report: Report, held: Sequence[HeldEngine], console: Console
) -> tuple[list[dict[str, Any]], EdgeError | None]:
    """Note for each model which engine is to run it here, and say so; as the JSON document carries it."""
    from edge_benchmarks import fastest_engines
    from edge_runtime import keep_engine_choices

    chosen, failed = [], None
    fastest = fastest_engines(report, held)
    for path, sha256, choice in fastest:
        try:
            note = keep_engine_choices(path, [choice], measured_sha256=sha256)
        except EdgeError as error:
            failed = failed or error
            continue
        console.say(f"{path}: {choice}; noted for --engine auto in {note}")
        chosen.append({"model": str(path), "note": str(note), **choice.to_json()})
    if not fastest:
        console.say("nothing is noted: the measured files are gone")
    return chosen, failed
