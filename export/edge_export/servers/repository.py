"""A model repository of Triton Inference Server, and KServe's InferenceService over one: folders of a model file.

The network is the file that `edge export` proves; around it lie the texts that the server reads. A repository that is
there gets a new version beside the old ones, which Triton switches to by itself.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from edge_export.servers.throughput import Throughput
from edge_export.servers.triton_config import (
    input_config,
    is_ours,
    network_config,
    outputs_of,
    pictures_config,
    quoted,
)
from edge_export.targets import probe_folder
from edge_runtime import Classifier, EdgeError, ModelCard, OutputError, UsageError, write_text

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_MANIFEST = "inference-service.yaml"
_STORAGE = "pvc://models"


class Repository(NamedTuple):
    """Where a network goes: `root` is the repository, `name` the model's name in it; KServe's has a manifest, too."""

    folder: Path
    name: str
    kserve: bool = False

    @property
    def root(self) -> Path:
        """The folder that the server is pointed at."""
        return self.folder / "models" if self.kserve else self.folder

    @property
    def network(self) -> Path:
        """The folder of the network, whose subfolders are its versions."""
        return self.root / self.name

    @property
    def parts(self) -> dict[str, Path]:
        """The folders that are written, by the name of the model in each."""
        # KServe's own Triton image has no edge in its Python, and one model that does not load ends the server.
        names = (self.name,) if self.kserve else (self.name, f"{self.name}_input", f"{self.name}_pictures")
        return {name: self.root / name for name in names}


def check_repository(repository: Repository) -> None:
    """Refuse now what would fail after minutes of work, and to write among models that edge did not make.

    Raises:
        UsageError: the model's name does not fit, or there is a file in the folder's place.
        OutputError: its parent is missing, or a model of that name is there that is another's.
    """
    if not _NAME.fullmatch(repository.name):
        raise UsageError(
            f"`name` {repository.name!r} is no model's name for a server",
            "letters, digits, - and _, and neither - nor _ first",
        )
    if os.path.lexists(repository.folder) and not repository.folder.is_dir():
        raise UsageError(f"{repository.folder} is a file", "name a folder with `out`")
    if not repository.folder.parent.is_dir():
        raise OutputError(f"{repository.folder.parent} does not exist", "make it, or name another place with `out`")
    for folder in repository.parts.values():
        if os.path.lexists(folder) and not _may_write(repository, folder):
            raise OutputError(f"{folder} exists and edge export did not make it", "choose another `name` or `out`")
    place = repository.folder if repository.folder.is_dir() else repository.folder.parent
    probe_folder(place, repository.folder)


def _may_write(repository: Repository, folder: Path) -> bool:
    """Whether a part's folder is ours: by its description, or, where that was taken away, by what goes with it."""
    config = folder / "config.pbtxt"
    if os.path.lexists(config):
        return is_ours(config)
    if any(is_ours(each / "config.pbtxt") for each in repository.parts.values()):
        return True
    with suppress(EdgeError):
        return _newest_card(repository) is not None
    return False


