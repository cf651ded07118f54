"""The commands' flags come from the settings dataclasses: one for each field, with its help, default and bounds."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args

import pytest
import typer

from edge_benchmarks import DRAWN, BenchSettings, TuneSettings
from edge_cli.bench.contestants import Choice
from edge_cli.console import Console, fail
from edge_cli.flags import Options, paragraphs, said_as_flags, settings_command
from edge_data import AugmentationName
from edge_data.augment.presets import AUGMENTATIONS
from edge_export import ExportSettings
from edge_runtime import Setting, SettingField, UsageError, check_settings, setting_fields
from edge_serve import LabelSettings, ServeLimits, ServeSettings
from edge_train import TrainSettings

COMMANDS = [
    ("train", TrainSettings),
    ("compare", TrainSettings),
    ("tune", TrainSettings),
    ("tune", TuneSettings),
    ("export", ExportSettings),
    ("label", LabelSettings),
    ("serve", ServeSettings),
    ("serve", ServeLimits),
    ("bench", BenchSettings),
    ("bench", Choice),
]
# What the command works out itself.
NO_FLAG = {
    LabelSettings: {"source"},
    ServeSettings: {"model", "limits", "log_requests"},
    ServeLimits: {"headers"},
    BenchSettings: {"images_from"},
    Choice: {"models", "run"},
}


# What a command of several runs gives each of them itself.
WITHOUT = {
    ("compare", "strategy"),
    ("compare", "folds"),
    ("tune", "folds"),
    ("tune", "prune"),
    *(("tune", name) for name in DRAWN),
}


@pytest.fixture(scope="module")
def help_of() -> Any:
    """The rows of a command's help, each on one line, by flag."""
    known: dict[str, dict[str, str]] = {}

    def read(verb: str) -> dict[str, str]:
        if verb not in known:
            done = subprocess.run(
                [sys.executable, "-m", "edge_cli", verb, "--help"],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "COLUMNS": "500"},
            )
            rows = [line.strip("│ \n") for line in done.stdout.splitlines() if line.startswith("│ --")]
            known[verb] = {row.split()[0]: " ".join(row.split()) for row in rows}
        return known[verb]

    return read


@pytest.mark.parametrize(("verb", "settings"), COMMANDS)
def test_each_field_has_a_flag_and_what_is_said_of_it_stands_in_the_help(
    verb: str, settings: type[Any], help_of: Any
) -> None:
    rows = help_of(verb)
    described = {field.name: field for field in setting_fields(settings)}
    assert described.keys() == {field.name for field in fields(settings)} - NO_FLAG.get(settings, set())
    for name, field in described.items():
        if (verb, name) in WITHOUT:
            assert field.flag not in rows
            continue
        row = rows[field.flag]
        assert field.setting.help.rstrip(".") in row
        for choice in field.choices:
            assert str(choice) in row
        shown = row.partition("[default: ")[2].partition("]")[0]
        if field.setting.shown_default:
            assert shown == f"({field.setting.shown_default})"
        elif field.default is None or field.default is False or field.default == () or not_asked_for(field):
            assert shown == ""
        elif isinstance(field.default, int | float):
            assert float(shown.removesuffix("s")) * field.setting.unit == pytest.approx(field.default)
        else:
            assert shown == str(field.default)


def not_asked_for(field: SettingField) -> bool:
    """Whether it is a time of nothing."""
    return field.name.endswith("_s") and field.default == 0


def test_no_field_stands_for_two_flags() -> None:
    flags: dict[str, set[str]] = {}
    for _, settings in COMMANDS:
        for field in setting_fields(settings):
            flags.setdefault(field.name, set()).add(field.flag)
    assert not {name for name, found in flags.items() if len(found) > 1}


