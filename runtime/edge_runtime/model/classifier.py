"""The classifier: a model file that `edge export` made, ready to answer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge_runtime.errors import ModelError, OutputError, UsageError
from edge_runtime.files.cache import cache_folder
from edge_runtime.model.card import (
    AGAIN,
    DISTANCE_NAME,
    EMBEDDING_NAME,
    INPUT_NAME,
    METADATA_KEY,
    ModelCard,
)
from edge_runtime.model.engine_names import CHOICES_FOLDER, RuntimeEngine
from edge_runtime.model.open_graph import Graph, open_by
from edge_runtime.model.predictor import Predictor, identify_file
from edge_runtime.setting_kinds import as_kind

if TYPE_CHECKING:
    from edge_runtime.model.engine_choice import EngineChoice
    from edge_runtime.model.signature import PublicKey


class Classifier(Predictor):
    """An exported model, ready to classify.

        classifier = Classifier("model.onnx")

        # One image: a path, an encoded file's bytes, a PIL image or an array.
        print(classifier.predict("x.jpg").label)

        # Many: answered in order while the next are worked on, in constant memory.
        for answer in classifier.predict_many(Path("photos").glob("*.jpg"), on_error="return"):
            print(answer if isinstance(answer, ImageError) else f"{answer.image}: {answer.label}")

        # A camera: the newest frame, answered before the next is taken.
        while True:
            print(classifier.predict(camera.capture_array(), colour="bgr").top(1))

        # A thread pool, of a web server say: all threads share one classifier.
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(classifier.predict, uploads))

        # Processes: it pickles by path and is opened anew in each, with the threads it was given.
        with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
            answers = list(pool.map(Classifier("model.onnx", threads=1).predict, paths, chunksize=100))

    Args:
        model: path of an `.onnx` file made by `edge export`.
        threads: threads one inference may use, and images worked on at once; by default the cores this
            process may use.
        exact: compute int8 layers in floats, node by node, instead of by int8 kernels: several times slower, and
            what `edge evaluate --exact` holds the kernels against.
        reject_unlike: answer `unknown` to pictures unlike all training, so many that of known pictures at most this
            share, in 0..1, is refused, too; None, the default, rejects nothing and costs nothing.
        with_distance: say in each answer how far its picture lies from training's, where the file tells it
            (`edge export --with-unlike`); costs nothing measurable.
        require_signature: files of public keys; the model must be signed by one of them (`edge sign`).
        engine: what runs the file. "openvino" (the extra `fast`) and "xnnpack" (where onnxruntime has it) give the same
            answers but for rounding (int8 layers are rounded otherwise); "openvino-bf16" others, which nobody has held
            against these. "auto" is what `edge bench --engines --choose` found fastest for this file on this machine
            and so many threads, and found to answer alike; "onnxruntime" where nothing was measured, and with `exact`.

    `signed_by` is the fingerprint of the key that signed it, "" where no signature was required. `engine` is what runs
    it, and `engine_choice` what "auto" rests on, None where that is nothing.

    Raises:
        UsageError: no such file, `threads` below 1, an argument of another kind, `reject_unlike` of a file that cannot
            tell such a share, no public key in a file of `require_signature`, or an `engine` that is unknown or not
            here.
        ModelError: the file is damaged, not made by `edge export`, of a newer format, or not signed by any of
            `require_signature`; also later, when the graph fails on its input or gives what is no number.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        threads: int | None = None,
        exact: bool = False,
        reject_unlike: float | None = None,
        with_distance: bool = False,
        require_signature: Sequence[str | os.PathLike[str]] = (),
        engine: RuntimeEngine | Literal["auto"] = "onnxruntime",
    ) -> None:
        path = Path(as_kind(model, Path, "`model`"))
        threads, exact = as_kind(threads, int | None, "`threads`"), as_kind(exact, bool, "`exact`")
        reject_unlike = as_kind(reject_unlike, float | None, "`reject_unlike`")
        with_distance = as_kind(with_distance, bool, "`with_distance`")
        file = identify_file(path)
        keys, verified, self.signed_by = _verified(path, require_signature) if require_signature else ((), None, "")
        # Exact arithmetic is onnxruntime's alone.
        self.engine_choice = _chosen(path, threads) if engine == "auto" and not exact else None
        if engine == "auto":
            engine = "onnxruntime" if self.engine_choice is None else self.engine_choice.engine
        self.engine: RuntimeEngine = engine
        session = open_by(engine, path, threads=threads, exact=exact, verified=verified)
        card, embedding_size = _read_card(session, path), _embedding_size(session)
        graph = Graph(path, session, card, embedding_size, 0, exact, keys=keys, engine=engine)
        super().__init__(graph, threads, file, reject_unlike, with_distance=with_distance)
        self._given_threads, self._exact, self._reject_unlike = threads, exact, reject_unlike
        self._asked_distance = with_distance
        self._keys = tuple(str(key.path.absolute()) for key in keys)

    def __reduce__(self) -> tuple[Any, ...]:
        # The worker that opens it may stand in another folder.
        opened = partial(
            Classifier,
            threads=self._given_threads,
            exact=self._exact,
            reject_unlike=self._reject_unlike,
            with_distance=self._asked_distance,
            require_signature=self._keys,
            engine=self.engine,
        )
        return opened, (str(self.path.absolute()),)


