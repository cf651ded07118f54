"""The systemd unit and the Containerfile that are printed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from documented_commands import code_blocks
from edge_runtime import UsageError
from edge_serve import ServeLimits, ServeSettings, containerfile, systemd_unit
from parts import ROOT

TOKEN = "0123456789abcdef"
PYTHON = sys.executable


@pytest.fixture(autouse=True)
def edge_in_opt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a home, nor with a Python that is."""
    monkeypatch.setattr(sys, "executable", "/opt/edge/bin/python")


def settings(model: Path, **others: object) -> ServeSettings:
    return ServeSettings(model, **others)  # type: ignore[arg-type]


def line(text: str, start: str) -> str:
    (found,) = [line for line in text.splitlines() if line.startswith(start)]
    return found.removeprefix(start)


def test_the_unit_serves_as_asked() -> None:
    asked = settings(
        Path("/srv/edge/model.onnx"),
        host="0.0.0.0",
        port=80,
        token=TOKEN,
        limits=ServeLimits(pixels=12_500_000, files=4, grace_s=30),
        allow_hosts=("pi.example",),
        reload=True,
        batching="off",
    )
    unit = systemd_unit(asked, Path("/etc/edge/token"))
    words = line(unit, "ExecStart=").split()
    assert words[0].endswith("/edge") and words[1:4] == ["serve", "--model", "/srv/edge/model.onnx"]
    expected = "--host 0.0.0.0 --port 80 --allow-host pi.example --batching off --reload"
    assert " ".join(words[4:]) == f"{expected} --max-pixels 12.5 --max-files 4 --grace 30 --token-file %d/token"
    assert line(unit, "LoadCredential=") == "token:/etc/edge/token" and TOKEN not in unit
    assert line(unit, "TimeoutStopSec=") == "35"
    assert line(unit, "AmbientCapabilities=") == "CAP_NET_BIND_SERVICE"
    assert "no-auth" not in unit


def test_without_need_it_has_no_rights_and_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "pi")
    unit = systemd_unit(settings(Path("/srv/model.onnx")))
    assert line(unit, "CapabilityBoundingSet=") == "" and "AmbientCapabilities" not in unit
    assert "LoadCredential" not in unit and "--token" not in unit and "--host" not in unit
    at_home = systemd_unit(settings(Path("/home/pi/model.onnx")))
    assert line(at_home, "ProtectHome=") == "read-only" and line(at_home, "User=") == "pi"
    assert "DynamicUser" not in at_home


