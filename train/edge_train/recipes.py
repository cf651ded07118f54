"""Recipes: settings of training for a field of use, each with the reason for it.

A recipe is data: values that the field's pages explain (docs/recipes/), and what only the person who has the pictures
can say. What each brings on pictures of its field is measured by benchmarks/self_checks/recipe_gains.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from edge_runtime import UsageError
from edge_train.settings import RecipeName, TrainSettings


@dataclass(frozen=True, slots=True)
class RecipeValue:
    """A setting that a recipe gives a value, and why."""

    setting: str
    value: Any
    why: str


@dataclass(frozen=True, slots=True)
class RecipeAsks:
    """A setting that a recipe cannot know, an example of it, and why it is worth giving."""

    setting: str
    example: str
    why: str


@dataclass(frozen=True, slots=True)
class AppliedRecipe:
    """Settings by a recipe: the values that it `added` to those given, and a line on each for a person to read.

    The lines name settings in backticks.
    """

    settings: TrainSettings
    added: Mapping[str, Any]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings for a field: what it is for, the values with their reasons, and what it asks for."""

    name: RecipeName
    about: str
    values: tuple[RecipeValue, ...]
    asks: tuple[RecipeAsks, ...] = ()

    def settings(self, **given: Any) -> TrainSettings:
        """The settings of a run: what is `given`, by the fields of TrainSettings, and else the recipe's values.

        Raises:
            UsageError: what is given makes no sense.
        """
        return self.apply(given).settings

    def apply(self, given: Mapping[str, Any], decided: Collection[str] = ()) -> AppliedRecipe:
        """The same, with what was chosen and why.

        A value of the recipe that contradicts what is given is left out, and the lines say so. `decided` are settings
        that are neither the recipe's to set nor a person's to give here, as those that a sweep draws.

        Raises:
            UsageError: what is given makes no sense.
        """
        given = {**given, "recipe": self.name}
        settings = TrainSettings(**given)
        added: dict[str, Any] = {}
        lines: list[str] = []
        for each in (each for each in self.values if each.setting not in decided):
            name = f"`{each.setting}`"
            if each.setting in given:
                kept = given[each.setting]
                own = f"as given; the recipe has {each.value}" if kept != each.value else each.why
                lines.append(f"{name} {kept}: {own}")
                continue
            try:
                settings = TrainSettings(**given, **added, **{each.setting: each.value})
            except UsageError as error:
                lines.append(f"{name} {each.value} is left out, as it does not go with what is given: {error.message}")
                continue
            added[each.setting] = each.value
            lines.append(f"{name} {each.value}: {each.why}")
        asked = (each for each in self.asks if each.setting not in (*given, *decided))
        lines += [f"yours to say, `{each.setting}` {each.example}: {each.why}" for each in asked]
        return AppliedRecipe(settings, added, tuple(lines))


def find_recipe(name: str) -> Recipe:
    """The recipe of that name: medical, products, wildlife or documents. Raises UsageError for any other text."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    raise UsageError(f"`recipe` {name} is not known", f"choose {', '.join(recipe.name for recipe in RECIPES)}")


_RARE_COUNTS = RecipeValue("best_by", "balanced-accuracy", "the best epoch is the one in which every class does well")

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "medical",
        "scans and tissue",
        (
            RecipeValue("epochs", 40, "few pictures are few steps an epoch, and scans are unlike ImageNet's photos"),
            RecipeValue("augment", "medical", "small turns and bends, never colour; grey pictures are not mirrored"),
            RecipeValue("class_balance", "weights", "the rare finding counts as much as the common one"),
            _RARE_COUNTS,
        ),
        (
            RecipeAsks("positive", "CLASS", "the class that must not be missed gets a threshold of its own"),
            RecipeAsks("group_by", r"'patient(\d+)'", "pictures of one patient must stand on one side of the split"),
        ),
    ),
    Recipe(
        "products",
        "many things before a background",
        (
            RecipeValue("epochs", 20, "many classes are few pictures of each, and a new head learns them in seconds"),
            RecipeValue("augment", "strong", "a customer's picture has another light, angle and size than the shop's"),
            RecipeValue("class_balance", "weights", "what sells seldom is photographed seldom"),
            _RARE_COUNTS,
        ),
        (RecipeAsks("group_by", r"'item(\d+)'", "pictures of one thing, and listings that share them, must not part"),),
    ),
    Recipe(
        "wildlife",
        "animals before a fixed camera",
        (
            RecipeValue("epochs", 15, "the rare animal is in a few steps of each epoch only"),
            RecipeValue("augment", "camera-trap", "two of five pictures as at night, the others in another light"),
            RecipeValue("class_balance", "weights", "one animal in fifty pictures counts as much as the empty ones"),
            _RARE_COUNTS,
        ),
        (RecipeAsks("group_by", r"'(cam\d+-\d+)_'", "one camera's night on one side, or that night is learned"),),
    ),
    Recipe(
        "documents",
        "pages, scanned or by phone",
        (
            RecipeValue("strategy", "fine-tune", "pages look unlike the photos that the backbone was pretrained on"),
            RecipeValue("epochs", 12, "few pages are few steps an epoch"),
            RecipeValue("augment", "document", "angle, small turns, light, blur and JPEG, but no mirrored text"),
        ),
        (RecipeAsks("image_size", "PX", "320 where small print tells kinds apart; the usual 224 shows the layout"),),
    ),
)