def _chosen(path: Path, threads: int | None) -> EngineChoice | None:
    with suppress(OutputError):
        # Most machines have none, and their predictions are not to wait for what reads one.
        if not (cache_folder() / CHOICES_FOLDER).is_dir():
            return None
    from edge_runtime.model.engine_choice import find_engine_choice

    return find_engine_choice(path, threads)


def _verified(
    path: Path, required: Sequence[str | os.PathLike[str]]
) -> tuple[tuple[PublicKey, ...], bytes | None, str]:
    """The public keys in the files `required`, the model file that one of them signed, and the `id` of that one."""
    from edge_runtime.model.signature import read_public_key, read_signed

    if isinstance(required, (str, bytes, os.PathLike)):
        raise UsageError(f"`require_signature` {os.fspath(required)!r} is not a list", "put the file's name into one")
    keys = tuple(read_public_key(key) for key in required)
    data, signer = read_signed(path, keys)
    return keys, data, signer.id


def _embedding_size(session: Any) -> int:
    """The length of the `embedding` output, float32 `[batch, size]`; 0 where the graph has none like it."""
    for node in session.get_outputs():
        if node.name == EMBEDDING_NAME and node.type == "tensor(float)" and len(node.shape) == 2:
            return node.shape[1] if isinstance(node.shape[1], int) else 0
    return 0


def _read_card(session: Any, path: Path) -> ModelCard:
    """The model card of an open session, checked against the graph it describes."""
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise ModelError(
            f"{path} is an ONNX file, but edge export did not make it (no {METADATA_KEY!r} metadata)",
            "a classifier from elsewhere runs with `labels` FILE `preprocess` imagenet; edge info shows what it is",
        )
    card = ModelCard.loads(metadata[METADATA_KEY], where=str(path))
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    if set(inputs) != {INPUT_NAME} or not outputs.keys() >= set(card.outputs):
        named = " and ".join(map(repr, (INPUT_NAME, *card.outputs)))
        raise ModelError(
            f"{path} has inputs {sorted(inputs)} and outputs {sorted(outputs)}, not {named}",
            AGAIN,
        )
    image = inputs[INPUT_NAME]
    expected = [card.preprocessing.height_px, card.preprocessing.width_px, 3]
    batch = image.shape[0] if image.shape else None
    if image.type != "tensor(uint8)" or image.shape[1:] != expected or isinstance(batch, int):
        raise ModelError(
            f"{path} takes {image.type} {image.shape}, not uint8 with a dynamic batch of {expected}", AGAIN
        )
    for probabilities in (outputs[name] for name in card.outputs):
        if probabilities.type != "tensor(float)" or len(probabilities.shape) != 2:
            raise ModelError(
                f"{path} gives {probabilities.type} {probabilities.shape}, not float32 [batch, classes]", AGAIN
            )
    if card.unlike is not None and DISTANCE_NAME not in outputs:
        raise ModelError(
            f"{path} says how unlike training a picture may be, but has no output {DISTANCE_NAME!r}", AGAIN
        )
    if card.unlike is not None and ((told := outputs[DISTANCE_NAME]).type != "tensor(float)" or len(told.shape) != 1):
        raise ModelError(f"{path} gives distances as {told.type} {told.shape}, not float32 [batch]", AGAIN)
    for name, labels in zip(card.outputs, [task.labels for task in card.tasks] or [card.labels], strict=True):
        classes = outputs[name].shape[1]
        if classes != len(labels):
            of = f" of {name}" if card.tasks else ""
            raise ModelError(f"{path} has {classes} outputs{of} but {len(labels)} labels", AGAIN)
    return card
