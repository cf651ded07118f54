"""Settings said once: what a field of a settings dataclass means, which values it takes, what its flag is called.

    @dataclass(frozen=True, kw_only=True)
    class TrainSettings:
        epochs: Annotated[int, Setting("Times every training image is seen.", "N", at_least=1)] = 5

        def __post_init__(self) -> None:
            check_settings(self)

A message names a setting as Python spells it, in backticks; a command puts the flag in its place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args, get_origin, get_type_hints

from edge_runtime.errors import UsageError
from edge_runtime.setting_kinds import as_kind


# Named tuples: every command pays for this module when it starts, and they are made five times as fast as dataclasses.
class Setting(NamedTuple):
    """What is said of one field, in `Annotated[TYPE, Setting("What it does.", …)]`.

    `help` to `flag` are for a command line: its help, the value's name there, the panel of the help it stands in, what
    the help says the default does where that is None, and the flag where `plain_flag` is not its name. `unit` is how
    much one of the flag's own unit is in that of the field: 1e6 for a field in bytes whose flag is in megabytes. The
    bounds, in the unit of the field, hold for each part of a tuple.
    """

    help: str
    metavar: str | None = None
    panel: str | None = None
    shown_default: str | None = None
    flag: str | None = None
    unit: float = 1
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None


class SettingField(NamedTuple):
    """A field with a Setting: its name, its type without None, its default, what is said of it, and if None may be."""

    name: str
    kind: Any
    default: Any
    setting: Setting
    optional: bool = False

    @property
    def flag(self) -> str:
        """What the command line calls it."""
        return self.setting.flag or plain_flag(self.name)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a Literal; none for any other type."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    def check(self, value: Any, name: str, *, unit: float = 1) -> None:
        """Raise UsageError, which calls the field `name`, where `value`, in so many of the field's unit, is none."""
        if value is None:
            return
        if self.choices and value not in self.choices:
            raise UsageError(f"{name} {value} is not known", f"choose {', '.join(map(str, self.choices))}")
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, int | float):
                self._check_number(part, name, unit)

    def _check_number(self, value: float, name: str, unit: float) -> None:
        setting = self.setting
        try:
            float(value)
        except OverflowError:  # a whole number of hundreds of digits
            value = math.inf if value > 0 else -math.inf
        least, above, most = (
            None if bound is None else bound / unit if unit != 1 else bound
            for bound in (setting.at_least, setting.above, setting.at_most)
        )
        span = "" if least is None or most is None else f"from {_text(least)} to {_text(most)}"
        if math.isnan(value):
            wrong = "a number is needed"
        elif least is not None and value < least:
            wrong = f"at least {_text(least)} is needed"
        elif above is not None and value <= above:
            wrong = f"more than {_text(above)} is needed"
        elif most is not None and value > most:
            wrong = f"at most {_text(most)} is possible"
        elif math.isinf(value):
            wrong = "a finite number is needed"
        else:
            return
        raise UsageError(f"{name} {_text(value)}: {wrong}", f"{span} {(unit != 1 and setting.metavar) or ''}".strip())


def setting_fields(settings: Any) -> tuple[SettingField, ...]:
    """The fields that have a Setting of `settings`, a dataclass, in its order."""
    return _described(settings)


@cache
def _described(settings: Any) -> tuple[SettingField, ...]:
    hints, found = get_type_hints(settings, include_extras=True), []
    for field in fields(settings):
        if get_origin(hints[field.name]) is Annotated:
            kind, setting = get_args(hints[field.name])
            parts = [part for part in get_args(kind) if part is not type(None)]
            alone = len(parts) == 1 and len(get_args(kind)) == 2
            optional = type(None) in get_args(kind)
            found.append(SettingField(field.name, parts[0] if alone else kind, field.default, setting, optional))
    return tuple(found)


def check_settings(settings: Any) -> None:
    """Check each field of a settings dataclass by itself: choices, bounds, and that a number is one.

    What is of another kind than its field is turned into it: a text into a path, a path into a text, a list into a
    tuple.

    Raises:
        UsageError: a value makes no sense; the message names the field in backticks.
    """
    for field in setting_fields(type(settings)):
        given = getattr(settings, field.name)
        if given is None and field.optional:
            continue
        value = as_kind(given, field.kind, f"`{field.name}`")
        if value is not given:
            object.__setattr__(settings, field.name, value)
        field.check(value, f"`{field.name}`")


def plain_flag(name: str) -> str:
    """What a command line calls a setting that says nothing else: `batch_size` is --batch-size, `grace_s` --grace."""
    return f"--{name.removesuffix('_s').replace('_', '-')}"


def as_flags(text: str, flags: Mapping[str, str]) -> str:
    """`text` with parameters in backticks as a command line calls them: by `flags`, or plainly."""
    named = r"(?<![\w/.`])`([a-z]\w*)`(?![\w/.`])"
    return re.sub(named, lambda found: flags.get(found[1]) or plain_flag(found[1]), text) if "`" in text else text


def to_words(settings: Any, *, without: Collection[str] = ()) -> list[str]:
    """The words of a command line that say which settings differ from their defaults."""
    words: list[str] = []
    for field in setting_fields(type(settings)):
        value = getattr(settings, field.name)
        if field.name in without or value == field.default:
            continue
        for part in value if isinstance(value, tuple) else (value,):
            inexact = isinstance(part, float) or field.setting.unit != 1
            text = _text(part / field.setting.unit) if inexact else str(part)
            words += [field.flag] if value is True else [field.flag, text]
    return words


def _text(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.12g}"


# Which folder of an image names its class.
LabelFrom: TypeAlias = Literal["top", "parent"]
Threads: TypeAlias = Annotated[int | None, Setting("Threads to use.", "N", shown_default="usable cores", at_least=1)]
LARGEST_SEED = 2**63 - 1  # torch's generator and JSON's readers take no larger one
Seed: TypeAlias = Annotated[int, Setting("Seed of every random choice.", "N", at_least=0, at_most=LARGEST_SEED)]
