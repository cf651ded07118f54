"""A command's options made from settings dataclasses, so that a new setting is a flag with no other edit.

    @settings_command(app, "train", TrainSettings, help="Train a classifier.")
    def train(*, options: Options, json_: JsonFlag = False) -> int:
        settings = options.make(TrainSettings)

What the library calls `epochs` in a message is said as --epochs here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

import typer

from edge_runtime import SettingField, as_flags, setting_fields

S = TypeVar("S")
Command = Callable[..., int]

# The flags of parameters: those of the library's functions whose flag is not the plain one, and all settings of the
# commands that are loaded.
_flags = {"formats": "--format", "runs": "--run"}


class Options(NamedTuple):
    """The options of a command that stand for settings, as they were typed; `filed` are the settings of a file."""

    typed: Mapping[str, Any]
    context: typer.Context
    filed: Mapping[str, Any] = MappingProxyType({})

    def make(self, settings: type[S], **own: Any) -> S:
        """The settings typed; `own` are those that the command has worked out itself.

        A flag on the command line, be it its default, wins over the file, and the file over what is not typed.

        Raises:
            UsageError: a value, or several together, make no sense.
        """
        given = self.given
        for each in setting_fields(settings):
            if each.name in own:
                continue
            if each.name in self.filed and each.name not in given:
                own[each.name] = self.filed[each.name]
            elif each.name in self.typed:
                own[each.name] = _parsed(each, self.typed[each.name])
        return settings(**own)

    @property
    def given(self) -> dict[str, str]:
        """Name and flag of each option and argument of the command that stands on the command line."""
        return {
            each.name: each.opts[0]
            for each in self.context.command.params
            if each.name and str(self.context.get_parameter_source(each.name)).endswith("COMMANDLINE")
        }


def settings_command(
    app: typer.Typer,
    name: str,
    *settings: type[Any],
    help: str,
    epilog: str | None = None,
    without: tuple[str, ...] = (),
) -> Callable[[Command], Command]:
    """Make a function the command `name`, with a flag for each field of `settings` that has a Setting.

    They stand where the function has its parameter `options`, and become one `Options`. A parameter of the function's
    own that is called like a field takes the field's place; `without` are fields that get no flag.
    """

    def declare(command: Command) -> Command:
        own = dict(signature(command, eval_str=True).parameters)
        described = {each.name: each for kind in settings for each in setting_fields(kind) if each.name not in without}
        _flags.update({each.name: each.flag for each in described.values()})
        generated = [own.get(name) or _parameter(each) for name, each in described.items()]
        parameters = [Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)]
        for parameter in own.values():
            if parameter.name == "options":
                parameters += generated
            elif parameter.name not in described:
                parameters.append(parameter)

        def run(context: typer.Context, **values: Any) -> int:
            typed = {name: values[name] for name in described}
            return command(options=Options(typed, context), **{name: values[name] for name in own if name != "options"})

        run.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]
        app.command(name=name, help=help, epilog=epilog)(run)
        return command

    return declare


def option(name: str, annotated: Any) -> Any:
    """The typer option of a parameter `name` whose type is annotated with a Setting."""
    kind, setting = get_args(annotated)
    return _option(SettingField(name, kind, None, setting))


def flag(
    name: str,
    help: str,
    metavar: str | None = None,
    *,
    panel: str | None = None,
    default: str | None = None,
    min: float | None = None,
    max: float | None = None,
) -> Any:
    """The typer option `name`; `default` is what its help says of a parameter that is None without it."""
    return typer.Option(
        name, metavar=metavar, help=help, show_default=default or True, rich_help_panel=panel, min=min, max=max
    )


def said_as_flags(text: str) -> str:
    """`text` of the library, in which parameters stand in backticks, as the commands say it."""
    return as_flags(text, _flags)


def paragraphs(text: str) -> str:
    """A help text that breaks lines where the terminal ends, not where the file does."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _shape(field: SettingField) -> Literal["word", "time", "counts", "several", "scaled", "plain"]:
    """How the flag of a field is written."""
    if field.kind is bool and field.setting.metavar:
        return "word"
    if field.setting.unit != 1:
        return "scaled"
    if field.name.endswith("_s"):
        return "time"
    if Ellipsis in get_args(_parts(field.kind)):
        return "counts" if field.kind == tuple[int | None, ...] else "several"
    return "plain"


def _parts(kind: Any) -> Any:
    """The tuple that a field may hold where it holds one value or several; else its type."""
    return next((each for each in get_args(kind) if Ellipsis in get_args(each)), kind)


def _parameter(field: SettingField) -> Parameter:
    """The parameter of a command that typer makes the flag of: with the default that its help shows."""
    kind, default = field.kind, field.default
    match _shape(field):
        case "word":
            kind, default = Literal[field.setting.metavar], None
        case "time":
            kind, default = str, f"{default:g}s" if default else None
        case "counts":
            kind, default = str, None
        case "several":
            kind, default = list[get_args(_parts(kind))[0]], None  # type: ignore[misc]
        case "scaled":
            number = default / field.setting.unit
            kind, default = float, int(number) if number.is_integer() else number
    kind = kind | None if default is None else kind
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, _option(field)])


def _option(field: SettingField) -> Any:
    setting = field.setting
    return flag(field.flag, setting.help, setting.metavar, panel=setting.panel, default=setting.shown_default)


def _parsed(field: SettingField, value: Any) -> Any:
    """What was typed as the field holds it; UsageError, which names the flag, where it is none."""
    from edge_cli.quantities import parse_counts, parse_seconds

    match _shape(field):
        case "word":
            return value is not None
        case "time":
            return field.default if value is None else parse_seconds(field.flag, value)
        case "counts":
            return field.default if value is None else parse_counts(field.flag, value)
        case "several":
            return tuple(value) if value else field.default
        case "scaled":
            # Here, since the message is in the flag's unit.
            field.check(value, field.flag, unit=field.setting.unit)
            return round(value * field.setting.unit) if field.kind is int else value * field.setting.unit
    return value