def test_what_lies_behind_a_link_can_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A service for which homes and temporary folders are empty would not find it."""
    monkeypatch.setenv("LOGNAME", "pi")
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    monkeypatch.setattr("edge_serve.deployment._HOMES", (home,))
    monkeypatch.setattr("edge_serve.deployment._TEMPORARY", (temporary,))
    files = {"model.onnx": home / "pi" / "runs" / "1.onnx", "fleet.pub": temporary / "fleet.pub"}
    for name, file in files.items():
        file.parent.mkdir(parents=True)
        file.touch()
        (tmp_path / name).symlink_to(file)
    plain = systemd_unit(settings(tmp_path / "other.onnx"))
    assert line(plain, "ProtectHome=") == line(plain, "PrivateTmp=") == "yes"
    linked = systemd_unit(settings(tmp_path / "model.onnx"))
    assert line(linked, "ProtectHome=") == "read-only" and line(linked, "User=") == "pi"
    # A link may be put elsewhere later.
    assert f"--model {tmp_path}/model.onnx" in line(linked, "ExecStart=") and line(linked, "PrivateTmp=") == "yes"
    signed = systemd_unit(settings(tmp_path / "other.onnx", require_signature=(tmp_path / "fleet.pub",)))
    assert line(signed, "PrivateTmp=") == "no" and line(signed, "ProtectHome=") == "yes"
    # A virtual environment's Python is a link, often to one in a home.
    (home / "pi" / "python3").touch()
    (tmp_path / "python").symlink_to(home / "pi" / "python3")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert line(systemd_unit(settings(tmp_path / "other.onnx")), "ProtectHome=") == "read-only"


def test_a_record_behind_a_link_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "drift.jsonl").symlink_to(tmp_path / "records" / "drift.jsonl")
    unit = systemd_unit(settings(Path("/srv/m.onnx"), drift=tmp_path / "drift.jsonl"))
    assert line(unit, "ReadWritePaths=") == f"{tmp_path}/records"


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp"])
def test_both_temporary_folders_can_be_read_where_the_model_lies_there(folder: str) -> None:
    assert line(systemd_unit(settings(Path(folder, "m.onnx"))), "PrivateTmp=") == "no"


def test_workers_have_a_folder_for_what_they_share() -> None:
    unit = systemd_unit(settings(Path("/srv/model.onnx"), workers=4))
    assert line(unit, "RuntimeDirectory=") == "edge-serve" and "TMPDIR=/run/edge-serve" in unit
    assert line(unit, "ExecStart=").endswith("--workers 4") and line(unit, "TasksMax=") == "192"
    assert "TMPDIR" not in systemd_unit(settings(Path("/srv/model.onnx")))


def test_the_record_of_drift_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "pi")
    said: list[str] = []
    model = Path("/srv/model.onnx")
    unit = systemd_unit(settings(model, drift=Path("/srv/edge log/drift.jsonl")), say=said.append)
    assert line(unit, "ReadWritePaths=") == '"/srv/edge log"' and "/srv/edge log" in said[0] and len(said) == 1
    # A place of its own, or its user's.
    own = systemd_unit(settings(model, drift=Path("/var/lib/edge-serve/drift.jsonl")), say=said.append)
    assert line(own, "StateDirectory=") == "edge-serve" and "ReadWritePaths" not in own
    at_home = systemd_unit(settings(model, drift=Path("/home/pi/drift.jsonl")), say=said.append)
    assert line(at_home, "ReadWritePaths=") == "/home/pi" and line(at_home, "User=") == "pi"
    assert line(at_home, "ProtectHome=") == "read-only" and len(said) == 1
    # The service's folder is not that of the command.
    monkeypatch.chdir("/srv")
    near = systemd_unit(settings(model, drift=Path("drift.jsonl")))
    assert "--drift /srv/drift.jsonl" in near and "ReadWritePaths" not in systemd_unit(settings(model))


def test_what_writes_code_while_it_runs_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO does; a process that must not is one that does not start."""
    monkeypatch.setenv("LOGNAME", "pi")
    at_home, elsewhere = Path("/home/pi/m.onnx"), Path("/srv/m.onnx")

    def may_not(model: Path, **others: object) -> str:
        return line(systemd_unit(settings(model, **others)), "MemoryDenyWriteExecute=")

    monkeypatch.setattr("edge_serve.deployment.package_version", lambda _: None)
    assert may_not(elsewhere) == may_not(at_home) == may_not(at_home, engine="onnxruntime") == "yes"
    assert may_not(elsewhere, engine="openvino") == "no"
    # What edge bench noted, or will note, is its user's, whom the unit serves as in his home.
    monkeypatch.setattr("edge_serve.deployment.package_version", {"openvino": "2026.0"}.get)
    assert may_not(at_home) == "no" and may_not(elsewhere) == may_not(at_home, engine="onnxruntime") == "yes"
    container = containerfile(settings(elsewhere, engine="openvino", require_signature=(Path("fleet.pub"),)))
    assert "whl[serve,sign,fast]'" in container and "--engine" in json.loads(line(container, "ENTRYPOINT "))


def test_quiet_stays_quiet() -> None:
    asked = settings(Path("/srv/m.onnx"), log_requests=False)
    assert line(systemd_unit(asked), "ExecStart=").endswith(" --quiet")
    assert "--quiet" in json.loads(line(containerfile(asked), "ENTRYPOINT "))


def test_words_that_systemd_would_read_are_spelled_out() -> None:
    unit = systemd_unit(settings(Path('/srv/50 % of $HOME "x".onnx'), name="m"))
    assert '--model "/srv/50 %% of $$HOME \\"x\\".onnx" --name m' in line(unit, "ExecStart=")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize(("port", "workers"), [(80, 2), (8000, 1)])
def test_systemd_takes_it_and_calls_it_safe(
    tmp_path: Path, rgb_model: Path, port: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # systemd looks whether it is there.
    monkeypatch.setattr(sys, "executable", PYTHON)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    unit = tmp_path / "edge-serve.service"
    asked = settings(rgb_model, host="0.0.0.0", port=port, token=TOKEN, workers=workers)
    unit.write_text(systemd_unit(asked, token))
    verified = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"}
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-300:]


def test_the_pages_socket_unit_is_one_for_the_printed_service(tmp_path: Path, rgb_model: Path) -> None:
    (socket_unit,) = [block for language, block in code_blocks(ROOT / "docs" / "serve.md") if language == "ini"]
    assert line(socket_unit, "ListenStream=").startswith("/") and "Accept" not in socket_unit
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    (tmp_path / "edge-serve.socket").write_text(socket_unit)
    unit = re.sub("ExecStart=[^ ]*/edge ", f"ExecStart={shutil.which('true')} ", systemd_unit(settings(rgb_model)))
    (tmp_path / "edge-serve.service").write_text(unit)
    verified = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "edge-serve.socket"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_container_serves_as_asked() -> None:
    asked = settings(Path("/srv/bees.onnx"), host="0.0.0.0", port=9000, token=TOKEN, threads=2)
    text = containerfile(asked, Path("token"))
    words = json.loads(line(text, "ENTRYPOINT "))
    assert words[:6] == ["/opt/edge/bin/edge", "serve", "--model", "/model/bees.onnx", "--host", "0.0.0.0"]
    assert words[6:] == ["--port", "9000", "--threads", "2", "--token-file", "/run/edge-token"]
    assert 'COPY ["bees.onnx", "/model/bees.onnx"]\n' in text and line(text, "EXPOSE ") == "9000"
    assert line(text, "USER ") == "65532:65532" and TOKEN not in text
    assert "-p 9000:9000 --secret edge-token,target=/run/edge-token edge-serve" in text
    # Of one alone nothing is written; several keep their figures in files.
    text = containerfile(settings(Path("m.onnx"), host="0.0.0.0", port=9000, token=TOKEN, workers=2), Path("token"))
    assert "-p 9000:9000 --tmpfs /tmp --secret edge-token,target=/run/edge-token edge-serve" in text


