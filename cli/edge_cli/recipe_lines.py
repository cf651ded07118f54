"""--recipe: the values of a recipe below what was typed and what a file says, and a line on each."""

from __future__ import annotations

import os
from typing import Any

from edge_cli.console import Console
from edge_cli.flags import Options
from edge_runtime import setting_fields
from edge_train import TrainSettings


def with_recipe(options: Options, console: Console, **decided: Any) -> Options:
    """The options over the values of the recipe that they, or their file, name; each is said. Else as they are.

    `decided` are settings that the command works out itself, whatever a recipe has.

    Raises:
        UsageError: what was given makes no sense.
    """
    settings = options.make(TrainSettings, **decided)
    if settings.recipe is None:
        return options
    # Here, since most commands have none.
    from edge_train import find_recipe

    recipe = find_recipe(settings.recipe)
    named = options.given.keys() | options.filed.keys() | decided.keys()
    given = {each.name: getattr(settings, each.name) for each in setting_fields(TrainSettings) if each.name in named}
    applied = recipe.apply(given, decided=decided)
    if os.environ.get("RANK", "0") == "0":  # torchrun's first process speaks for all
        console.say(f"recipe {recipe.name}, {recipe.about} (edge docs {recipe.name}):")
        for line in applied.lines:
            console.say(f"  {line}")
    return options._replace(filed={**applied.added, **options.filed})
