"""Progress bars on a terminal of our own."""

from __future__ import annotations

import io
import sys
import time

import pytest

from edge_cli.console import Console, print_table


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


@pytest.mark.parametrize("barred", [False, True])
def test_names_of_others_command_no_terminal(barred: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with Console(still=True) as console:
        if barred:
            console.begin("accuracy of \x1b[2J[/red].onnx", 10)
            console.advance()
        console.say("a\x1b]0;owned\x07\nerror: b")
    said = terminal.getvalue()
    assert "a\\x1b]0;owned\\x07\\nerror: b" in said
    assert "\x1b]0" not in said and "\x1b[2J" not in said
    assert (r"accuracy of \x1b[2J[/red].onnx" in said) == barred


def test_a_tables_cells_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "p50\nms"), [("\x1b[2Jevil\n.onnx", "1")])
    said = capsys.readouterr().out
    assert r"\x1b[2Jevil\n.onnx" in said and "\x1b" not in said
    assert "p50\n" in said.replace(" ", "").replace("\n\n", "\n")


def test_nothing_is_drawn_when_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with Console(quiet=True) as console:
        console.begin("inference", 10)
        console.advance()
        console.say("nothing")
    assert terminal.getvalue() == ""
