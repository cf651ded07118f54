"""Every command that a page shows is one: its verb, its flags and their values are taken by the real command line."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from documented_commands import PAGES, code_blocks, command_line, commands_of, inline_code, parse, shown
from edge_cli.main import COMMANDS
from parts import ROOT

SHOWN = shown()
# Shown because they are refused.
WRONG = {("train", "--data", "photos", "--epoch", "3")}
# Of other programs, in sentences.
FOREIGN = {"--rdzv-id", "--rdzv-backend", "--standalone", "--rdzv-conf", "--nnodes", "--seconds", "--pairs", "--soak"}
FOREIGN |= {"--beside", "--build-arg", "--gpus", "--shm-size", "--user", "--quick"}
# Text that begins like a command.
NO_COMMANDS = {"edge model signature 1"}


def flags_of(command: Any) -> set[str]:
    inner = getattr(command, "commands", {}).values()
    own = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts) if flag.startswith("--")}
    return own.union(*map(flags_of, inner), {"--help"})


@cache
def all_flags() -> dict[str, set[str]]:
    commands, context = command_line()
    return {verb: flags_of(commands.get_command(context, verb)) for verb in COMMANDS}


def test_the_pages_show_commands_of_every_verb() -> None:
    assert len(SHOWN) > 150
    assert not {words[0] for _, words in SHOWN} - {*COMMANDS, "--version"}
    assert {words[0] for _, words in SHOWN} >= {*COMMANDS} - {"demo"}


def test_what_is_a_command_in_a_block() -> None:
    block = 'make x   # edge train --no\n$ edge data check "a b" | head\n'
    block += "A=1 edge/bin/edge train --seed 0|1 [--folds 5] \\\n  --out x …\n"
    assert list(commands_of("sh", block)) == [
        ["data", "check", "a b"],
        ["train", "--seed", "0", "--folds", "5", "--out", "x"],
        ["train", "--seed", "1", "--folds", "5", "--out", "x"],
    ]
    assert list(commands_of("text", "next: edge export\n$ edge info\n")) == [["info"]]
    assert list(commands_of("", "torchrun --nproc-per-node 2 -m edge_cli train --epochs 3\n")) == [
        ["train", "--epochs", "3"]
    ]
    with pytest.raises(typer.TyperException):
        parse(["train", "--no-such-flag"])
    with pytest.raises(typer.TyperException):
        parse(["train", "--strategy", "guess"])


@pytest.mark.parametrize("page", sorted({page for page, _ in SHOWN}))
def test_the_commands_of_a_page_parse(page: str) -> None:
    for words in (words for other, words in SHOWN if other == page and tuple(words) not in WRONG):
        try:
            parse(words)
        except typer.TyperException as error:
            raise AssertionError(f"edge {' '.join(words)}: {error}") from None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_sentence_names_a_dead_flag(page: Any) -> None:
    """`edge VERB --flag` has a flag of that verb between backticks, `--flag` one of any."""
    any_flag = set().union(*all_flags().values(), {"--version"}, FOREIGN)
    for code in (code for code in inline_code(page) if code not in NO_COMMANDS):
        if verb := re.match(r"edge ([a-z]+)\b(?!\.)", code):
            assert verb[1] in COMMANDS, code
            known = all_flags()[verb[1]]
        elif code.startswith("--"):
            known = any_flag
        else:
            continue
        for flag in re.findall(r"(?:^|(?<=[ |\[]))--[a-z][\w-]*", code.partition(" -- ")[0]):
            assert flag in known, f"{code}: {flag}"


def test_blocks_are_found_fenced_and_set_in() -> None:
    languages = {language for page in PAGES for language, _ in code_blocks(page)}
    assert {"", "sh", "text", "python", "ini"} <= languages


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_what_installs_a_wheel_hands_pip_the_one_that_is_there(tmp_path: Path) -> None:
    lines = [line for page in PAGES for _, block in code_blocks(page) for line in block.splitlines()]
    installs = [line.strip() for line in lines if re.match(r" *(\S*/)?pip install .*\*", line)]
    assert any("[serve]" in line for line in installs) and len(installs) > 2
    wheel = tmp_path / "edge_vision-1.0-py3-none-any.whl"
    wheel.touch()
    for line in installs:
        told = re.sub(r"^(\S*/)?pip install", "printf '%s\\\\n'", line)
        words = subprocess.run(["bash", "-c", told], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        assert Path(re.sub(r"\[\w+\]$", "", words.strip())).name == wheel.name, line
