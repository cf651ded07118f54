"""edge bench: what models cost on this machine."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.console import Console, print_json, print_table
from edge_cli.model import choose_model
from edge_cli.options import JsonFlag, QuietFlag, RunOption, ThreadsOption
from edge_runtime import MissingExtraError, UsageError

if TYPE_CHECKING:
    from edge_benchmarks import Contestant, Report
    from edge_train import Backbone

app = typer.Typer(add_completion=False)


@app.command(
    name="bench",
    help="Measure latency, throughput, file size and peak memory: of the newest run's model and of a few freshly built "
    "backbones, or of the models named.",
)
def command(
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="MODEL", help="Model files.", show_default="the newest run's")
    ] = None,
    run: RunOption = None,
    backbones: Annotated[
        str | None,
        typer.Option(
            "--backbones",
            metavar="all|none|A,B",
            help="Backbones to build with random weights and export on the fly.",
            show_default="a quick few; none where models are named",
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Images per batch for throughput.")] = 8,
    duration: Annotated[
        float,
        typer.Option(
            "--duration",
            metavar="SECONDS",
            help="Time to measure each model's latency; fewer than 100 runs by then take up to ten times as long.",
        ),
    ] = 3.0,
    image: Annotated[
        Path | None, typer.Option("--image", metavar="IMAGE", help="Image to classify.", show_default="a drawn one")
    ] = None,
    threads: ThreadsOption = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Measure side by side, print a table sorted by the 90th percentile."""
    from edge_benchmarks import BenchSettings, bench

    settings = BenchSettings(duration_s=duration, batch=batch, threads=threads, image=image)
    with Console(quiet=quiet) as console, TemporaryDirectory(prefix="edge-bench-") as folder:
        fresh = _backbones(backbones, bool(models), console)
        contestants = _models(models or [], run, threads, console, alone=not fresh)
        contestants += _build(fresh, Path(folder), threads, console)
        report = bench(contestants, settings, progress=console)
        console.say(_conditions(report))
    if json_:
        print_json(report.to_json())
    else:
        print_table(report.columns(), [row.cells() for row in report.rows], left=3)
    return 0


def _backbones(choice: str | None, models_named: bool, console: Console) -> tuple[Backbone, ...]:
    """The backbones asked for, or the quick few where nothing was and they can be built."""
    from edge_benchmarks import QUICK_FEW, choose_backbones, missing_package

    missing = missing_package()
    if choice is not None:
        chosen = choose_backbones(choice)
        if chosen and missing:
            raise MissingExtraError("export", missing)
        return chosen
    if models_named:
        return ()
    if missing:
        console.say(f"without fresh backbones: they need {missing} (pip install 'edge-vision[export]')")
        return ()
    return choose_backbones(",".join(QUICK_FEW))


def _models(
    models: list[Path], run: str | None, threads: int | None, console: Console, *, alone: bool
) -> list[Contestant]:
    """The models named, or the run's, all opened: a wrong file is found before minutes go into the others."""
    from edge_benchmarks import Contestant

    if models and run is not None:
        raise UsageError("MODEL and --run exclude each other", "name model files, or a run")
    found = [Contestant(str(path), path, threads) for path in models]
    if not models:
        try:
            path, _ = choose_model(None, run, console)
        except UsageError as error:
            if run is not None or alone:
                raise
            console.say(f"without a trained model: {error.message}")
        else:
            # Its run is said on stderr; the whole path would take half the table's width.
            found.append(Contestant(path.name, path, threads))
    for contestant in found:
        _ = contestant.classifier
    return found


def _build(backbones: tuple[Backbone, ...], folder: Path, threads: int | None, console: Console) -> list[Contestant]:
    from edge_benchmarks import build_fresh

    if not backbones:
        return []
    names = ", ".join(backbone.name for backbone in backbones)
    console.say(f"building {names}: random weights (latency does not depend on them), 1,000 classes")
    console.begin("exporting", len(backbones), "backbones")
    built = []
    for backbone in backbones:
        built.append(build_fresh(backbone, folder, threads=threads))
        console.advance()
    console.end()
    return built


def _conditions(report: Report) -> str:
    """What the table's figures mean, and where they were measured."""
    first = report.rows[0]
    decoding = first.preprocess.percentile_ms(50)
    return (
        f"{report.environment}\n"
        f"inference alone; decoding and resizing the image ({first.image}) takes {decoding:.1f} ms more"
    )
