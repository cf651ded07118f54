"""Quantities as people write them on a command line: 10m, 20ms, 5MB, 10%, 1,2,4."""

from __future__ import annotations

import math
import re

from edge_runtime import UsageError

_SECONDS = {"": 1.0, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_NUMBER = re.compile(r"([0-9]*\.?[0-9]+)\s*([a-zµ%]*)", re.IGNORECASE)


def parse_seconds(flag: str, text: str, *, needs_unit: bool = False) -> float:
    """Seconds of `10m`, `1.5s`, `20ms` or a plain number, unless `needs_unit`.

    Raises UsageError, which names `flag`, for anything else and for nothing at all.
    """
    number, unit = _split(text)
    if number is None or unit not in _SECONDS or (needs_unit and not unit):
        raise UsageError(f"{flag} {text}: a time is needed", "write it as 20ms, 1.5s or 10m")
    return number * _SECONDS[unit]


def parse_bytes(flag: str, text: str) -> float:
    """Bytes of `5MB`, `800kB` or `1.5MiB`. Raises UsageError, which names `flag`, for anything else."""
    number, unit = _split(text)
    if number is None or unit not in _BYTES:
        raise UsageError(f"{flag} {text}: a size is needed", "write it as 5MB or 800kB")
    return number * _BYTES[unit]


def parse_share(flag: str, text: str) -> float:
    """0.1 of `10%` or `0.1`. Raises UsageError, which names `flag`, for anything else and for a plain 1 or more."""
    number, unit = _split(text)
    if number is None or unit not in ("", "%") or (not unit and number >= 1):
        raise UsageError(f"{flag} {text}: a percentage is needed", "write it as 10%")
    return number / 100 if unit else number


def parse_counts(flag: str, text: str, *, least: int = 1) -> tuple[int, ...]:
    """Whole numbers with commas between, as in `1,2,4`. Raises UsageError, which names `flag`, for anything else."""
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < least:
        raise UsageError(
            f"{flag} {text}: whole numbers from {least} on are needed", "several with commas between: 1,2,4"
        )
    return counts


def _split(text: str) -> tuple[float | None, str]:
    """The number, and its unit in lower case; None where there is no number, or one that is zero or infinite."""
    found = _NUMBER.fullmatch(text.strip())
    number = float(found[1]) if found else 0.0
    if not found or not number or not math.isfinite(number):
        return None, ""
    return number, found[2].lower()
