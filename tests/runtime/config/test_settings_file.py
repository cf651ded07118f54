"""Settings in a file: read as they were printed, and what makes no sense is named with file, line and key."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import example, given, strategies as st

from edge_runtime import Setting, UsageError, check_settings, read_settings_file, said_of_file, to_schema, to_toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Oven:
    """Settings of each type that a field may have."""

    heat: Annotated[int, Setting("How hot.", metavar="C", at_least=50, at_most=300)] = 180
    fan: Annotated[float, Setting("How fast it blows.", above=0, at_most=1)] = 0.5
    mode: Annotated[Literal["air", "grill"], Setting("How.")] = "air"
    light: Annotated[bool, Setting("Whether one sees in.")] = False
    rest_s: Annotated[float | None, Setting("How long after.", metavar="S", shown_default="none", at_least=1)] = None
    tins: Annotated[str | tuple[str, ...], Setting("What to bake in.")] = "tin"
    floors: Annotated[tuple[int, ...], Setting("Where.", at_least=0)] = ()
    out: Annotated[Path, Setting("Where to put it.")] = Path("plates")

    def __post_init__(self) -> None:
        check_settings(self)


OTHER = Oven(
    heat=200, fan=1e-05, mode="grill", light=True, rest_s=2.0, tins=("a", 'b "c"'), floors=(0, 2), out=Path("x y")
)  # fmt: skip


def read(path: Path, text: str | bytes) -> dict[str, Any]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_settings_file(path).checked(Oven, listed_by="oven --help")


def refusal(path: Path, text: str | bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read(path, text)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize("settings", [Oven(), OTHER])
def test_what_is_printed_is_read_back(settings: Oven, tmp_path: Path) -> None:
    text = to_toml(settings, title="An oven")
    assert Oven(**read(tmp_path / "oven.toml", text)) == settings
    as_json = json.dumps(asdict(settings), default=str)
    assert Oven(**read(tmp_path / "oven.json", as_json)) == settings


@given(st.text())
@example("it's \\d")
@example("C:\\new\\tab")
@example("\x00\x07\x1b\x7f\x85\u2028")
@example("line\r\nend\ttab\r")
def test_any_text_survives(text: str) -> None:
    assert tomllib.loads(to_toml(Oven(tins=text), title=""))["tins"] == text


@pytest.mark.parametrize("name", ["a\\u0000b", "\\ud800"])
def test_text_that_no_path_can_have_is_refused_by_name(name: str, tmp_path: Path) -> None:
    said = refusal(tmp_path / "oven.json", f'{{"out": "{name}"}}').message
    assert 'oven.json, line 1: out = "' in said and "no text of a command" in said
    # What stands for a byte of a file's name that is no UTF-8.
    assert read(tmp_path / "oven.json", '{"out": "\\udcff"}')["out"] == Path("\udcff")


def test_text_that_is_no_unicode_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"`tins` .* is not UTF-8"):
        to_toml(Oven(tins="a\udcff"), title="")


def test_the_print_says_what_each_setting_does() -> None:
    text = to_toml(OTHER, title="An oven", without=("floors",))
    blocks = text.split("\n\n")
    assert blocks[:4] == [
        "# An oven",
        "# How hot. At least 50, at most 300.\nheat = 200",
        "# How fast it blows. More than 0, at most 1.\nfan = 1e-05",
        '# How. One of air, grill.\nmode = "grill"',
    ]
    assert blocks[5] == "# How long after. At least 1. Left out: none.\nrest_s = 2.0"
    assert "floors" not in text and text.endswith('out = "x y"\n')
    assert "# How long after. At least 1. Left out: none.\n# rest_s = S\n" in to_toml(Oven(), title="An oven")


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("heat = 200\nfann = 1", "{}, line 2: there is no setting fann", "did you mean fan?"),
        ("rest = 2.0", "{}, line 1: there is no setting rest", "did you mean rest_s?"),
        ('\n"he-at" = 1', "{}, line 2: there is no setting he-at", "did you mean heat?"),
        ("colour = 3", "{}, line 1: there is no setting colour", "oven --help lists them"),
        ("[oven]\nheat = 3", "{}: there is no setting oven", "settings stand at the top of the file, in no table"),
        ('heat = "200"', '{}, line 1: heat = "200": a whole number is needed', "write heat = 180, for example"),
        ("heat = 200.5", "{}, line 1: heat = 200.5: a whole number is needed", "write heat"),
        ("heat = true", "{}, line 1: heat = true: a whole number is needed", "write heat"),
        ("light = 1", "{}, line 1: light = 1: true or false is needed", "write light = false, for example"),
        ("fan = [0.5]", "{}, line 1: fan = [0.5]: a number is needed", "write fan = 0.5"),
        ("rest_s = 1979-05-27", '{}, line 1: rest_s = "1979-05-27": a number is needed', "leave it out"),
        ("mode = 1", "{}, line 1: mode = 1: text in quotes is needed", 'choose "air", "grill"'),
        ('mode = "steam"', "{}, line 1: mode steam is not known", "choose air, grill"),
        ("tins = [1]", "{}, line 1: tins = [1]: text in quotes or a list is needed", 'write tins = "tin"'),
        ('floors = ["cellar"]', '{}, line 1: floors = ["cellar"]: a list', ""),
        ("floors = [0, -1]", "{}, line 1: floors -1: at least 0 is needed", ""),
        ("heat = 20", "{}, line 1: heat 20: at least 50 is needed", "from 50 to 300"),
        ("fan = inf", "{}, line 1: fan inf: at most 1 is possible", ""),
        ("fan = nan", "{}, line 1: fan nan: a number is needed", ""),
        (f"fan = 1{'0' * 400}", "{}, line 1: fan inf: at most 1", ""),
        ('tins = """\nheat = 1\n"""\nheat = 3', "{}: heat 3: at least 50", ""),
        ("heat = 200\nheat = 201\n", "{} is not TOML: Cannot overwrite a value (at line 2", ""),
        ("heat: 200", "{} is not TOML: Expected '='", ""),
        (b"tins = '\xff'", "{} is not UTF-8 text", "save it as UTF-8"),
        ("floors = " + "[" * 5000, "{} is not TOML", ""),
    ],
)
def test_what_makes_no_sense_in_toml_is_named(text: str | bytes, said: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "oven.toml"
    error = refusal(path, text)
    assert error.message.startswith(said.format(path))
    assert error.hint.startswith(hint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n "heat": 200,\n "fann": 1\n}', "{}, line 3: there is no setting fann"),
        ('{"light": null}', "{}, line 1: light = null: true or false is needed"),
        ('{"heat": 200, "heat": 201}', "{} is not JSON: heat is there twice"),
        ('{"heat": 200,}', "{} is not JSON: "),
        ("[1]", "{} is not a JSON object"),
        ("", "{} is not JSON: "),
        ("[" * 100_000, "{} is not JSON: "),
    ],
)
def test_what_makes_no_sense_in_json_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "oven.json"
    assert refusal(path, text).message.startswith(said.format(path))


def test_a_byte_order_mark_and_an_editors_schema_are_no_faults(tmp_path: Path) -> None:
    assert read(tmp_path / "oven.toml", b"\xef\xbb\xbfheat = 99") == {"heat": 99}
    assert read(tmp_path / "oven.JSON", '{"$schema": "oven.schema.json", "rest_s": null}') == {"rest_s": None}


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(tmp_path / "oven.toml", 'out = "~/plates"') == {"out": tmp_path / "plates"}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name, said in (
        ("none.toml", "No such file"),
        ("oven.yaml", "neither .toml nor .json"),
        ("d.json", "directory"),
    ):
        (tmp_path / "d.json").mkdir(exist_ok=True)
        (tmp_path / "oven.yaml").touch()
        with pytest.raises(UsageError, match=said) as caught:
            read_settings_file(tmp_path / name)
        assert name in caught.value.message


def test_an_error_names_the_file_where_it_is_about_what_stands_there() -> None:
    with pytest.raises(UsageError) as caught, said_of_file(Path("oven.toml"), {"heat"}):
        raise UsageError("`heat` is too much for `tins`", "lower `heat`")
    assert (caught.value.message, caught.value.hint) == ("oven.toml: heat is too much for `tins`", "lower `heat`")
    with pytest.raises(UsageError) as caught, said_of_file(Path("oven.toml"), {"fan"}):
        raise UsageError("`heat` is too much", "lower it")
    assert caught.value.message == "`heat` is too much"


@pytest.mark.parametrize(
    ("settings", "valid"),
    [
        ({}, True),
        (json.loads(json.dumps(asdict(OTHER), default=str)), True),
        ({"$schema": "oven.schema.json", "rest_s": None}, True),
        ({"heat": 49}, False),
        ({"fan": 0}, False),
        ({"heat": "hot"}, False),
        ({"heat": None}, False),
        ({"rest_s": 0.5}, False),
        ({"floors": [0, -1]}, False),
        ({"mode": "steam"}, False),
        ({"fann": 1}, False),
    ],
)
def test_the_schema_takes_what_the_reader_takes(settings: dict[str, Any], valid: bool, tmp_path: Path) -> None:
    rs = pytest.importorskip("jsonschema_rs")
    rs.meta.validate(to_schema(Oven, title="Oven"))
    assert rs.validator_for(json.loads(json.dumps(to_schema(Oven, title="Oven")))).is_valid(settings) is valid
    path, text = tmp_path / "oven.json", json.dumps(settings)
    if valid:
        assert isinstance(replace(Oven(), **read(path, text)), Oven)
    else:
        refusal(path, text)


def test_the_schema_says_help_default_and_what_leaving_out_means() -> None:
    found = to_schema(Oven, title="Oven")["properties"]
    assert found["heat"] == {
        "description": "How hot.", "type": "integer", "minimum": 50, "maximum": 300, "default": 180,
    }  # fmt: skip
    assert found["rest_s"]["description"] == "How long after. Left out: none." and "default" not in found["rest_s"]
    assert found["out"]["default"] == "plates" and found["mode"]["enum"] == ["air", "grill"]
