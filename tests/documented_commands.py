"""The `edge` commands that pages and the course's scripts show, as lists of words: in blocks, between backticks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from edge_cli.main import app
from parts import ROOT

__all__ = ["PAGES", "code_blocks", "command_line", "commands_of", "inline_code", "parse", "shown"]

# The pages for users, but for what scripts make of the code itself.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.name != "commands.md"]
PAGES += sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))

# Where a command begins: a line, a prompt, what a shell puts before it, or a unit's ExecStart=.
_STARTS = re.compile(
    r"(?:^|[|;&=] *|^\$ |\b\w+=\S+ |^timeout [^|]*?)(?:(?:\S*/)?edge|.* -m edge_cli) +(?=[a-z-])(?![^|]*->)"
)
_ENDS = re.compile(r"(?: {3,}| \|(?= )| >| 2>| && |;| & ).*")
_ALTERNATIVES = re.compile(r"[\w.-]+(?:\|[\w.-]+)+")


def code_blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each block of a page, fenced or set in by four columns, in order."""
    text = _text(page)
    fenced = re.compile(r"(?ms)^(```+) *(\w*)[^\n]*\n(.*?)^\1 *$")
    for match in fenced.finditer(text):
        yield match[2], match[3]
    for block in re.findall(r"(?m)(?:^ {4}.*\n)+", fenced.sub("", text)):
        yield "", "\n".join(line[4:] for line in block.splitlines())


def commands_of(language: str, block: str) -> Iterator[list[str]]:
    """The words behind `edge` of each command in a block; of what a command prints, the commands after `$ ` alone."""
    for line in re.sub(r" *\\\n *", " ", block).splitlines():
        if language == "text" and not line.startswith("$ "):
            continue
        bare = re.sub(r"(?:^| )# .*", "", line)
        for match in _STARTS.finditer(bare):
            yield from _words(_ENDS.sub("", bare[match.end() :]))


def inline_code(page: Path) -> Iterator[str]:
    """What stands between backticks in a page's sentences."""
    text = re.sub(r"(?ms)^(```+).*?^\1 *$|^ {4}.*?$", "", _text(page))
    yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text))


def shown() -> list[tuple[str, list[str]]]:
    """The page and the words of each command in the blocks of all pages, each once."""
    found = {
        (str(page.relative_to(ROOT)), tuple(words)): None
        for page in PAGES
        for language, block in code_blocks(page)
        for words in commands_of(language, block)
    }
    return [(page, list(words)) for page, words in found]


def _text(page: Path) -> str:
    """A page, or of a script in the percent format what its cells of text say."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".py":
        return text
    cells = re.findall(r"(?ms)^# %% \[markdown\]\n((?:#.*\n)+)", text)
    return "\n".join(re.sub(r"(?m)^# ?", "", cell) for cell in cells)


def _words(text: str) -> Iterator[list[str]]:
    """`--seed 0|1` is two commands; what is optional, in brackets, is taken, and what is left out (…) is."""
    try:
        words = shlex.split(text)
    except ValueError:
        return
    words = [re.sub(r"^\[(?=-)|(?<=\w)\]$", "", word) for word in words if word != "…"]
    choices = [word.split("|") if _ALTERNATIVES.fullmatch(word) else [word] for word in words]
    longest = max((len(choice) for choice in choices), default=1)
    for turn in range(longest):
        yield [choice[turn % len(choice)] for choice in choices]


@cache
def command_line() -> tuple[Any, typer.Context]:
    """The command line, and the context that its commands are looked up in."""
    commands = typer.main.get_command(app)
    return commands, typer.Context(commands, info_name="edge")


def parse(words: list[str]) -> None:
    """Parse as the command line does, running nothing. Raises what it would say."""
    command, context = command_line()
    if words[0] in ("--version", "--help"):
        return
    while isinstance(command, TyperGroup):
        command, words = command.get_command(context, words[0]), words[1:]
        assert command is not None, "no such command"
    command.make_context(command.name, list(words), parent=context)
