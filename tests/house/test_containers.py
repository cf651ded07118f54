"""The container files keep what docs/containers.md promises of them: no root, no secrets, no torch on a device."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from documented_commands import PAGES, code_blocks, parse
from edge_serve import ServeSettings, containerfile
from parts import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PAGE = ROOT / "docs" / "containers.md"
PRINTED = ROOT / "serve" / "edge_serve" / "templates" / "Containerfile"
IMAGES = sorted((ROOT / "containers").glob("*.Dockerfile"))
SECRET = re.compile(r"token|secret|password|passphrase|credential|api_?key", re.IGNORECASE)


def instructions(path: Path) -> list[tuple[str, str]]:
    """Each instruction of a Dockerfile and its words, in order."""
    text = re.sub(r"(?m)^\s*#.*\n", "", path.read_text(encoding="utf-8")).replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(word, " ".join(rest.split())) for word, rest in lines]


def last_stage(path: Path) -> list[tuple[str, str]]:
    found = instructions(path)
    start = max(place for place, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


def of(found: list[tuple[str, str]], wanted: str) -> list[str]:
    return [words for word, words in found if word == wanted]


def brought(extra: str) -> Iterator[str]:
    """The names of the packages that an extra brings, by way of others too."""
    for requirement in EXTRAS[extra]:
        if own := re.fullmatch(r"edge-vision\[([\w,-]+)\]", requirement):
            for name in own[1].split(","):
                yield from brought(name)
        else:
            yield re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_an_image_has_two_stages_no_root_and_nothing_that_installs(path: Path) -> None:
    found, last = instructions(path), last_stage(path)
    assert len(of(found, "FROM")) == 2 and of(last, "COPY") == ["--from=build /opt/edge /opt/edge"]
    (user,) = of(last, "USER")
    uid, _, gid = user.partition(":")
    assert int(uid) >= 1000 and int(gid) >= 1000, "numbers: Kubernetes' runAsNonRoot reads no names"
    assert not any(re.search(r"\b(?:pip|apt|apt-get|curl|wget)\b", words) for words in of(last, "RUN"))
    assert json.loads(*of(last, "ENTRYPOINT")) == ["/opt/edge/bin/edge"] and json.loads(*of(last, "CMD")) == ["--help"]
    (environment,) = of(last, "ENV")
    assert "HOME=/tmp" in environment, "nothing else can be written to"
    # All that edge keeps lies where something is mounted.
    (cache,) = re.findall(r"EDGE_CACHE=(\S+)", environment)
    assert cache.startswith("/tmp/") or cache in of(last, "VOLUME")


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_an_image_holds_no_secret_and_nothing_from_an_address(path: Path) -> None:
    found = instructions(path)
    assert not of(found, "ADD") and "://" not in path.read_text(encoding="utf-8")
    assert not [words for word in ("ARG", "ENV") for words in of(found, word) if SECRET.search(words)]


def test_extras_are_there_and_those_of_a_device_bring_no_torch() -> None:
    for path in IMAGES:
        (extras,) = [words.partition("=")[2] for words in of(instructions(path), "ARG") if words.startswith("EXTRAS=")]
        packages = {package for extra in extras.split(",") for package in brought(extra)}
        assert ("torch" in packages) is (path.name == "train.Dockerfile")
    assert "torch" in set(brought("all")) and "starlette" in set(brought("all"))


def test_nothing_goes_in_but_the_sources() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    let_in = {line[1:] for line in patterns if line.startswith("!")}
    assert patterns[0] == "*" and all((ROOT / name).exists() for name in let_in)
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    parts = {Path(folder).parts[0] for folder in packages["targets"]["wheel"]["packages"]}
    assert let_in == {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], *parts}


def test_all_are_built_on_one_python_that_the_project_takes() -> None:
    files = [*IMAGES, PRINTED, ROOT / ".devcontainer" / "Dockerfile"]
    pythons = {
        found for path in files for found in re.findall(r"python:(\d+)\.(\d+)", path.read_text(encoding="utf-8"))
    }
    ((major, minor),) = pythons
    least = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
    assert (int(major), int(minor)) >= least


def test_the_printed_containerfile_is_of_the_same_make_as_the_image() -> None:
    image, printed = (last_stage(path) for path in (ROOT / "containers" / "device.Dockerfile", PRINTED))
    text = PRINTED.read_text(encoding="utf-8").replace("{copies}", "")
    assert of(image, "USER") == of(printed, "USER")
    (install,) = of(instructions(ROOT / "containers" / "device.Dockerfile"), "RUN")
    start, _, _ = install.partition('"/src')
    assert start in " ".join(text.replace("\\\n", " ").split())
    (ours,) = of(image, "ENV")
    (theirs,) = re.findall(r"(?m)^ENV (.*)$", text)
    assert set(theirs.split()) <= set(ours.split())


def test_the_devcontainer_builds_what_is_there() -> None:
    folder = ROOT / ".devcontainer"
    settings = json.loads((folder / "devcontainer.json").read_text(encoding="utf-8"))
    found = instructions(folder / settings["build"]["dockerfile"])
    assert of(found, "USER") == [settings["remoteUser"]] != ["root"]
    assert f"useradd --create-home {settings['remoteUser']}" in of(found, "RUN")[0]
    target = settings["postCreateCommand"].removeprefix("make .venv/")
    assert f"\n$(VENV)/{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_page_names_files_arguments_and_commands_that_there_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    arguments = {words.partition("=")[0] for path in IMAGES for words in of(instructions(path), "ARG")}
    assert set(re.findall(r"--build-arg (\w+)=", text)) <= arguments
    for name in re.findall(r"containers/[\w.]+", text):
        assert (ROOT / name).is_file(), name
    blocks = ["\n".join(block for language, block in code_blocks(PAGE) if language == "sh")]
    ran = re.findall(r"edge-(?:device|train) ([a-z].*)", re.sub(r" *\\\n *", " ", blocks[0]))
    assert len(ran) >= 3
    for command in ran:
        parse(shlex.split(command))
    yaml = pytest.importorskip("yaml")
    (compose,) = [yaml.safe_load(block) for language, block in code_blocks(PAGE) if language == "yaml"]
    service = compose["services"]["edge"]
    parse(service["command"])
    assert (
        service["read_only"] and service["cap_drop"] == ["all"] and not SECRET.search(str(service.get("environment")))
    )


@pytest.mark.parametrize("page", ["containers.md", "servers.md"])
def test_a_token_lies_where_the_pages_server_reads_it(page: str) -> None:
    yaml = pytest.importorskip("yaml")
    (compose,) = [yaml.safe_load(block) for language, block in code_blocks(PAGE.with_name(page)) if language == "yaml"]
    service = compose["services"]["edge"]
    # The image that is printed has its command within.
    words = service.get("command") or json.loads(
        re.search(r"(?m)^ENTRYPOINT (.*)$", containerfile(ServeSettings(Path("m.onnx"))))[1]  # type: ignore[index]
    )
    (secret,) = service["secrets"]
    place = secret["target"] if isinstance(secret, dict) else f"/run/secrets/{secret}"
    assert place == words[words.index("--token-file") + 1]
    assert (secret["source"] if isinstance(secret, dict) else secret) in compose["secrets"]


def test_dockerfiles_on_pages_have_their_comments_on_lines_of_their_own() -> None:
    """Behind an instruction it is part of it."""
    blocks = [block for page in PAGES for language, block in code_blocks(page) if language == "dockerfile"]
    assert blocks
    assert not [line for block in blocks for line in block.splitlines() if re.search(r"^\s*[^#\s].*\s#", line)]


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="needs hadolint")
def test_hadolint_finds_nothing() -> None:
    files = [*IMAGES, ROOT / ".devcontainer" / "Dockerfile"]
    done = subprocess.run(
        ["hadolint", "--failure-threshold", "warning", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
