"""edge bench: what models cost on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from edge_benchmarks import BenchSettings
from edge_cli.bench.contestants import Choice
from edge_cli.console import Console
from edge_cli.file_patterns import matched
from edge_cli.flags import Options, flag, settings_command
from edge_cli.options import JsonFlag, QuietFlag, RunOption
from edge_cli.quantities import parse_bytes, parse_seconds, parse_share
from edge_runtime import UsageError, require_extra, setting_fields

if TYPE_CHECKING:
    from edge_benchmarks import HeldEngine, Report

app = typer.Typer(add_completion=False)

RESULT, INSTEAD = "What to make of it", "Instead of measuring models"
# The parameters whose options say what to measure and how, and those that say what to do with it.
MEASURED = {each.name for settings in (Choice, BenchSettings) for each in setting_fields(settings)} | {"run", "choose"}
ASKS = {"recommend", "max_latency", "max_size"}


@settings_command(
    app,
    "bench",
    Choice,
    BenchSettings,
    help="Measure latency, throughput, cold start, memory and size: of the newest run's model, of the models named, or "
    "of freshly built backbones. Exit 1 where a gate is not met or a model could not be measured.",
)
def command(
    *,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="ONNX files, or patterns of them.", show_default="the newest run's"),
    ] = None,
    run: RunOption = None,
    options: Options,
    recommend: Annotated[
        bool, flag("--recommend", "Say which model to take, and why; exit 1 if none keeps the limits.", panel=RESULT)
    ] = False,
    max_latency: Annotated[
        str | None, flag("--max-latency", "Recommend none slower than this end to end (p90).", "TIME", panel=RESULT)
    ] = None,
    max_size: Annotated[
        str | None, flag("--max-size", "Recommend no file larger than this.", "SIZE", panel=RESULT)
    ] = None,
    out: Annotated[
        Path | None, flag("--out", "Write bench.json, bench.csv, bench.md and the pictures there.", "DIR", panel=RESULT)
    ] = None,
    choose: Annotated[
        bool,
        flag("--choose", "With --engines: the fastest is what --engine auto runs this model by here.", panel=RESULT),
    ] = False,
    share: Annotated[
        Path | None,
        flag("--share", "Write a file for others, with nothing of you or your pictures.", "FILE.json", panel=RESULT),
    ] = None,
    from_: Annotated[
        Path | None, flag("--from", "Show an earlier report instead of measuring.", "FILE", panel=INSTEAD)
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        flag("--compare", "Compare two reports instead of measuring.", "OLD NEW", panel=INSTEAD),
    ] = None,
    fail_over: Annotated[
        str | None,
        flag("--fail-over", "With --compare: exit 1 if a model is slower by more, or missing.", "N%", panel=INSTEAD),
    ] = None,
    train: Annotated[
        bool,
        flag("--train", "Measure training instead: MODEL is then speed, listing, precision or cifar10.", panel=INSTEAD),
    ] = False,
    json_: JsonFlag = False,
    csv_: Annotated[bool, flag("--csv", "Print a header and a row per model.")] = False,
    quiet: QuietFlag = False,
) -> int:
    """Measure side by side, print tables sorted by the 90th percentile."""
    names = list(matched(models or ()))
    given = options.given
    asks = recommend or max_latency is not None or max_size is not None
    if json_ and csv_:
        raise UsageError("--json and --csv exclude each other", "choose one")
    if fail_over is not None and compare is None:
        raise UsageError("--fail-over goes with --compare", "edge bench --compare old.json new.json --fail-over 10%")
    if train:
        from edge_cli.bench.training_benchmarks import bench_training

        left = MEASURED - {"data", "threads"} | ASKS | {"compare", "from_", "out", "share", "csv_"}
        _refuse(given, left, "--train measures training, and nothing of a model")
        data, threads = options.typed["data"], options.typed["threads"]
        return bench_training(names, data=data, threads=threads, as_json=json_, quiet=quiet)
    console = Console(quiet=quiet, still=True)
    if compare is not None:
        from edge_cli.bench.results import compare_files

        left = MEASURED | ASKS | {"models", "from_", "out", "share", "csv_"}
        _refuse(given, left, "--compare takes two reports and measures nothing")
        limit = None if fail_over is None else parse_share("--fail-over", fail_over)
        return compare_files(*compare, console, limit=limit, as_json=json_)
    from edge_benchmarks import Limits, make_folder, read_more, read_report
    from edge_cli.bench.engine_choices import check_choice, described_engines
    from edge_cli.bench.results import as_document, recommended, show_report, write_report, write_shared

    limits = Limits(
        None if max_latency is None else 1000 * parse_seconds("--max-latency", max_latency, needs_unit=True),
        None if max_size is None else parse_bytes("--max-size", max_size),
    )
    if from_ is not None:
        _refuse(given, MEASURED | {"models"}, "--from shows a report and measures nothing")
    choice = options.make(Choice, models=tuple(map(Path, names)), run=run)
    check_choice(choice, choose=choose)
    settings = options.make(BenchSettings)
    if out is not None:
        require_extra("bench")
    if share is not None:
        from edge_data import check_new_file

        check_new_file(share, parameter="share", kinds=(".json",))
    with console:
        report, held = (
            _measure(choice, settings, out, console, shared=share is not None)
            if from_ is None
            else (read_report(from_), [])
        )
    if out is not None:
        make_folder(out)
    # What is shown again is kept with all that was measured.
    more, failed = ({} if from_ is None else read_more(from_)), None
    if choice.engines:
        more, failed = described_engines(report, held, console, choose=choose)
    chosen = recommended(report, limits) if asks else None
    document = as_document(report, chosen, more)
    code = show_report(report, console, chosen=chosen, document=document if json_ else None, as_csv=csv_)
    if out is not None:
        write_report(report, document, out, console)
    if share is not None:
        write_shared(report, share, console)
    if failed is not None:
        raise failed
    return code


def _refuse(given: Mapping[str, str], left: Set[str], why: str) -> None:
    """Raise UsageError where one of the options `left` out is given: it would do nothing, unsaid."""
    if wrong := ["MODEL" if name == "models" else flag for name, flag in given.items() if name in left]:
        raise UsageError(why, f"leave out {' and '.join(wrong)}")


def _measure(
    choice: Choice, settings: BenchSettings, out: Path | None, console: Console, *, shared: bool
) -> tuple[Report, list[HeldEngine]]:
    from dataclasses import replace

    from edge_benchmarks import bench, make_folder, require_public
    from edge_cli.bench.contestants import choose_contestants, choose_pictures, say_origins
    from edge_cli.bench.engine_choices import add_engines

    with TemporaryDirectory(prefix="edge-bench-") as folder:
        contestants = choose_contestants(choice, Path(folder), console)
        if shared:
            # Before minutes go into what would then not be written.
            require_public(contestant.backbone for contestant in contestants)
        say_origins(contestants, console)
        if not settings.random_input:
            images, origin = choose_pictures(settings.images, choice.data, contestants, console)
            settings = replace(settings, images=images, images_from=origin)
        held: list[HeldEngine] = []
        if choice.engines:
            contestants, held = add_engines(contestants, settings.images, choice, console)
        if out is not None:
            # Once it is known what to measure, and before minutes go into that.
            make_folder(out)
        return bench(contestants, settings, progress=console), held
