"""Model repositories: read by Triton's own schema, with the model file and the pictures' way into it unchanged."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from edge_export import ExportSettings, export
from edge_export.servers.repository import Repository, check_repository, require_same_answers, write_texts
from edge_export.servers.throughput import Throughput, Way
from edge_export.servers.triton_config import quoted
from edge_runtime import (
    Classifier,
    ImageError,
    OperatingPoint,
    OutputError,
    ParityError,
    Run,
    UsageError,
    find_images,
)
from edge_train import train
from own_nets import write_nets
from quick_training import quick_settings
from tiny_model import write_multi_label_model, write_multi_task_model, write_tiny_model

MEASURED = Throughput({Way(2, 1, 1): 100.0, Way(2, 1, 4): 150.0, Way(1, 2, 1): 90.0})


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run of a small network, which is exported in a second."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_CACHE", str(folder / "cache"))
        patch.setattr("edge_export.servers.throughput._TURN_S", 0.01)
        spec = f"{write_nets(folder)}:plain"
        yield train(quick_settings(shapes, folder / "runs", backbone=spec, epochs=1)).run


@pytest.fixture(scope="module")
def repository(run: Run) -> Path:
    (done,) = export(run, ("triton",), settings=ExportSettings(with_embedding=True))
    assert done.format == "triton" and done.parity.top1_agreement == 1
    return done.path


def config(folder: Path) -> Any:
    """The folder's configuration, as Triton's own schema reads it: an unknown field or type is an error."""
    model_config = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    from google.protobuf import text_format

    return text_format.Parse((folder / "config.pbtxt").read_text(), model_config.ModelConfig())


def pictures(run: Run) -> list[Path]:
    return find_images(Path(run.read_config()["data_root"]) / "test")


def test_triton_reads_the_network_and_it_is_the_file_that_was_proven(repository: Path) -> None:
    said, folder = config(repository / "model"), repository / "model"
    classifier = Classifier(folder / "1" / "model.onnx")
    assert (said.name, said.backend, said.default_model_filename) == ("model", "onnxruntime", "")
    (image,) = said.input
    contract = classifier.preprocessing
    assert (image.name, list(image.dims)) == ("image", [contract.height_px, contract.width_px, 3])
    assert image.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[image.data_type].name == "TYPE_UINT8"
    probabilities, embedding = said.output
    assert (probabilities.name, list(probabilities.dims)) == ("probabilities", [3])
    assert (embedding.name, list(embedding.dims), embedding.label_filename) == ("embedding", [12], "")
    labels = (folder / probabilities.label_filename).read_text().splitlines()
    assert tuple(labels) == classifier.labels
    (group,) = said.instance_group
    threads = int(said.parameters["intra_op_thread_count"].string_value)
    assert group.count * threads >= 1 and said.max_batch_size >= 8
    assert not said.HasField("dynamic_batching") or list(said.dynamic_batching.preferred_batch_size) <= [16]


def test_the_ensemble_leads_from_a_file_to_the_answer(repository: Path) -> None:
    said = config(repository / "model_pictures")
    first, second = said.ensemble_scheduling.step
    assert said.platform == "ensemble" and (repository / "model_pictures" / "1").is_dir()
    assert (first.model_name, second.model_name) == ("model_input", "model")
    assert first.input_map == {"file": "file"} and first.output_map == {"image": "image"} == second.input_map
    assert second.output_map == {"probabilities": "probabilities", "embedding": "embedding"}
    assert [(each.name, list(each.dims)) for each in said.input] == [("file", [1])]
    inner = config(repository / "model_input")
    assert inner.backend == "python" and list(inner.output[0].dims) == list(config(repository / "model").input[0].dims)
    assert inner.max_batch_size == said.max_batch_size == config(repository / "model").max_batch_size


class Tensor:
    """Triton's tensor, as its Python backend hands it over."""

    def __init__(self, name: str, array: Any) -> None:
        self.name, self._array = name, array

    def as_numpy(self) -> Any:
        return self._array