def test_the_choice_of_augmentations_is_the_table() -> None:
    assert get_args(AugmentationName) == tuple(AUGMENTATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Oven:
    """Settings that no command has."""

    heat: Annotated[int, Setting("How hot.", metavar="C", at_least=50, at_most=300)] = 180
    mode: Annotated[Literal["air", "grill"], Setting("How.")] = "air"
    light: Annotated[bool, Setting("Whether one sees in.")] = False
    clean: Annotated[bool, Setting("Clean it.", flag="--afterwards", metavar="clean")] = False
    size_bytes: Annotated[int, Setting("How large.", unit=1e6, flag="--size", at_least=1_000, at_most=10**9)] = 10**6
    rest_s: Annotated[float, Setting("How long after.", metavar="TIME", at_least=1)] = 30.0
    trays: Annotated[tuple[str, ...], Setting("A tray; may be repeated.", flag="--tray")] = ()
    fans: Annotated[tuple[int | None, ...], Setting("How many fans.", at_least=1)] = (None,)
    owner: str = ""

    def __post_init__(self) -> None:
        check_settings(self)


def bake(*words: str, without: tuple[str, ...] = ()) -> tuple[Oven, dict[str, str]]:
    """What a command of these settings makes of the words, and which options it was given."""
    app = typer.Typer(add_completion=False)
    found: list[Any] = []

    @settings_command(app, "bake", Oven, help="Bake.", without=without)
    def command(
        *,
        mode: Annotated[Literal["air", "grill", "both"], typer.Option("--mode", help="How.")] = "air",
        options: Options,
        loud: Annotated[bool, typer.Option("--loud")] = False,
    ) -> int:
        found.extend([options.make(Oven, mode="air" if mode == "both" else mode, owner="me"), options.given])
        return 7 if loud else 0

    code = typer.main.get_command(app).main(list(words), standalone_mode=False, prog_name="bake")
    assert code == (7 if "--loud" in words else 0)
    return found[0], found[1]


def test_a_field_is_a_flag_with_no_other_edit() -> None:
    assert bake() == (Oven(owner="me"), {})
    words = (
        "--heat 250 --mode grill --light --afterwards clean --size 2.5 --rest 2m --tray a --tray b --fans 1,2 --loud"
    )
    oven, given = bake(*words.split())
    assert oven == Oven(
        heat=250, mode="grill", light=True, clean=True, size_bytes=2_500_000, rest_s=120.0, trays=("a", "b"),
        fans=(1, 2), owner="me",
    )  # fmt: skip
    assert given["size_bytes"] == "--size" and given["loud"] == "--loud" and given.keys() >= {"heat", "trays", "mode"}


def test_the_commands_own_option_takes_the_place_of_a_field_and_a_field_can_be_left_out() -> None:
    assert bake("--mode", "both")[0].mode == "air"
    assert bake(without=("heat",))[0].heat == 180
    with pytest.raises(typer.TyperException):
        bake("--heat", "100", without=("heat",))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--heat 20", "--heat 20: at least 50 is needed"),
        ("--size 2000", "--size 2000: at most 1000 is possible"),
        ("--size nan", "--size nan: a number is needed"),
        ("--rest soon", "--rest soon: a time is needed"),
        ("--rest 500ms", "--rest 0.5: at least 1 is needed"),
        ("--fans 0", "--fans 0: whole numbers from 1 on are needed"),
    ],
)
def test_a_broken_bound_names_the_flag(words: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        bake(*words.split())
    assert said_as_flags(caught.value.message) == said
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "--ema", "0.1"), "--ema 0.1: at least 0.5 is needed"),
        (("compare", "--batch-size", "0"), "--batch-size 0: at least 1 is needed"),
        (("train", "--strategy", "scratch", "--head-epochs", "1"), "--head-epochs is for fine-tuning, but --strategy"),
        (("export", "--max-drop", "101"), "--max-drop 101: at most 100 is possible"),
        (("serve", "--model", "m.onnx", "--max-pixels", "100"), "--max-pixels 100: at most 80 is possible"),
        (("serve", "--model", "m.onnx", "--queue", "4"), "--queue 4 holds fewer pictures than --max-files 16 lets"),
        (("bench", "--runs", "0"), "--runs 0: at least 1 is needed"),
    ],
)
def test_the_commands_name_flags(edge: Any, words: tuple[str, ...], said: str) -> None:
    done = edge(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "`" not in done.stderr


def test_parameters_in_backticks_are_said_as_flags_and_nothing_else_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert said_as_flags("`head_epochs` 5 leaves none, `grace_s` too") == "--head-epochs 5 leaves none, --grace too"
    import edge_cli.commands.bench
    import edge_cli.commands.serve

    assert edge_cli.commands.bench.app and edge_cli.commands.serve.app
    assert said_as_flags("`least_runs` and `files`") == "--runs and --max-files"
    for text in ("photos/`data`.png", "`data`.png", "`rm -rf`", "a ` b", "``data``", "`Data`"):
        assert said_as_flags(text) == text
    assert fail("`epochs` 0", "raise `epochs`", 2) == 2
    with Console() as console:
        console.say("`image_size` 32 is its own")
    assert capsys.readouterr().err == "error: --epochs 0\n hint: raise --epochs\n--image-size 32 is its own\n"


def test_paragraphs_break_where_the_terminal_ends() -> None:
    assert paragraphs("One\nline.\n\nTwo\n  more.\n") == "One line.\n\nTwo more."
