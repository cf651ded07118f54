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
from collections.abc import Callable, Iterator
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
from edge_runtime import Classifier, ModelCard, OutputError, UsageError, write_text

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
            f"`name` {repository.name!r} is no model's name for a server", "letters, digits, - and _; a letter first"
        )
    if os.path.lexists(repository.folder) and not repository.folder.is_dir():
        raise UsageError(f"{repository.folder} is a file", "name a folder with `out`")
    if not repository.folder.parent.is_dir():
        raise OutputError(f"{repository.folder.parent} does not exist", "make it, or name another place with `out`")
    for folder in repository.parts.values():
        if os.path.lexists(folder) and not is_ours(folder / "config.pbtxt"):
            raise OutputError(f"{folder} exists and edge export did not make it", "choose another `name` or `out`")
    place = repository.folder if repository.folder.is_dir() else repository.folder.parent
    try:
        probe = place / f".{secrets.token_hex(4)}.tmp"
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"cannot write {repository.folder}: {error.strerror or error}", "choose another folder with `out`"
        ) from error


@contextmanager
def new_version(repository: Repository) -> Iterator[Path]:
    """Where the network's file is to be written: a folder that becomes the next version when the block ends well.

    Raises OutputError where it cannot.
    """
    numbers = [int(path.name) for path in repository.network.glob("[0-9]*") if path.name.isdecimal()]
    version = repository.network / str(max(numbers, default=0) + 1)
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
        # Nothing stays of a first version that did not come to be.
        for folder in (repository.network, repository.root, repository.folder):
            with suppress(OSError):
                folder.rmdir()


def require_same_answers(repository: Repository, card: ModelCard) -> None:
    """Raise OutputError where the repository's network takes or answers something else than a model of that card.

    The server has one description of all versions.
    """
    newest = max(repository.network.glob("[0-9]*/model.onnx"), key=lambda path: int(path.parent.name), default=None)
    if newest is None:
        return
    there = Classifier(newest, threads=1).card
    if (outputs_of(there), there.labels, there.preprocessing) != (outputs_of(card), card.labels, card.preprocessing):
        raise OutputError(
            f"{repository.network} holds a model with other labels, outputs or preprocessing",
            "choose another `name`, or another folder with `out`",
        )


def write_texts(repository: Repository, card: ModelCard, measured: Throughput, model_bytes: int) -> None:
    """Write all that is not the network. Raises OutputError."""
    label_files = {
        each.labels: labels
        for each, labels in zip(outputs_of(card), [task.labels for task in card.tasks] or [card.labels], strict=False)
    }
    first, pictures = f"{repository.name}_input", f"{repository.name}_pictures"
    configs: dict[str, Callable[[], str]] = {
        repository.name: lambda: network_config(repository.name, card, measured),
        first: lambda: input_config(first, card, json.dumps(card.preprocessing.to_json()), measured),
        pictures: lambda: pictures_config(pictures, first, repository.name, card, measured),
    }
    for name, folder in repository.parts.items():
        folder.mkdir(exist_ok=True)
        if name == first:
            (folder / "1").mkdir(exist_ok=True)
            template = files("edge_export.servers").joinpath("templates", "triton_input.txt")
            write_text(folder / "1" / "model.py", template.read_text(encoding="utf-8"))
        else:
            for file, labels in label_files.items():
                write_text(folder / file, "".join(f"{_line(label)}\n" for label in labels))
        if name == pictures:
            # A folder of nothing does not reach a bucket.
            (folder / "1").mkdir(exist_ok=True)
            write_text(folder / "1" / "ensemble", "")
        write_text(folder / "config.pbtxt", configs[name]())
    if repository.kserve:
        write_text(repository.folder / _MANIFEST, _inference_service(repository.name, measured, model_bytes))


def _line(label: str) -> str:
    """The label on a line of its own, as the server's file has it."""
    return " ".join(label.splitlines())


def _inference_service(name: str, measured: Throughput, model_bytes: int) -> str:
    """KServe's InferenceService over `models/`, wherever that is copied to."""
    slug = re.sub(r"[^a-z0-9-]", "-", name.lower()).strip("-") or "model"
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
