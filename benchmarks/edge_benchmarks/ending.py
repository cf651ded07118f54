"""How a benchmark that is started by itself ends: with an exit code, and one line where something is wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

from edge_runtime import EdgeError

__all__ = ["INTERRUPTED", "exit_code"]

INTERRUPTED = 130


def exit_code(measure: Callable[[], int], *, interrupted: str = "interrupted") -> int:
    """What `measure` gives, or the code of the error that ended it, which is told on stderr."""
    # Ended from outside, as Ctrl-C ends it: what it started and the files it made must go with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return measure()
    except EdgeError as error:
        code, said = error.exit_code, str(error)
    except subprocess.CalledProcessError as error:
        code, said = 1, f"{error}\n{error.stderr or ''}".rstrip()
    except OSError as error:
        code, said = 1, str(error)
    except KeyboardInterrupt:
        code, said = INTERRUPTED, interrupted
    sys.stderr.write(f"error: {said}\n")
    return code
