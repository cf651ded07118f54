"""The command that starts another Python process."""

from __future__ import annotations

import sys


def python_command(*words: str) -> list[str]:
    """This Python with `words`, such as `-m MODULE`, and nothing of the folder that it is started from.

    Without -P a random.py there would run in place of the standard library's.
    """
    return [sys.executable, "-P", *words]
