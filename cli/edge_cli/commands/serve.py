"""edge serve: the model file over HTTP, with a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_cli.choose_model import choose_model
from edge_cli.console import Console
from edge_cli.options import ModelOption, QuietFlag, RunOption, ThreadsOption
from edge_runtime import UsageError

app = typer.Typer(add_completion=False)


@app.command(
    name="serve",
    help="Serve an exported model over HTTP: a page at /, POST /predict, the Open Inference Protocol at /v2.",
    epilog="Needs the extra serve. SIGTERM answers what was accepted and ends; SIGHUP reads the model file again.",
)
def serve(
    model: ModelOption = None,
    run: RunOption = None,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", metavar="N", help="Port to listen on; 0 for any free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="TEXT", help="Token clients must send; other users can see it in ps."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="The token in a file; EDGE_SERVE_TOKEN in the environment."),
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Let everyone use it who can reach it, at any address.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Another name the server goes by; may be repeated."),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The model's name in /v2.", show_default="the file's")
    ] = "",
    max_body: Annotated[float, typer.Option("--max-body", metavar="MB", help="Largest request.")] = 10,
    max_pixels: Annotated[
        float, typer.Option("--max-pixels", metavar="M", help="Largest picture, in millions of pixels.")
    ] = 50,
    max_files: Annotated[int, typer.Option("--max-files", metavar="N", help="Most pictures in a request.")] = 16,
    max_header: Annotated[
        float, typer.Option("--max-header", metavar="KB", help="Most of a request's headers together.")
    ] = 16,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="S", help="Seconds a client may take for each of headers, body, answer."),
    ] = 10,
    queue: Annotated[
        int, typer.Option("--queue", metavar="N", help="Pictures that may wait; more are told to come again (429).")
    ] = 64,
    connections: Annotated[
        int, typer.Option("--connections", metavar="N", help="Clients at once; the idlest makes room for more.")
    ] = 256,
    grace: Annotated[
        float, typer.Option("--grace", metavar="S", help="Seconds for what was accepted when it is told to end.")
    ] = 10,
    threads: ThreadsOption = None,
    batching: Annotated[
        str,
        typer.Option("--batching", metavar="auto|on|off", help="Run the model on several requests' pictures at once."),
    ] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", metavar="N", help="With batching: most at once.")] = 8,
    batch_wait: Annotated[
        float, typer.Option("--batch-wait", metavar="MS", help="With batching: longest wait for more, milliseconds.")
    ] = 5,
    reload: Annotated[
        bool, typer.Option("--reload", help="Pick up a new model file by itself, not only at SIGHUP.")
    ] = False,
    systemd: Annotated[
        bool, typer.Option("--systemd", help="Print a hardened systemd unit for these options, and end.")
    ] = False,
    container: Annotated[
        bool, typer.Option("--container", help="Print a Containerfile for these options, and end.")
    ] = False,
    quiet: QuietFlag = False,
) -> int:
    """Check the options, then serve until told to end."""
    from edge_serve import Limits, ServeSettings, containerfile, read_token, systemd_unit

    console = Console(quiet=quiet)
    if batching not in ("auto", "on", "off"):
        raise UsageError(f"--batching {batching} is not known", "there are auto, on, off")
    if systemd and container:
        raise UsageError("--systemd and --container exclude each other", "print one after the other")
    settings = ServeSettings(
        model=choose_model(model, run, console)[0],
        name=name,
        host=host,
        port=port,
        token=read_token(token, token_file),
        no_auth=no_auth,
        allow_hosts=tuple(allow_host or ()),
        limits=Limits(
            body_bytes=_whole(max_body * 1e6),
            pixels=_whole(max_pixels * 1e6),
            files=max_files,
            header_bytes=_whole(max_header * 1e3),
            timeout_s=timeout,
            queue=queue,
            connections=connections,
            grace_s=grace,
        ),
        threads=threads,
        batching=batching,  # type: ignore[arg-type]
        batch_size=batch_size,
        batch_wait_s=batch_wait / 1e3,
        reload=reload,
        log_requests=not quiet,
    )
    if systemd or container:
        if settings.token is not None and token_file is None:
            raise UsageError("a token does not belong into a unit that everyone can read", "give --token-file FILE")
        if not settings.model.is_file():
            raise UsageError(f"{settings.model} does not exist", "make one with edge export, or name another")
        unit = systemd_unit(settings, token_file, console.say) if systemd else containerfile(settings, token_file)
        sys.stdout.write(unit)
        return 0
    if token is not None:
        console.say("note: every user of this machine can read --token in the list of processes; --token-file is safer")
    from edge_serve import serve as run_server

    return run_server(settings, console.say)


def _whole(value: float) -> int:
    # NaN and infinity are no numbers of bytes: the limits say so of -1.
    return round(value) if -1e15 < value < 1e15 else -1
