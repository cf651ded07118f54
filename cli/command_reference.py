"""Writes docs/reference/commands.md from the commands themselves: python cli/command_reference.py"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from edge_cli.doc_pages import PAGES
from edge_cli.main import COMMANDS, app

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "commands.md"
HEAD = """# Commands

Made by `python cli/command_reference.py` from the commands themselves: what `edge COMMAND --help` says. `edge docs
COMMAND` opens the page that explains one. Exit codes are [the same everywhere](exit-codes.md).
"""


def command_reference() -> str:
    """The whole page, Markdown: each command with its arguments and flags, in the order of `edge --help`."""
    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="edge")
    lines = [HEAD, "| command | what it does |\n|---|---|"]
    commands = {verb: group.get_command(context, verb) for verb in COMMANDS}  # type: ignore[attr-defined]
    lines += [f"| [`edge {verb}`](#edge-{verb}) | {_first(command)} |" for verb, command in commands.items()]
    for verb, command in commands.items():
        lines += ["", *_entry(f"edge {verb}", command, context), "", f"[More of it](../{PAGES[verb]})."]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _first(command: Any) -> str:
    text = " ".join(command.help.split("\n\n")[0].split())
    return _cell(re.split(r"(?<=[a-z)])[.;:] ", text)[0].rstrip("."))


def _entry(path: str, command: Any, parent: Any, depth: int = 2) -> Iterator[str]:
    context = typer.Context(command, info_name=path.rpartition(" ")[2], parent=parent)
    yield f"{'#' * depth} {path}\n"
    yield _prose(command.help)
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from ("", *_entry(f"{path} {name}", inner, context, depth + 1))
        return
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    usage = " ".join([path, "[OPTIONS]", *(each.make_metavar(context) for each in arguments)])
    yield f"\n```text\n{usage}\n```\n"
    panels: dict[str, list[Any]] = {}
    for each in command.params:
        if not each.hidden and each.name != "help":
            panels.setdefault(getattr(each, "rich_help_panel", None) or "", []).append(each)
    for panel, params in panels.items():
        if panel:
            yield f"\n**{panel}**\n"
        yield "\n| flag | default | what it does |\n|---|---|---|"
        yield from (_row(each, context) for each in params)


def _row(param: Any, context: Any) -> str:
    metavar = re.sub(r"[<>]", "", param.make_metavar(context))
    if param.param_type_name == "argument":
        names = metavar
    else:
        names = ", ".join((*param.opts, *param.secondary_opts)) + ("" if param.is_flag else f" {metavar}")
    # Code in backticks would keep the entity of a bar, which would end the cell.
    return f"| <code>{_cell(names)}</code> | {_cell(_default(param))} | {_cell(' '.join((param.help or '').split()))} |"


def _default(param: Any) -> str:
    if isinstance(param.show_default, str):
        return param.show_default
    if getattr(param, "is_flag", False) or param.default in (None, [], ()):
        return ""
    if isinstance(param.default, list | tuple):
        return ", ".join(map(str, param.default))
    return str(param.default)


def _prose(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", r"\*").replace("\b\n", "").strip()


def _cell(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "&#124;").replace("*", "&#42;").replace("_", "&#95;")


if __name__ == "__main__":
    PAGE.write_text(command_reference(), encoding="utf-8")
