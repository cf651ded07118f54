"""Settings of training from a file: one written by hand, or the config.json of a run, which is repeated with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_data import DATA_SETS, run_places
from edge_runtime import Run, UsageError, as_kind, read_settings_file, said_of_file
from edge_train.network.lookup import names_code
from edge_train.network.own_code import require_named
from edge_train.recipes import find_recipe
from edge_train.settings import STRATEGIES, TrainSettings

_LISTED_BY = "edge train --print-config"


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The settings in a file, by name, each checked by itself; what the file leaves out is not among them.

    `fingerprint` is that of the images of the run whose config.json the file is, None for any other file.
    """

    path: Path
    values: Mapping[str, Any]
    fingerprint: str | None = None


def read_train_config(
    path: Path, *more: type[Any], listed_by: str = _LISTED_BY, given: Collection[str] = ()
) -> TrainConfig:
    """What the TOML or JSON file `path` holds, or the config.json of the run folder `path`.

    `more` are dataclasses whose settings a file may have, too; `listed_by` is the command that lists all there are, and
    `given` the settings that a person gives beside the file, which win over it.

    Those of a run name its images and its strategy as it found them, by absolute paths and without `auto`, so that they
    train the same again from any folder. Other relative paths count from the working directory, as in a flag. The code
    of a run's own network must have been named on this machine before: the run may be a stranger's.

    Raises:
        UsageError: the file cannot be read, has a key that is no setting or a value that makes no sense, or is of a run
            that no settings alone make: a fold, or an average; or it is a run's and names code that nobody named here.
    """
    is_folder = path.is_dir()
    file = read_settings_file(path, folder_file="config.json")
    path, config = file.path, file.values
    if not isinstance(config.get("settings"), dict):
        if is_folder:
            raise UsageError(f"{path} is not of a run", "name the file itself, where you wrote it")
        return TrainConfig(path, file.checked(TrainSettings, *more, listed_by=listed_by))
    if "fold" in config:
        whole = path.parent.parent / path.name
        raise UsageError(f"{path} is of one fold of a cross-validation", f"{whole} has the settings of the whole")
    if config.get("strategy") not in STRATEGIES:
        of = "fine-tune it with `weights`" if "import" in config else "take that of one of the runs it was made of"
        raise UsageError(f"{path} is not of a run that was trained", of)
    values = replace(file, values=config["settings"]).checked(TrainSettings, listed_by=listed_by)
    if "backbone" not in given and names_code(values.get("backbone", "")):
        with said_of_file(path, {"backbone"}):
            require_named(values["backbone"])
    values["strategy"] = config["strategy"]
    places = run_places(config)
    # A set known by name lies in the cache under another name, but for one that is as good by its path.
    if places and (values.get("data", "shapes") not in DATA_SETS or places[0].name == values.get("data")):
        values["data"] = tuple(map(str, places))
    return TrainConfig(path, values, _fingerprint(config))


def read_train_settings(path: str | Path | Run) -> TrainSettings:
    """The settings in a TOML or JSON file, or those that repeat a run, from its config.json or its folder.

    Where the file names a `recipe`, what it leaves out is the recipe's.

    Raises:
        UsageError: the file cannot be read, or has a key that is no setting, a value that makes no sense or values that
            contradict each other; the message names the file. Or it is a run's, and names code of a network that nobody
            named on this machine.
    """
    config = read_train_config(Path(as_kind(path, Path, "`path`")))
    with said_of_file(config.path, config.values.keys()):
        recipe = config.values.get("recipe")
        return TrainSettings(**config.values) if recipe is None else find_recipe(recipe).settings(**config.values)


def _fingerprint(config: Mapping[str, Any]) -> str | None:
    try:
        return str(config["card"]["data"]["fingerprint"])
    except (KeyError, TypeError):
        return None
