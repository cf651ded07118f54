"""edge serve: the model file over HTTP, with a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_cli.choose_model import choose_model
from edge_cli.console import Console
from edge_cli.flags import Options, flag, settings_command
from edge_cli.model_words import named_models
from edge_cli.options import QuietFlag, RunOption
from edge_runtime import UsageError
from edge_serve import ServeLimits, ServeSettings

app = typer.Typer(add_completion=False)


@settings_command(
    app,
    "serve",
    ServeSettings,
    ServeLimits,
    help="Serve an exported model over HTTP: a page at /, POST /predict, the Open Inference Protocol at /v2.",
    epilog="Needs the extra serve. SIGTERM answers what was accepted and ends; SIGHUP reads the model file again.",
)
def serve(
    *,
    model: Annotated[
        list[str] | None,
        flag(
            "--model",
            "Model file; may be repeated, each with a name of its own: cats=a.onnx.",
            "[NAME=]FILE",
            default="the newest run's model.onnx",
        ),
    ] = None,
    run: RunOption = None,
    options: Options,
    token_file: Annotated[
        Path | None, flag("--token-file", "The token in a file; EDGE_SERVE_TOKEN in the environment.", "FILE")
    ] = None,
    systemd: Annotated[bool, flag("--systemd", "Print a hardened systemd unit for these options, and end.")] = False,
    container: Annotated[bool, flag("--container", "Print a Containerfile for these options, and end.")] = False,
    quiet: QuietFlag = False,
) -> int:
    """Check the options, then serve until told to end."""
    from edge_serve import containerfile, read_token, systemd_unit

    console = Console(quiet=quiet)
    if systemd and container:
        raise UsageError("--systemd and --container exclude each other", "print one after the other")
    if model and run is not None:
        raise UsageError("--model and --run exclude each other", "--run serves that run's model")
    token = options.typed["token"]
    settings = options.make(
        ServeSettings,
        model=named_models(model) if model else choose_model(None, run, console)[0],
        token=read_token(token, token_file),
        limits=options.make(ServeLimits),
        log_requests=not quiet,
    )
    if systemd or container:
        if settings.token is not None and token_file is None:
            raise UsageError("a token does not belong into a unit that everyone can read", "give --token-file FILE")
        for path in settings.models.values():
            if not path.is_file():
                raise UsageError(f"{path} does not exist", "make one with edge export, or name another")
        unit = systemd_unit(settings, token_file, console.say) if systemd else containerfile(settings, token_file)
        sys.stdout.write(unit)
        return 0
    if token is not None:
        console.say("note: every user of this machine can read --token in the list of processes; --token-file is safer")
    from edge_serve import serve as run_server

    return run_server(settings, console.say)
