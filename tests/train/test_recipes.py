"""Recipes are valid settings with reasons; what is given beside one wins, and is said."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest

from edge_runtime import UsageError, setting_fields
from edge_train import TrainSettings, find_recipe, read_train_settings
from edge_train.recipes import RECIPES
from edge_train.report.page import repeat_command
from edge_train.run.run_folder import plain_settings
from edge_train.settings import RecipeName
from parts import ROOT

NAMES = get_args(RecipeName)
FLAGS = {field.name: field.flag for field in setting_fields(TrainSettings)}


def test_every_name_has_a_recipe() -> None:
    assert [recipe.name for recipe in RECIPES] == list(NAMES)
    with pytest.raises(UsageError, match=r"`recipe` cats is not known") as raised:
        find_recipe("cats")
    assert raised.value.hint == f"choose {', '.join(NAMES)}"


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_sets_what_its_page_explains_with_a_reason_each(name: str) -> None:
    recipe = find_recipe(name)
    made = recipe.settings()
    own = {field.name: field.default for field in fields(TrainSettings)}
    page = (ROOT / "docs" / "recipes" / f"{name}.md").read_text(encoding="utf-8")
    for each in recipe.values:
        assert getattr(made, each.setting) == each.value != own[each.setting]
        assert len(each.why) > 20 and "\n" not in each.why
        assert f"`{FLAGS[each.setting]} {each.value}`" in page
        # None cannot be typed, so a flag could not bring it back.
        assert own[each.setting] is not None
    changed = {each.setting: each.value for each in recipe.values}
    assert made == replace(TrainSettings(), recipe=name, **changed)
    for asked in recipe.asks:
        assert asked.setting in own and f"`{FLAGS[asked.setting]}" in page
    rows = set(re.findall(r"(?m)^\| `(--[\w-]+) [^|]*` \|", page))
    assert rows == {FLAGS[each.setting] for each in recipe.values}


def test_what_is_given_wins_be_it_the_default_and_the_lines_say_so() -> None:
    medical = find_recipe("medical")
    applied = medical.apply({"augment": "light", "data": "scans"})
    assert applied.settings.augment == "light" and applied.settings.data == "scans"
    assert "augment" not in applied.added and applied.settings.class_balance == applied.added["class_balance"]
    (line,) = (line for line in applied.lines if line.startswith("`augment`"))
    assert line == "`augment` light: as given; the recipe has medical"
    same = medical.apply({"augment": "medical"})
    assert same.lines == medical.apply({}).lines


def test_what_contradicts_what_is_given_is_left_out_with_the_reason() -> None:
    for given in ({"strategy": "feature-extraction"}, {"weights": "none"}, {"multi_label": True}, {"epochs": 1}):
        for name in NAMES:
            applied = find_recipe(name).apply(given)
            assert {key: getattr(applied.settings, key) for key in given} == given
            out = [line for line in applied.lines if "is left out, as it does not go with what is given: " in line]
            assert len(out) + len(applied.added) == len(CHOSEN[name] - given.keys())
    with pytest.raises(UsageError, match="`min_sensitivity` is that of the class"):
        find_recipe("medical").settings(min_sensitivity=0.9)


CHOSEN = {recipe.name: {each.setting for each in recipe.values} for recipe in RECIPES}


def test_it_asks_for_what_only_a_person_can_say_and_for_nothing_that_was_said() -> None:
    asked = [line for line in find_recipe("medical").apply({}).lines if line.startswith("yours to say, ")]
    assert any("`positive`" in line for line in asked) and any("`group_by`" in line for line in asked)
    left = find_recipe("medical").apply({"positive": "ill"}, decided=("group_by", "augment")).lines
    assert not any("`positive`" in line or "`group_by`" in line or line.startswith("`augment`") for line in left)


def test_a_file_names_a_recipe_and_a_run_is_repeated_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "scans.toml"
    file.write_text('recipe = "medical"\nepochs = 3\n')
    settings = read_train_settings(file)
    assert settings == find_recipe("medical").settings(epochs=3)
    settings = replace(settings, strategy="fine-tune")
    # As a run recorded it, whatever the recipe has come to since.
    older = replace(settings, augment="standard", class_balance="none")
    config = {"settings": plain_settings(older), "strategy": settings.strategy}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_train_settings(tmp_path / "config.json") == older


def test_the_command_that_repeats_a_run_says_what_the_recipe_sets() -> None:
    settings = find_recipe("medical").settings(augment="light", data="scans")
    command = repeat_command(plain_settings(settings))
    assert "--recipe medical" in command and "--augment light" in command and "--data scans" in command
    for each in find_recipe("medical").values:
        assert FLAGS[each.setting] in command