def test_what_tls_needs_is_handed_over_by_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    asked = settings(Path("/srv/m.onnx"), host="0.0.0.0", token=TOKEN, tls_cert=Path("c.pem"), tls_key=Path("k.pem"))
    unit = systemd_unit(asked, Path("token"))
    words = line(unit, "ExecStart=")
    assert words.endswith("--token-file %d/token --tls-cert %d/tls-cert --tls-key %d/tls-key")
    for name, file in {"token": "token", "tls-cert": "c.pem", "tls-key": "k.pem"}.items():
        assert f"LoadCredential={name}:{tmp_path}/{file}\n" in unit
    # As it was asked for.
    assert "--tls-cert c.pem --tls-key k.pem" in unit.splitlines()[0]


def test_what_no_unit_and_no_container_can_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="socket unit") as caught:
        systemd_unit(settings(Path("/srv/m.onnx"), unix=tmp_path / "socket"))
    assert "docs/serve.md" in caught.value.hint
    with pytest.raises(UsageError, match="no place for `drift`"):
        containerfile(settings(Path("m.onnx"), drift=Path("/srv/drift.jsonl")))


@pytest.mark.parametrize(("host", "published"), [("::1", "[::1]"), ("localhost", "127.0.0.1"), ("127.0.0.2",) * 2])
def test_names_and_addresses_are_written_as_containers_take_them(host: str, published: str) -> None:
    text = containerfile(settings(Path("my bees.onnx"), host=host))
    assert f" -p {published}:8000:8000 " in text
    assert 'COPY ["my bees.onnx", "/model/my bees.onnx"]\n' in text


def test_a_container_wants_a_token_though_none_was_named() -> None:
    text = containerfile(settings(Path("m.onnx")))
    assert "openssl rand -hex 16 > token && podman secret create edge-token token" in text
    assert "-p 127.0.0.1:8000:8000 --secret edge-token,target=/run/edge-token edge-serve" in text
    assert json.loads(line(text, "ENTRYPOINT "))[-2:] == ["--token-file", "/run/edge-token"]
    assert "no-auth" not in text
    named = containerfile(settings(Path("m.onnx"), token=TOKEN), Path("my token"))
    assert "podman secret create edge-token 'my token'" in named and "openssl" not in named


def test_a_container_is_open_only_where_that_was_asked_for() -> None:
    text = containerfile(settings(Path("m.onnx"), host="0.0.0.0", no_auth=True))
    assert json.loads(line(text, "ENTRYPOINT "))[-1] == "--no-auth" and "secret" not in text


def test_the_public_key_goes_where_the_model_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    asked = settings(Path("/srv/m.onnx"), require_signature=(Path("fleet.pub"),))
    assert f"--require-signature {tmp_path}/fleet.pub" in line(systemd_unit(asked), "ExecStart=")
    text = containerfile(asked)
    assert 'COPY ["fleet.pub", "/model/fleet.pub"]' in text and "whl[serve,sign]'" in text
    assert "/model/fleet.pub" in json.loads(line(text, "ENTRYPOINT "))
    with pytest.raises(UsageError, match=r"a\.pub would be two files"):
        containerfile(settings(Path("m.onnx"), require_signature=(Path("1/a.pub"), Path("2/a.pub"))))


def test_no_unit_runs_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "root")
    notes: list[str] = []
    for model in ("/root/model.onnx", "/home/nobody-of-that-name/model.onnx"):
        unit = systemd_unit(settings(Path(model)), None, notes.append)
        assert (
            "User=root" not in unit
            and line(unit, "DynamicUser=") == "yes"
            and line(unit, "ProtectHome=") == "read-only"
        )
        assert model in notes.pop() and not notes
    systemd_unit(settings(Path("/srv/model.onnx")), None, notes.append)
    assert not notes


def test_root_hands_a_home_over_to_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setattr(Path, "owner", lambda path: {"/home/pi": "pi"}[str(path)])
    unit = systemd_unit(settings(Path("/home/pi/models/model.onnx")))
    assert line(unit, "User=") == "pi" and "DynamicUser" not in unit
