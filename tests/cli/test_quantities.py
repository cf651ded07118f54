from __future__ import annotations

import pytest

from edge_cli.quantities import parse_bytes, parse_counts, parse_seconds, parse_share
from edge_runtime import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3), ("0.5", 0.5), (".5", 0.5), ("20ms", 0.02), ("1.5 s", 1.5), ("10m", 600), ("2min", 120), ("1h", 3600)],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_seconds("--duration", text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "0s", "-1", "nan", "inf", "1e999", "5 apples", "ms", "10 m s", "5MB"])
def test_what_is_no_time_is_refused_and_the_flag_named(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_seconds("--duration", text)
    assert caught.value.message.startswith(f"--duration {text}") and "20ms" in caught.value.hint


def test_a_limit_without_a_unit_may_mean_anything() -> None:
    assert parse_seconds("--max-latency", "20ms", needs_unit=True) == pytest.approx(0.02)
    with pytest.raises(UsageError, match="--max-latency 20"):
        parse_seconds("--max-latency", "20", needs_unit=True)


@pytest.mark.parametrize(("text", "count"), [("5MB", 5e6), ("800kB", 8e5), ("1.5 MiB", 1.5 * 2**20), ("100b", 100)])
def test_sizes(text: str, count: float) -> None:
    assert parse_bytes("--max-size", text) == count


@pytest.mark.parametrize("text", ["5", "", "MB", "-5MB", "5 megs", "0MB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--max-size"):
        parse_bytes("--max-size", text)


@pytest.mark.parametrize(("text", "share"), [("10%", 0.1), ("0.1", 0.1), ("150 %", 1.5)])
def test_percentages(text: str, share: float) -> None:
    assert parse_share("--fail-over", text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["10", "1", "", "%", "ten%", "-5%", "5ms"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-over"):
        parse_share("--fail-over", text)


def test_counts() -> None:
    assert parse_counts("--threads", "1,2, 4") == (1, 2, 4)
    for wrong in ("", "0", "1,", "1,-2", "two", "1.5"):
        with pytest.raises(UsageError, match="--threads"):
            parse_counts("--threads", wrong)
