"""The model card: the JSON that travels inside the model file and says all a user must know of it.

docs/model-format.md specifies it on one page.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import ModelError
from edge_runtime.images.preprocessing import Preprocessing

if TYPE_CHECKING:
    from edge_runtime.model.card_kind import Kind
    from edge_runtime.model.task import Task
    from edge_runtime.model.unlike_scale import UnlikeScale

FORMAT_VERSION = 2
# Files of several labels, or several tasks: a reader that knows one answer per picture alone must refuse them.
SEVERAL_VERSION = 3
# Before the second a contract said nothing of colour profiles, and none was looked at.
_WITHOUT_PROFILES = 1
METADATA_KEY = "edge"
INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"
EMBEDDING_NAME = "embedding"
DISTANCE_NAME = "distance"
# The key in `metrics` of figures that no split gave: each image answered once, by a network that never saw it.
CROSS_VALIDATED = "cross-validated"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """How a model of two classes decides: `positive` where its probability is at least `threshold`, else the other.

    Chosen on `n` validation images, `positives` of them of that class, so that at least `min_sensitivity` are found.
    """

    positive: str
    threshold: float
    min_sensitivity: float
    n: int
    positives: int

    def to_json(self) -> dict[str, Any]:
        """As a card carries it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], labels: Sequence[str], *, where: str) -> OperatingPoint:
        """The one in a card with those labels. Raises ModelError where it is malformed."""
        positive = _take(value, "positive", str, where)
        threshold = _take(value, "threshold", (int, float), where)
        if len(labels) != 2 or positive not in labels or not 0 <= threshold <= 1:
            raise _malformed("operating_point", where)
        sensitivity = _take(value, "min_sensitivity", (int, float), where, 0.0)
        n, positives = (_take(value, key, int, where, 0) for key in ("n", "positives"))
        return cls(positive, float(threshold), float(sensitivity), n, positives)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model file says of itself.

    `metrics` maps a split to its figures with their n, for example
    `{"val": {"accuracy": 0.95, "n": 153}}`, and `CROSS_VALIDATED` to those of a model that learned from all images;
    `data` names the data and its fingerprint; `normalization` repeats, for readers, the mean and standard deviation
    that are nodes of the graph; `architecture` says what differs from the backbone's own layers.

    A file may further have: `embedding_size`, the length of its `embedding` output; `members`, a card-like object
    for each network whose probabilities it averages; `quantization`, how its precision was reached;
    `graph_sha256`, the hash of everything in the file but its metadata; `operating_point`, the threshold that decides
    between two classes; `unlike`, how far from training known pictures lie by its `distance` output; `tta`, which views
    of a picture it averages, how many, and how many times as long that takes as one.

    Where a picture has any number of labels, `thresholds` says from which probability on each is given, in the order of
    `labels`. Where a picture has an answer for each of several tasks, `tasks` are those, in order, and `labels` are all
    of theirs, one task after another, each as `NAME: LABEL`.
    """

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    backbone: str
    strategy: str
    precision: str = "fp32"
    temperature: float = 1.0
    normalization: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    embedding_size: int = 0
    members: tuple[Mapping[str, Any], ...] = ()
    quantization: Mapping[str, Any] = field(default_factory=dict)
    graph_sha256: str = ""
    architecture: Mapping[str, Any] = field(default_factory=dict)
    operating_point: OperatingPoint | None = None
    unlike: UnlikeScale | None = None
    thresholds: tuple[float, ...] = ()
    tasks: tuple[Task, ...] = ()
    tta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ModelError where a label stands twice: of its two answers nobody could tell which is meant.

        And where thresholds or tasks do not go with the labels, or with an operating point or `unlike`.
        """
        _check_once(self.labels, "the model card")
        if self.thresholds or self.tasks:
            from edge_runtime.model.card_kind import check_several

            decides = self.operating_point is not None or self.unlike is not None
            check_several(self.labels, self.thresholds, self.tasks, "the model card", decides=decides)

    @property
    def kind(self) -> Kind:
        """What a picture has: one label, any number of labels, or one for each task."""
        return "multi-label" if self.thresholds else "multi-task" if self.tasks else "single-label"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The graph's outputs whose columns, one after another, are the probabilities of `labels`."""
        return tuple(task.output for task in self.tasks) or (OUTPUT_NAME,)

    def to_json(self) -> dict[str, Any]:
        """The card as a JSON object, `format_version` first; what a file does not have is left out."""
        some = {
            "embedding_size": self.embedding_size,
            "members": [dict(member) for member in self.members],
            "quantization": dict(self.quantization),
            "graph_sha256": self.graph_sha256,
            "architecture": dict(self.architecture),
            "operating_point": None if self.operating_point is None else self.operating_point.to_json(),
            "unlike": None if self.unlike is None else self.unlike.to_json(),
            "thresholds": list(self.thresholds),
            "tasks": [task.to_json() for task in self.tasks],
            "tta": dict(self.tta),
        }
        several = self.kind != "single-label"
        return {
            "format_version": SEVERAL_VERSION if several else FORMAT_VERSION,
            **({"kind": self.kind} if several else {}),
            "labels": list(self.labels),
            "preprocessing": self.preprocessing.to_json(),
            "backbone": self.backbone,
            "strategy": self.strategy,
            "precision": self.precision,
            "temperature": self.temperature,
            "normalization": dict(self.normalization),
            "metrics": {split: dict(figures) for split, figures in self.metrics.items()},
            "parity": dict(self.parity),
            "data": dict(self.data),
            "versions": dict(self.versions),
            "created": self.created,
            **{key: value for key, value in some.items() if value},
        }

    def dumps(self) -> str:
        """The card as one line of JSON; NaN is refused, as JSON has none."""
        text = json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False)
        # A folder's name need not be UTF-8; what is not stands as its JSON escape, which reads back as it was.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    @classmethod
    def loads(cls, text: str, *, where: str) -> ModelCard:
        """The card in `text`; `where` names the file in errors. Unknown keys are ignored.

        Raises:
            ModelError: not JSON, of a newer format, a field is missing or of the wrong kind, or a label stands twice.
        """
        try:
            value = json.loads(text, parse_float=_finite, parse_int=_whole, parse_constant=_finite)
        # RecursionError: brackets nested a thousand deep.
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{where}: its 'edge' metadata is not JSON ({error})", AGAIN) from error
        if not isinstance(value, dict):
            raise ModelError(f"{where}: its 'edge' metadata is not a JSON object", AGAIN)
        return cls.from_json(value, where=where)

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, where: str) -> ModelCard:
        """The card in a JSON object. Raises ModelError as `loads` does."""
        version = _take(value, "format_version", int, where)
        if version < 1:
            raise _malformed("format_version", where)
        if version > SEVERAL_VERSION:
            raise ModelError(
                f"{where} has model format {version}; this edge reads up to {SEVERAL_VERSION}",
                "pip install --upgrade edge-vision",
            )
        labels = _take(value, "labels", list, where)
        if not labels or not all(isinstance(label, str) for label in labels):
            raise ModelError(f"{where}: 'labels' must be a list of one or more strings", AGAIN)
        _check_once(labels, where)
        try:
            preprocessing = Preprocessing.from_json(_contract(value, version, where))
        except ModelError as error:
            raise ModelError(f"{where}: {error.message}", error.hint) from error
        temperature = _take(value, "temperature", (int, float), where)
        if not 0 < temperature <= sys.float_info.max:
            raise _malformed("temperature", where)
        metrics = _take(value, "metrics", dict, where, {})
        if not all(isinstance(figures, dict) for figures in metrics.values()):
            raise _malformed("metrics", where)
        members = _take(value, "members", list, where, [])
        if not all(isinstance(member, dict) for member in members):
            raise _malformed("members", where)
        point = _take(value, "operating_point", dict, where, {})
        thresholds, tasks = _several(value, version, labels, where)
        return cls(
            labels=tuple(labels),
            preprocessing=preprocessing,
            backbone=_take(value, "backbone", str, where),
            strategy=_take(value, "strategy", str, where),
            precision=_take(value, "precision", str, where),
            temperature=float(temperature),
            normalization=_take(value, "normalization", dict, where, {}),
            metrics=metrics,
            parity=_take(value, "parity", dict, where, {}),
            data=_take(value, "data", dict, where, {}),
            versions=_take(value, "versions", dict, where, {}),
            created=_take(value, "created", str, where, ""),
            architecture=_take(value, "architecture", dict, where, {}),
            embedding_size=_take(value, "embedding_size", int, where, 0),
            members=tuple(members),
            quantization=_take(value, "quantization", dict, where, {}),
            graph_sha256=_take(value, "graph_sha256", str, where, ""),
            operating_point=OperatingPoint.from_json(point, labels, where=where) if point else None,
            unlike=_unlike(value, where),
            thresholds=thresholds,
            tasks=tasks,
            tta=_take(value, "tta", dict, where, {}),
        )


