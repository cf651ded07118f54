"""Progress bars on a terminal of our own."""

from __future__ import annotations

import io
import sys
import time

import pytest

from edge_cli.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """To be called by the test itself: pytest sets the streams anew between a fixture and its test."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("TERM", "xterm")
    return made


def test_a_still_bar_is_drawn_when_it_advances_and_at_no_other_time(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with Console(still=True) as console:
        console.begin("inference", 10, "turns")
        before = terminal.tell()
        # A bar that is redrawn by the clock is so ten times a second.
        time.sleep(0.5)
        assert terminal.tell() == before
        console.advance()
        assert terminal.tell() > before
        assert "1/10" in terminal.getvalue()


def test_nothing_is_drawn_when_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with Console(quiet=True) as console:
        console.begin("inference", 10)
        console.advance()
        console.say("nothing")
    assert terminal.getvalue() == ""
