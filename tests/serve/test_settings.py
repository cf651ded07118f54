"""What may be asked for, and where the token comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_runtime import UsageError
from edge_serve import ServeLimits, ServeSettings, read_token
from edge_serve.http.body import BodyBudget
from edge_serve.http.hosts import HostCheck, host_name, is_loopback
from edge_serve.http.refusal import Refusal
from edge_serve.http.tokens import TokenCheck

MODEL = Path("model.onnx")
TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "pi.example"])
def test_strangers_need_a_token_or_a_word(host: str) -> None:
    with pytest.raises(UsageError, match="no token") as caught:
        ServeSettings(MODEL, host=host)
    assert "in Python token=" in caught.value.hint and "--token-file FILE" in caught.value.hint
    assert ServeSettings(MODEL, host=host, token=TOKEN).token == TOKEN
    assert ServeSettings(MODEL, host=host, no_auth=True).no_auth
    with pytest.raises(UsageError, match="exclude"):
        ServeSettings(MODEL, host=host, token=TOKEN, no_auth=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    assert is_loopback(host)
    assert ServeSettings(MODEL, host=host).token is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"port": -1}, "`port`"),
        ({"port": 65_536}, "`port`"),
        ({"threads": 0}, "`threads`"),
        ({"batching": "maybe"}, "`batching`"),
        ({"batch_size": 1}, "`batch_size`"),
        ({"batch_wait_s": -1}, "`batch_wait_s`"),
        ({"batch_wait_s": float("nan")}, "`batch_wait_s`"),
        ({"name": "a/b"}, "`name`"),
        ({"name": ".."}, "`name`"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ServeSettings(MODEL, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"body_bytes": 10}, "`body_bytes`"),
        ({"pixels": 0}, "`pixels`"),
        ({"pixels": 100_000_000}, "`pixels`"),
        ({"files": 0}, "`files`"),
        ({"files": 100}, "`queue` 64"),
        ({"timeout_s": 0.0}, "`timeout_s`"),
        ({"timeout_s": float("nan")}, "`timeout_s`"),
        ({"timeout_s": float("inf")}, "`timeout_s`"),
        ({"header_bytes": 10}, "`header_bytes`"),
        ({"queue": 0}, "`queue`"),
        ({"connections": 0}, "`connections`"),
        ({"grace_s": -1.0}, "`grace_s`"),
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ServeLimits(**wrong)  # type: ignore[arg-type]


def test_a_wrong_limit_is_told_with_what_is_possible() -> None:
    with pytest.raises(UsageError) as caught:
        ServeLimits(pixels=100_000_000)
    assert caught.value.message == "`pixels` 100000000: at most 80000000 is possible"
    assert caught.value.hint == "from 1000 to 80000000"


def test_all_bodies_together_take_a_share_of_memory_or_two_of_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_serve.http.limits.available_memory_bytes", lambda: 400_000_000)
    assert ServeLimits().all_bodies_bytes == 100_000_000
    monkeypatch.setattr("edge_serve.http.limits.available_memory_bytes", lambda: 10_000_000_000)
    assert ServeLimits().all_bodies_bytes == 160_000_000
    monkeypatch.setattr("edge_serve.http.limits.available_memory_bytes", lambda: 1_000_000)
    assert ServeLimits().all_bodies_bytes == 20_000_000
    # In each worker, too.
    budget = BodyBudget(ServeLimits(), workers=8)
    with budget.share() as one, budget.share() as other, budget.share() as third:
        one(10_000_000)
        other(10_000_000)
        with pytest.raises(Refusal):
            third(1)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("model.onnx", "model"),
        ("ants & bees.onnx", "ants---bees"),
        (".onnx", "onnx"),
        ("ü.onnx", "model"),
        ("a" * 99, "a" * 64),
    ],
)
def test_the_models_name_fits_into_an_address(file: str, name: str) -> None:
    assert ServeSettings(Path(file)).model_name == name


def test_the_token_comes_from_a_flag_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(TOKEN, None, {}) == TOKEN
    assert read_token(None, file, {"EDGE_SERVE_TOKEN": "other-other-other"}) == TOKEN
    assert read_token(None, None, {"EDGE_SERVE_TOKEN": TOKEN}) == TOKEN
    assert read_token(None, None, {}) is None
    with pytest.raises(UsageError, match="exclude"):
        read_token(TOKEN, file, {})


@pytest.mark.parametrize(
    "token", ["", "short", "a" * 15, "with a space in it", "line\nbreak-line-break", "ünïcödeünïcödeünïcöde"]
)
def test_tokens_that_are_none_are_refused(token: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_token(token, None, {})
    (tmp_path / "token").write_text(token, encoding="utf-8")
    with pytest.raises(UsageError):
        read_token(None, tmp_path / "token", {})
    with pytest.raises(UsageError):
        read_token(None, None, {"EDGE_SERVE_TOKEN": token})
    with pytest.raises(UsageError, match="`token` has "):
        ServeSettings(MODEL, host="0.0.0.0", token=token)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(UsageError, match="`token_file`"):
            read_token(None, path, {})


def test_only_the_whole_token_is_the_token() -> None:
    check = TokenCheck(TOKEN)
    assert check(b"Bearer " + TOKEN.encode()) and check(b"bearer  " + TOKEN.encode())
    for wrong in (
        b"",
        b"Bearer",
        b"Bearer ",
        TOKEN.encode(),
        b"Bearer " + TOKEN[:-1].encode(),
        b"Bearer " + TOKEN.encode() + b"0",
        b"Basic " + TOKEN.encode(),
    ):
        assert not check(wrong)


@pytest.mark.parametrize(
    ("own", "names"),
    [
        ("raspberrypi", {"raspberrypi", "raspberrypi.local"}),
        ("Mac.local", {"mac", "mac.local"}),
        ("pi.lan", {"pi", "pi.local", "pi.lan"}),
    ],
)
def test_this_machine_goes_by_its_name_in_full_and_by_its_first_part(
    own: str, names: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_serve.http.hosts.socket.gethostname", lambda: own)
    check = HostCheck()
    for name in names:
        check.check(name.encode(), b"", b"", changes=True)
    for other in ("pi.example", "lan", "local"):
        with pytest.raises(Refusal):
            check.check(other.encode(), b"", b"", changes=False)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("pi.local:80", "pi.local"),
        ("PI", "pi"),
        ("pi.", "pi"),
        ("[fe80::1]:80", "fe80::1"),
        ("[fe80::1]", "fe80::1"),
        ("fe80::1", None),
        ("a:b", None),
        ("a:", None),
        ("-", None),
        ("a/b", None),
        ("[a]", None),
        ("", None),
    ],
)
def test_the_name_in_a_host_header(header: str, name: str | None) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize("name", ["http://pi", "pi:80", "", "a b"])
def test_an_allowed_host_is_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="`allow_hosts`"):
        HostCheck([name])


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://app.example:443", b"https://app.example"),
        ("http://app.example:80", b"http://app.example"),
        ("https://[::1]:443", b"https://[::1]"),
        ("http://app.example:443", b"http://app.example:443"),
        ("https://app.example:8443", b"https://app.example:8443"),
    ],
)
def test_an_origin_is_known_as_browsers_write_it(given: str, origin: bytes) -> None:
    assert HostCheck(origins=[given]).may_share(origin)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"workers": None}, "`workers` None: a whole number is needed"),
        ({"limits": None}, "`limits` None: ServeLimits are needed"),
        ({"model": {"a": 5}}, "`model` 5: a path is needed"),
    ],
)
def test_a_setting_of_another_kind_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ServeSettings(**{"model": Path("a.onnx"), **wrong})
