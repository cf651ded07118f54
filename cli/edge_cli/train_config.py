"""Settings of training in a file: --config reads them, --print-config and --print-schema write them on stdout."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from edge_cli.console import print_json
from edge_cli.flags import Options, flag
from edge_runtime import setting_fields
from edge_train import TrainSettings

if TYPE_CHECKING:
    from edge_runtime import ModelCard
    from edge_train import TrainConfig

ConfigOption = Annotated[
    Path | None,
    flag(
        "--config",
        "Settings in a file, .toml or .json; or a run's config.json, which is trained again. Flags win over it.",
        "FILE",
        default="flags alone",
    ),
]
PrintConfigFlag = Annotated[
    bool, flag("--print-config", "Print all settings as a file for --config (TOML; JSON with --json); train nothing.")
]
_TITLE = """edge {verb} --config FILE takes this. A flag beside it wins; a line left out is its default.
Relative paths count from the folder that the command is run in, as they do in a flag."""


def with_config(
    options: Options, config: Path | None, *more: type[Any], verb: str = "train"
) -> tuple[Options, TrainConfig | None]:
    """The options over the settings in the file `config`, and that file; it may hold those of `more`, too.

    Raises UsageError where it makes no sense.
    """
    if config is None:
        return options, None
    # Here, since --help, which reads nothing, must not pay for what finds data.
    from edge_train import read_train_config

    found = read_train_config(config, *more, listed_by=f"edge {verb} --print-config", given=options.given.keys())
    return options._replace(filed=found.values), found


@contextmanager
def naming(config: TrainConfig | None, options: Options) -> Iterator[None]:
    """Let what is wrong with a setting that the file holds be said of the file."""
    if config is None:
        yield
        return
    from edge_runtime import said_of_file

    with said_of_file(config.path, config.values.keys() - options.given.keys()):
        yield


def unlike_run(config: TrainConfig, options: Options, card: ModelCard) -> str:
    """What to say of a run that trained a run's settings again, but on other images than it; else nothing.

    `card` is that of the new run. Whoever names other images knows of it.
    """
    named = {"data", "label_from", "group_by", "limit"} & options.given.keys()
    if config.fingerprint is None or named or card.data.get("fingerprint") == config.fingerprint:
        return ""
    return f"note: the images have changed since {config.path} was written: its settings were trained again on others"


def print_settings(*settings: Any, verb: str, without: tuple[str, ...], as_json: bool) -> None:
    """Print the settings, dataclasses, as a file that the verb's --config takes.

    Raises UsageError where TOML cannot hold them.
    """
    if as_json:
        values: dict[str, Any] = {
            field.name: getattr(each, field.name)
            for each in settings
            for field in setting_fields(type(each))
            if field.name not in without
        }
        print_json({name: str(value) if isinstance(value, Path) else value for name, value in values.items()})
        return
    from edge_runtime import to_toml

    text = "\n".join(
        to_toml(each, title="" if place else _TITLE.format(verb=verb), without=without)
        for place, each in enumerate(settings)
    )
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # TOML is, whatever the terminal
    sys.stdout.write(text)


def print_settings_schema() -> None:
    """Print the JSON Schema of the settings, which editors complete and check a file by."""
    from edge_runtime import to_schema

    print_json(to_schema(TrainSettings, title="Settings of edge train"))