def headline(metrics: Mapping[str, Any]) -> str:
    """The split of `metrics` whose figures are a model's own: test where there is one, since nothing was chosen on it.

    Else val, or whatever there is; "" where nothing was measured.
    """
    return next((split for split in ("test", "val", *metrics) if split in metrics), "")


AGAIN = "export it again with edge export"


def _several(
    value: Mapping[str, Any], version: int, labels: Sequence[str], where: str
) -> tuple[tuple[float, ...], tuple[Task, ...]]:
    """Thresholds and tasks of a card, whose kind says which of the two it has."""
    if version < SEVERAL_VERSION and "kind" not in value:
        return (), ()
    # Most files have one label a picture, and opening one is not to cost more for others.
    from edge_runtime.model.card_kind import read_several

    return read_several(value, labels, several=version >= SEVERAL_VERSION, where=where)


def _unlike(value: Mapping[str, Any], where: str) -> UnlikeScale | None:
    scale = _take(value, "unlike", dict, where, {})
    if not scale:
        return None
    # Most files have none, and opening one is not to cost more for it.
    from edge_runtime.model.unlike_scale import UnlikeScale

    return UnlikeScale.from_json(scale, where=where)


def _contract(value: Mapping[str, Any], version: int, where: str) -> Mapping[str, Any]:
    contract: dict[str, Any] = _take(value, "preprocessing", dict, where)
    if version > _WITHOUT_PROFILES:
        if "to_srgb" not in contract:
            raise ModelError("the model's preprocessing lacks to_srgb", AGAIN)
        return contract
    return {key: setting for key, setting in contract.items() if key != "to_srgb"}


def _check_once(labels: Sequence[str], where: str) -> None:
    if len(set(labels)) < len(labels):
        twice = Counter(labels).most_common(1)[0][0]
        raise ModelError(f"{where} has the label {twice!r} twice", "give each class a name of its own")


def _take(value: Mapping[str, Any], key: str, kind: Any, where: str, default: Any = None) -> Any:
    if key not in value:
        if default is not None:
            return default
        raise ModelError(f"{where}: its 'edge' metadata lacks {key!r}", AGAIN)
    if not isinstance(value[key], kind) or isinstance(value[key], bool):
        raise _malformed(key, where)
    return value[key]


def _malformed(key: str, where: str) -> ModelError:
    return ModelError(f"{where}: {key!r} in its 'edge' metadata is malformed", AGAIN)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text if len(text) < 20 else f'{text[:10]}…'} is not a JSON number")
    return number


def _whole(text: str) -> int:
    # One that no float can be is nobody's figure, and ends every computation with one.
    _finite(text)
    return int(text)