@pytest.fixture
def preprocess(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The repository's model.py in what it finds in Triton's Python backend."""
    backend = ModuleType("triton_python_backend_utils")
    backend.Tensor = Tensor  # type: ignore[attr-defined]
    backend.TritonError = lambda message: SimpleNamespace(message=message)  # type: ignore[attr-defined]
    backend.InferenceResponse = lambda output_tensors=(), error=None: SimpleNamespace(  # type: ignore[attr-defined]
        output_tensors=output_tensors, error=error
    )
    backend.get_input_tensor_by_name = lambda request, name: request[name]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)
    spec = importlib.util.spec_from_file_location("triton_model", repository / "model_input" / "1" / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.TritonPythonModel()
    parameters = {
        name: {"string_value": value.string_value}
        for name, value in config(repository / "model_input").parameters.items()
    }
    made.initialize({"model_config": json.dumps({"parameters": parameters})})
    yield made


def test_a_picture_file_becomes_the_pixels_that_predict_sees(preprocess: Any, repository: Path, run: Run) -> None:
    classifier = Classifier(repository / "model" / "1" / "model.onnx")
    named = pictures(run)[:5]
    files = np.array([[path.read_bytes()] for path in named], dtype=object)
    broken = np.array([[b"no picture"]], dtype=object)
    good, bad = preprocess.execute([{"file": Tensor("file", files)}, {"file": Tensor("file", broken)}])
    (tensor,) = good.output_tensors
    expected = np.stack([classifier.preprocessing(path) for path in named])
    assert tensor.name == "image" and np.array_equal(tensor.as_numpy(), expected)
    rows = classifier.probabilities(tensor.as_numpy())
    answers = list(classifier.predict_many(named))
    assert [classifier.labels[row.argmax()] for row in rows] == [
        answer.label for answer in answers if not isinstance(answer, ImageError)
    ]
    assert "is not an image" in bad.error.message and not bad.output_tensors


def test_a_second_export_is_a_new_version_and_another_model_is_refused(repository: Path, run: Run) -> None:
    before = (repository / "model" / "1" / "model.onnx").read_bytes()
    # Fitted to the server by hand.
    own = (repository / "model" / "config.pbtxt").read_text() + "# mine\n"
    (repository / "model" / "config.pbtxt").write_text(own)
    (repository / "model" / "labels.txt").unlink()
    export(run, ("triton",), settings=ExportSettings(with_embedding=True))
    assert sorted(path.name for path in (repository / "model").iterdir()) == ["1", "2", "config.pbtxt", "labels.txt"]
    assert (repository / "model" / "1" / "model.onnx").read_bytes() == before
    assert (repository / "model" / "config.pbtxt").read_text() == own
    with pytest.raises(OutputError, match="other labels, outputs or preprocessing"):
        export(run, ("triton",))
    assert sorted(path.name for path in (repository / "model").iterdir()) == ["1", "2", "config.pbtxt", "labels.txt"]
    export(run, ("triton",), settings=ExportSettings(name="plain"))
    assert {path.name for path in repository.iterdir()} == {
        each + end for each in ("model", "plain") for end in ("", "_input", "_pictures")
    }


def test_what_was_taken_away_is_written_anew(tmp_path: Path) -> None:
    model = Classifier(write_tiny_model(tmp_path / "tiny.onnx"))
    repository = Repository(tmp_path / "triton", "model")
    (repository.network / "1").mkdir(parents=True)
    shutil.copy(tmp_path / "tiny.onnx", repository.network / "1" / "model.onnx")
    write_texts(repository, model.card, MEASURED, 1)
    texts = {
        path: path.read_text() for path in repository.folder.rglob("*") if path.suffix in (".pbtxt", ".txt", ".py")
    }
    descriptions = [path for path in texts if path.name == "config.pbtxt"]
    assert len(descriptions) == 3
    for gone in (*([path] for path in texts), descriptions):
        for path in gone:
            path.unlink()
        check_repository(repository)
        write_texts(repository, model.card, MEASURED, 1)
        assert {path: path.read_text() for path in texts} == texts
    for path in descriptions:
        path.unlink()
    (repository.network / "1" / "model.onnx").write_text("another's")
    with pytest.raises(OutputError, match="edge export did not make it"):
        check_repository(repository)


def test_nothing_is_left_of_a_repository_whose_model_was_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_export import exporting

    def differs(*_: object) -> None:
        raise ParityError("it differs")

    monkeypatch.setattr(exporting, "prove", differs)
    with pytest.raises(ParityError):
        export(run, ("triton",), out=tmp_path / "repository")
    assert not list(tmp_path.iterdir())
    # An empty folder of the user's is still there.
    (tmp_path / "mine").mkdir()
    with pytest.raises(ParityError):
        export(run, ("triton",), out=tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"] and not list((tmp_path / "mine").iterdir())


def test_foreign_models_and_bad_names_are_refused_before_the_work(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "there" / "model").mkdir(parents=True)
    (tmp_path / "there" / "model" / "config.pbtxt").write_text('name: "model"\n')
    for out, name, error, message in (
        (tmp_path / "file", "model", UsageError, "is a file"),
        (tmp_path / "there", "model", OutputError, "edge export did not make it"),
        (tmp_path / "none" / "repository", "model", OutputError, "does not exist"),
        (tmp_path / "new", "a/b", UsageError, "no model's name"),
        (tmp_path / "new", "", UsageError, "no model's name"),
        (tmp_path / "new", "..", UsageError, "no model's name"),
    ):
        with pytest.raises(error, match=message):
            check_repository(Repository(out, name))
    with pytest.raises(UsageError, match="no server opens it"):
        export(run, ("triton",), settings=ExportSettings(for_this_machine=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there"]


def test_kserve_gets_the_network_alone_with_its_manifest(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    model = Classifier(write_tiny_model(tmp_path / "tiny.onnx"))
    repository = Repository(tmp_path / "kserve", "Bees_2", kserve=True)
    (repository.network / "1").mkdir(parents=True)
    write_texts(repository, model.card, MEASURED, 4_000_000)
    said = yaml.safe_load((tmp_path / "kserve" / "inference-service.yaml").read_text())
    assert (said["apiVersion"], said["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    predictor = said["spec"]["predictor"]["model"]
    assert said["metadata"]["name"] == "bees-2" and predictor["modelFormat"] == {"name": "triton"}
    assert (predictor["protocolVersion"], predictor["storageUri"]) == ("v2", "pvc://models")
    assert {path.name for path in repository.root.iterdir()} == {"Bees_2"}
    assert config(repository.network).name == "Bees_2"
    # Kubernetes takes no digit first.
    repository = Repository(tmp_path / "other", "2024-bees", kserve=True)
    (repository.network / "1").mkdir(parents=True)
    write_texts(repository, model.card, MEASURED, 4_000_000)
    said = yaml.safe_load((tmp_path / "other" / "inference-service.yaml").read_text())
    assert said["metadata"]["name"] == "m-2024-bees"


def test_what_decides_between_two_labels_is_told_to_clients(tmp_path: Path) -> None:
    model = Classifier(write_tiny_model(tmp_path / "tiny.onnx", labels=("well", "ill")))
    card = replace(model.card, operating_point=OperatingPoint("ill", 0.08, 0.95, 20, 19))
    repository = Repository(tmp_path / "triton", "model")
    (repository.network / "1").mkdir(parents=True)
    write_texts(repository, card, MEASURED, 4_000_000)
    for name in ("model", "model_pictures"):
        found = config(repository.folder / name).parameters
        assert (found["edge_positive"].string_value, found["edge_threshold"].string_value) == ("ill", "0.08")
    labels = Classifier(write_multi_label_model(tmp_path / "labels.onnx"))
    several = Repository(tmp_path / "labels", "model")
    (several.network / "1").mkdir(parents=True)
    write_texts(several, labels.card, MEASURED, 1)
    for name in ("model", "model_pictures"):
        assert config(several.folder / name).parameters["edge_thresholds"].string_value == "[0.5, 0.25, 0.9]"


@pytest.mark.parametrize("formats", [("onnx",), ("onnx", "torchscript")])
def test_a_name_for_a_server_is_refused_where_there_is_none(formats: Any) -> None:
    with pytest.raises(UsageError, match="`name` bees is for a server's repository"):
        ExportSettings(name="bees").require_possible(formats, members=1)
    ExportSettings(name="bees").require_possible((*formats, "triton"), members=1)


def test_a_batch_that_pays_is_asked_for_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    model = Classifier(write_tiny_model(tmp_path / "tiny.onnx", labels=('say "a"', "b\\c", "größer")))
    repository = Repository(tmp_path / "triton", "model")
    for slower, batches in ((1.0, [4]), (1.45, [])):
        (repository.network / "1").mkdir(parents=True, exist_ok=True)
        for path in repository.root.glob("*/config.pbtxt"):
            path.unlink()
        rates = {way: rate * (slower if way.batch == 1 else 1) for way, rate in MEASURED.rates.items()}
        write_texts(repository, model.card, Throughput(rates), 1)
        said = config(repository.network)
        assert list(said.dynamic_batching.preferred_batch_size) == batches
        assert (said.instance_group[0].count, said.max_batch_size) == (2, 8)
    assert (repository.network / "labels.txt").read_text().splitlines() == ['say "a"', "b\\c", "größer"]


def test_each_task_has_its_output_and_its_labels(tmp_path: Path) -> None:
    model = Classifier(write_multi_task_model(tmp_path / "tasks.onnx"))
    repository = Repository(tmp_path / "triton", "model")
    (repository.network / "1").mkdir(parents=True)
    write_texts(repository, model.card, MEASURED, 1)
    said = config(repository.network)
    assert [(each.name, list(each.dims), each.label_filename) for each in said.output] == [
        ("probabilities_colour", [3], "labels_colour.txt"),
        ("probabilities_light", [2], "labels_light.txt"),
    ]
    assert (repository.network / "labels_light.txt").read_text() == "dark\nbright\n"
    shutil.copy(tmp_path / "tasks.onnx", repository.network / "1" / "model.onnx")
    require_same_answers(repository, model.card)
    with pytest.raises(OutputError, match="other labels"):
        require_same_answers(repository, replace(model.card, preprocessing=replace(model.preprocessing, resize_px=99)))


def test_one_label_of_several_is_not_any_number_of_them(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "triton", "model")
    (repository.network / "1").mkdir(parents=True)
    card = Classifier(write_tiny_model(repository.network / "1" / "model.onnx")).card
    require_same_answers(repository, card)
    with pytest.raises(OutputError, match="of another kind"):
        require_same_answers(repository, replace(card, thresholds=(0.5, 0.5, 0.5)))


def test_strings_are_read_back_as_they_were() -> None:
    model_config = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    from google.protobuf import text_format

    for text in ("", "a", 'a"b', "a\\n", "a\nb\t\0", "größe 雪 🐝", "{'a': \"b\"}"):
        assert text_format.Parse(f"name: {quoted(text)}", model_config.ModelConfig()).name == text
