"""A module as a program: how it is started, and how it ends, with one line where something is wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

from edge_runtime import EdgeError, as_flags, lossy_stderr, prepare_process, python_command

INTERRUPTED = 130


def python_module(name: str, *words: str) -> list[str]:
    """The command that runs the module `name` with `words`."""
    return python_command("-m", name, *words)


def exit_code(measure: Callable[[], int], *, interrupted: str = "interrupted", plain: bool = False) -> int:
    """What `measure` gives, or the code of the error that ended it, which is told on stderr.

    The process is prepared as those of `edge` are, unless it is `plain`: what `edge` is measured against.
    """
    if not plain:
        prepare_process()
    # Whoever reads only the first messages does not end the measurement.
    sys.stderr = lossy_stderr(sys.stderr)
    # Ended from outside, as Ctrl-C ends it: what it started and the files it made must go with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return measure()
    except EdgeError as error:
        code, said = error.exit_code, as_flags(str(error), {})
    except subprocess.CalledProcessError as error:
        code, said = 1, f"{error}\n{error.stderr or ''}".rstrip()
    except OSError as error:
        code, said = 1, str(error)
    except KeyboardInterrupt:
        code, said = INTERRUPTED, interrupted
    sys.stderr.write(f"error: {said}\n")
    return code