@contextmanager
def new_version(repository: Repository) -> Iterator[Path]:
    """Where the network's file is to be written: a folder that becomes the next version when the block ends well.

    Raises OutputError where it cannot.
    """
    version = repository.network / str(max(_versions(repository), default=0) + 1)
    # Nothing stays of a first version that does not come to be, and nothing goes that was there before.
    made = [each for each in (repository.network, repository.root, repository.folder) if not each.exists()]
    # Triton looks at folders with numbers alone.
    temporary = repository.network / f".{secrets.token_hex(4)}.tmp"
    try:
        temporary.mkdir(parents=True)
        yield temporary / "model.onnx"
        temporary.rename(version)
    except OSError as error:
        raise OutputError(
            f"cannot write {version}: {error.strerror or error}", "make room, or name another `out`"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def require_same_answers(repository: Repository, card: ModelCard) -> None:
    """Raise OutputError where the repository's network takes or answers something else than a model of that card.

    The server has one description of all versions.
    """
    there = _newest_card(repository)
    if there is not None and _answers(there) != _answers(card):
        raise OutputError(
            f"{repository.network} holds a model of another kind, or with other labels, outputs or preprocessing",
            "choose another `name`, or another folder with `out`",
        )


def _answers(card: ModelCard) -> tuple[object, ...]:
    return card.kind, outputs_of(card), card.labels, card.preprocessing


def _newest_card(repository: Repository) -> ModelCard | None:
    """The card of the newest version, None where there is none. Raises ModelError where that is no model of edge's."""
    newest = max(_versions(repository), default=None)
    return None if newest is None else Classifier(repository.network / str(newest) / "model.onnx", threads=1).card


def _versions(repository: Repository) -> list[int]:
    found = repository.network.glob("[0-9]*/model.onnx")
    return [int(path.parent.name) for path in found if path.parent.name.isdecimal()]


def missing_texts(repository: Repository) -> list[Path]:
    """The descriptions that are not there, which `write_texts` measures for; those that are may be fitted, and stay."""
    wanted = [folder / "config.pbtxt" for folder in repository.parts.values()]
    wanted += [repository.folder / _MANIFEST] if repository.kserve else []
    return [path for path in wanted if not path.exists()]


def write_texts(repository: Repository, card: ModelCard, measured: Throughput, model_bytes: int) -> None:
    """Write what `missing_texts` names, after the files that it speaks of. Raises OutputError."""
    write_spoken_of(repository, card)
    missing = missing_texts(repository)
    first, pictures = f"{repository.name}_input", f"{repository.name}_pictures"
    for name, folder in repository.parts.items():
        config = folder / "config.pbtxt"
        if config not in missing:
            continue
        if name == first:
            text = input_config(first, card, json.dumps(card.preprocessing.to_json()), measured)
        elif name == pictures:
            text = pictures_config(pictures, first, repository.name, card, measured)
        else:
            text = network_config(repository.name, card, measured)
        write_text(config, text)
    if (manifest := repository.folder / _MANIFEST) in missing:
        write_text(manifest, _inference_service(repository.name, measured, model_bytes))


def write_spoken_of(repository: Repository, card: ModelCard) -> None:
    """Write what the descriptions speak of and is not there: the labels, and the decoder. Raises OutputError."""
    for name, folder in repository.parts.items():
        version = folder / "1"
        if name == f"{repository.name}_input":
            template = files("edge_export.servers").joinpath("templates", "triton_input.txt")
            texts = {version / "model.py": template.read_text(encoding="utf-8")}
        else:
            texts = _label_files(folder, card)
            if name != repository.name:
                # A folder of nothing does not reach a bucket.
                texts[version / "ensemble"] = ""
        for path, text in texts.items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, text)


def _label_files(folder: Path, card: ModelCard) -> dict[Path, str]:
    every = [task.labels for task in card.tasks] or [card.labels]
    # An embedding, which comes last, has none.
    named = zip(outputs_of(card), every, strict=False)
    return {folder / output.labels: "".join(f"{_line(label)}\n" for label in labels) for output, labels in named}


def _line(label: str) -> str:
    """The label on a line of its own, as the server's file has it."""
    return " ".join(label.splitlines())


def _inference_service(name: str, measured: Throughput, model_bytes: int) -> str:
    """KServe's InferenceService over `models/`, wherever that is copied to."""
    slug = re.sub(r"[^a-z0-9-]", "-", name.lower()).strip("-") or "model"
    if not slug[0].isalpha():
        # Kubernetes takes no digit first.
        slug = f"m-{slug}"
    cores = measured.best.copies * measured.best.threads
    # Each copy has the weights once more, and room for its batches; the server itself takes some 500 MB.
    memory_mib = 1024 + 4 * measured.best.copies * model_bytes // 2**20
    return f"""\
# edge export --format kserve
# Copy models/ to the storage below (a bucket, gs:// or s3://, or a volume), and: kubectl apply -f {_MANIFEST}
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {slug}
spec:
  predictor:
    model:
      modelFormat:
        name: triton
      protocolVersion: v2
      runtime: kserve-tritonserver
      storageUri: {quoted(_STORAGE)}
      resources:
        requests:
          cpu: "{cores}"
          memory: {memory_mib}Mi
        limits:
          memory: {2 * memory_mib}Mi
"""
