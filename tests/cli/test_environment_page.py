"""docs/reference/environment.md has the variables that the code reads, and no others of that name."""

from __future__ import annotations

import re

from parts import ROOT, packages

PAGE = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")


def test_every_variable_of_ours_is_on_the_page() -> None:
    files = [path for folder in packages().values() for path in folder.rglob("*.py")]
    files += [*(ROOT / "tests").rglob("*.py"), ROOT / "Makefile", ROOT / ".ci" / "run"]
    read = {
        name
        for path in files
        for name in re.findall(r"\bEDGE_(?:[A-Z]+_)*[A-Z]+\b", path.read_text(encoding="utf-8"))
        # The share of a picture that is its edge.
        if name != "EDGE_SHARE"
    }
    assert {"EDGE_CACHE", "EDGE_WEIGHTS_DIR", "EDGE_SERVE_TOKEN", "EDGE_SIGN_PASSPHRASE"} <= read
    assert set(re.findall(r"`(EDGE_[A-Z_]+)`", PAGE)) == read


def test_every_variable_that_a_command_asks_for_by_name_is_on_the_page() -> None:
    names = set()
    for folder in packages().values():
        for path in folder.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            names |= set(re.findall(r"""environ(?:\.get|\.pop|\.setdefault)?[\[(]["']([A-Z_]+)["']""", text))
            names |= set(re.findall(r"""["']([A-Z_]{4,})["'] (?:not )?in os\.environ""", text))
    assert len(names) > 12
    shown = set(re.findall(r"`([A-Z_]+)(?:[=…][^`]*)?`", PAGE))
    assert not {name for name in names if name not in shown and not name.startswith(("MLFLOW_", "WANDB_", "COMET_"))}


def test_what_trains_is_said_to_read_caches_and_weights() -> None:
    for name in ("EDGE_CACHE", "EDGE_WEIGHTS_DIR"):
        (readers,) = re.findall(rf"(?m)^\| `{name}` \|.*\| (.+) \|$", PAGE)
        assert {"train", "compare", "tune", "import", "demo"} <= set(re.findall(r"`(\w+)`", readers))


def test_what_asks_for_a_token_is_said_to_read_it() -> None:
    (readers,) = re.findall(r"(?m)^\| `EDGE_SERVE_TOKEN` \|.*\| (.+) \|$", PAGE)
    commands = (packages()["edge_cli"] / "commands").glob("*.py")
    reading = {path.stem for path in commands if "read_token(" in path.read_text(encoding="utf-8")}
    assert reading and set(re.findall(r"`(\w+)`", readers)) == reading
