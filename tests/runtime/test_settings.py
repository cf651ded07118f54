"""Settings said once: what a field takes is checked where it is said, and named as Python spells it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from edge_runtime import Seed, Setting, Threads, UsageError, as_kind, check_settings, setting_fields, to_words
from edge_runtime.settings import plain_flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Oven:
    """Settings such as the parts have."""

    heat: Annotated[float, Setting("How hot.", metavar="X", above=0, at_most=300)] = 180.0
    trays: Annotated[int | None, Setting("How many trays.", at_least=1, shown_default="all")] = None
    mode: Annotated[Literal["air", "grill"] | None, Setting("How.")] = "air"
    where: Annotated[Path, Setting("Where it stands.")] = Path("kitchen")
    light: Annotated[bool, Setting("Whether one sees in.")] = False
    size_bytes: Annotated[int, Setting("How large.", unit=1e6, flag="--size", at_least=1_000, at_most=10**9)] = 10**6
    timers_s: Annotated[tuple[float, ...], Setting("When it rings.", at_least=1)] = ()
    rest_s: Annotated[float, Setting("How long after.")] = 30.0
    maker: Annotated[str, Setting("Who made it.")] = "us"
    makers: Annotated[str | tuple[str, ...], Setting("All who made it.")] = ()
    threads: Threads = None
    seed: Seed = 0
    inner: int = 3

    def __post_init__(self) -> None:
        check_settings(self)


def test_the_fields_that_are_said_something_of() -> None:
    fields = {field.name: field for field in setting_fields(Oven)}
    assert list(fields) == [
        "heat",
        "trays",
        "mode",
        "where",
        "light",
        "size_bytes",
        "timers_s",
        "rest_s",
        "maker",
        "makers",
        "threads",
        "seed",
    ]
    assert (fields["trays"].kind, fields["trays"].default, fields["trays"].flag) == (int, None, "--trays")
    assert fields["mode"].choices == ("air", "grill") and fields["heat"].choices == ()
    assert fields["size_bytes"].flag == "--size" and fields["rest_s"].flag == "--rest"
    assert fields["threads"].setting.shown_default == "usable cores"


@pytest.mark.parametrize(
    ("wrong", "said", "hint"),
    [
        ({"heat": 0}, "`heat` 0: more than 0 is needed", ""),
        ({"heat": 300.5}, "`heat` 300.5: at most 300 is possible", ""),
        ({"heat": math.nan}, "`heat` nan: a number is needed", ""),
        ({"heat": math.inf}, "`heat` inf: at most 300 is possible", ""),
        ({"rest_s": math.inf}, "`rest_s` inf: a finite number is needed", ""),
        ({"rest_s": 10**400}, "`rest_s` inf: a finite number is needed", ""),
        ({"trays": 0}, "`trays` 0: at least 1 is needed", ""),
        ({"mode": "boil"}, "`mode` boil is not known", "choose air, grill"),
        ({"size_bytes": 1}, "`size_bytes` 1: at least 1000 is needed", "from 1000 to 1000000000"),
        ({"timers_s": (5.0, 0.5)}, "`timers_s` 0.5: at least 1 is needed", ""),
        ({"threads": 0}, "`threads` 0: at least 1 is needed", ""),
        ({"seed": 2**63}, f"`seed` {2**63}: at most {2**63 - 1} is possible", f"from 0 to {2**63 - 1}"),
    ],
)
def test_what_makes_no_sense_is_named_as_python_spells_it(wrong: dict[str, Any], said: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        Oven(**wrong)
    assert (caught.value.message, caught.value.hint) == (said, hint)


@pytest.mark.parametrize("right", [{"heat": 300}, {"trays": 1}, {"mode": None}, {"timers_s": (1, 2.5)}, {"seed": 0}])
def test_what_makes_sense_is_taken(right: dict[str, Any]) -> None:
    (name,) = right
    assert getattr(Oven(**right), name) == right[name]


def test_a_bound_is_told_in_the_unit_of_the_flag_where_that_is_asked() -> None:
    (size,) = (field for field in setting_fields(Oven) if field.name == "size_bytes")
    size.check(1, "--size", unit=1e6)
    with pytest.raises(UsageError) as caught:
        size.check(2_000, "--size", unit=1e6)
    assert (caught.value.message, caught.value.hint) == ("--size 2000: at most 1000 is possible", "from 0.001 to 1000")


def test_the_words_of_a_command_line_are_those_that_differ() -> None:
    assert to_words(Oven()) == []
    oven = Oven(heat=200.0, where=Path("a b"), light=True, size_bytes=2_500_000, timers_s=(5.0, 90.5), inner=4)
    words = "--light --size 2.5 --timers 5 --timers 90.5"
    assert to_words(oven) == ["--heat", "200", "--where", "a b", *words.split()]
    assert to_words(oven, without=("heat", "where", "timers_s")) == ["--light", "--size", "2.5"]


@pytest.mark.parametrize(("name", "flag"), [("data", "--data"), ("head_epochs", "--head-epochs"), ("rest_s", "--rest")])
def test_the_plain_flag_of_a_name(name: str, flag: str) -> None:
    assert plain_flag(name) == flag


@pytest.mark.parametrize(
    ("given", "had"),
    [
        ({"where": "cellar"}, Path("cellar")),
        ({"timers_s": [1, 2.5]}, (1, 2.5)),
        ({"timers_s": 3.5}, (3.5,)),
        ({"trays": np.int64(3)}, 3),
        ({"heat": np.float32(2)}, 2.0),
        ({"maker": Path("a/b")}, "a/b"),
        ({"makers": [Path("a"), "b"]}, ("a", "b")),
        ({"makers": Path("a")}, "a"),
    ],
)
def test_what_is_of_another_kind_becomes_what_the_field_has(given: dict[str, Any], had: object) -> None:
    value = getattr(Oven(**given), next(iter(given)))
    assert value == had and type(value) is type(had)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"trays": "5"}, "`trays` '5': a whole number is needed"),
        ({"trays": 2.5}, "`trays` 2.5: a whole number is needed"),
        ({"trays": True}, "`trays` True: a whole number is needed"),
        ({"heat": "hot"}, "`heat` 'hot': a number is needed"),
        ({"timers_s": (1, "2")}, "`timers_s` '2': a number is needed"),
        ({"where": 3}, "`where` 3: a path is needed"),
        ({"maker": 3}, "`maker` 3: a text is needed"),
        ({"light": "no"}, "`light` 'no': True or False is needed"),
        ({"light": 1}, "`light` 1: True or False is needed"),
        ({"heat": None}, "`heat` None: a number is needed"),
        ({"rest_s": None}, "`rest_s` None: a number is needed"),
        ({"where": None}, "`where` None: a path is needed"),
        ({"light": None}, "`light` None: True or False is needed"),
        ({"makers": None}, "`makers` None: a text is needed"),
        ({"timers_s": None}, "`timers_s` None: a number is needed"),
        ({"seed": None}, "`seed` None: a whole number is needed"),
    ],
)
def test_a_value_of_a_kind_that_is_none_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Oven(**wrong)
    assert caught.value.message == said


def test_none_is_a_value_where_the_field_says_so() -> None:
    oven = Oven(trays=None, mode=None, threads=None)
    assert (oven.trays, oven.mode, oven.threads) == (None, None, None)


def test_no_choice_of_several_is_none() -> None:
    assert as_kind(None, Literal["a"] | None, "x") is None
    with pytest.raises(UsageError, match="x None is not known") as told:
        as_kind(None, Literal["a", "b"], "x")
    assert told.value.hint == "choose a, b"
