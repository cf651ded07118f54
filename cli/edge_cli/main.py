"""The entry point: finds the verb, runs it, and turns every failure into one line and an exit code.

Exit codes: 0 done, 1 the work failed or a gate was not met, 2 wrong usage, settings or data layout,
130 interrupted.
"""

from __future__ import annotations

import difflib
import errno
import gc
import io
import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edge_cli.console import fail
from edge_cli.early_interrupt import INTERRUPTED, end_on_interrupt, raise_on_interrupt
from edge_runtime import EdgeError, UsageError, lossy_stderr, one_line, prepare_process

# Verb -> module; a verb's module is imported when the verb is run, so no verb pays for another.
COMMANDS = {
    "train": "train",
    "compare": "compare",
    "tune": "tune",
    "average": "average",
    "import": "import_",
    "export": "export",
    "evaluate": "evaluate",
    "predict": "predict",
    "explain": "explain",
    "label": "label",
    "serve": "serve",
    "bench": "bench",
    "backbones": "backbones",
    "weights": "weights",
    "data": "data",
    "info": "info",
    "sign": "sign",
    "doctor": "doctor",
    "docs": "docs",
    "demo": "demo",
}

# The verbs that are not called like their extra.
_EXTRA_OF_VERB = {
    "compare": "train",
    "tune": "export",
    "average": "train",
    "explain": "train",
    "import": "train",
    "weights": "train",
    "label": "serve",
}

# What a path that was given may be at fault for, and what a disk; another error that names a file is a fault of ours.
_NO_PATH = frozenset({errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE})

_32_BIT = (
    "this is a 32-bit Python, for which there is no onnxruntime",
    "install a 64-bit system; on a Raspberry Pi, Raspberry Pi OS (64-bit)",
)


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """The verbs, in the order a person meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """The command of that name, or None."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"edge_cli.commands.{COMMANDS[cmd_name]}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """The command the arguments begin with; an unknown one is answered with those that look like it."""
        if args and args[0] not in COMMANDS:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean edge {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
            raise UsageError(f"there is no command {args[0]!r}", hint)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="edge",
    cls=LazyGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"edge {version('edge-vision')}")
        raise typer.Exit


@app.callback(
    help="Train an image classifier, export it as one file, run it on a small machine.",
    epilog="Start with: edge train, edge export, edge predict --image x.png, edge bench",
)
def _edge(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None: ...


def main() -> None:
    """Run `edge` with the process's arguments and exit with the code DESIGN promises."""
    end_on_interrupt()
    prepare_process()
    # A stream that the caller closed: what would go there is nobody's.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    # Messages that nobody reads, or no disk holds, are no reason to leave the work undone.
    sys.stderr = lossy_stderr(sys.stderr) if sys.stderr else open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        # A file name or a bar that the terminal's encoding lacks must not end the work.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Starting up makes some 60,000 objects and no garbage: collecting every 700 of them costs 15 ms.
    gc.set_threshold(50_000)
    code = run() if sys.maxsize > 2**32 else fail(*_32_BIT, 2)
    end_on_interrupt()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        code = _unwritable(error) or code
    if "torch" not in sys.modules or os.environ.get("WORLD_SIZE", "1") != "1":
        # Taking the interpreter down costs a tenth of `edge predict`'s time and gives nothing back; beside the threads
        # of torch's process group it now and then aborts.
        os._exit(code)
    # What trackers and Ray have to do at the end is done; half a million objects of torch's are not searched for
    # garbage once more, which takes most of a second.
    gc.freeze()
    sys.exit(code)


def run() -> int:
    """Run `edge` with the process's arguments and give its exit code; what is wrong is said on stderr."""
    try:
        # What is taken down on the way out has to be; before and after there is nothing to take down.
        raise_on_interrupt()
        code = app(standalone_mode=False, prog_name="edge")
    except EdgeError as error:
        return fail(error.message, error.hint, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return fail("interrupted", "", INTERRUPTED)
    except SystemExit as error:
        # typer and rich turn a broken pipe into this; rich has then let go of standard output.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return 0 if _is_of_rich(error) else _unwritable(error.__context__)
    except OSError as error:
        # One that names no file is of a stream that takes no more.
        return _unwritable(error) if error.filename is None else _unusable(error)
    except ImportError as error:
        return _unloadable(error, error.name or "")
    except RuntimeError as error:
        # How numpy, while it is imported, refuses a processor it was not built for.
        if "built with baseline optimizations" not in str(error):
            raise
        return _unloadable(error, "numpy")
    except typer.TyperException as error:
        return _usage(error)
    if code == INTERRUPTED:
        return fail("interrupted", "", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _unloadable(error: Exception, module: str) -> int:
    """A package is missing or does not load: one of an extra, or one of the base install that is broken."""
    from edge_runtime import EXTRAS, MissingExtraError

    package = module.partition(".")[0]
    extras = [extra for extra, packages in EXTRAS.items() if package in packages]
    if isinstance(error, ModuleNotFoundError) and extras:
        verb = " ".join(sys.argv[1:2])
        own = _EXTRA_OF_VERB.get(verb, verb)
        missing = MissingExtraError(own if own in extras else extras[-1], module)
        return fail(missing.message, missing.hint, missing.exit_code)
    if package.startswith("edge_"):
        raise error
    reason = " ".join(str(error).split()) or type(error).__name__
    return fail(f"a package does not load: {reason}", "edge doctor says which, and what to install", 1)


def _usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "edge"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message)
        return 0
    message = message.removeprefix("Value error, ").replace("Value error, ", "").rstrip(".")
    return fail(message, f"{path} --help lists what there is", getattr(error, "exit_code", 2))


def _unusable(error: OSError) -> int:
    """A path that may not be looked at, or is none: Path.exists and its like tell of that by an error, not by False."""
    if error.errno in _NO_PATH:
        hint = "check the path, and that you may read it"
    elif error.errno in _NO_ROOM:
        hint = "make room, or name another place"
    else:
        raise error
    name = one_line(os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename))
    return fail(f"{name}: {error.strerror}", hint, 2 if error.errno in _NO_PATH else 1)


def _unwritable(error: OSError) -> int:
    """The reader of our output has gone (`edge predict … | head`), or its disk is full: nothing is left to flush."""
    if isinstance(error, BrokenPipeError) and not _reader_has_gone():
        # That of something else, such as a process that was to help.
        return fail(f"a connection to another process or machine ended: {error.strerror}", "try again", 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return 0
    return fail(f"cannot write the output: {error.strerror}", "make room, or send it elsewhere", 1)


def _is_of_rich(error: SystemExit) -> bool:
    """Whether rich raised it, which writes nothing but to our output."""
    import traceback

    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_code.co_name == "on_broken_pipe"


def _reader_has_gone() -> bool:
    """Whether nobody reads standard output any more; taken for granted where the system cannot tell."""
    import select

    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(1, 0)
    return bool(poll.poll(0))
