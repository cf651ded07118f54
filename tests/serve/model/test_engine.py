"""The queue, the threads and the batches behind the server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from edge_runtime import Classifier, ImageError
from edge_serve.http.limits import ServeLimits
from edge_serve.http.refusal import Refusal
from edge_serve.model.batching import BatchChoice, Batcher, choose_batching
from edge_serve.model.engine import Engine
from edge_serve.model.loaded_model import load_model
from edge_serve.model.worker_pool import WorkerPool
from edge_serve.observability.prometheus import Metrics
from edge_serve.settings import ServeSettings
from serving import picture

Make = Callable[..., Engine]
registries: WeakKeyDictionary[Engine, CollectorRegistry] = WeakKeyDictionary()


@pytest.fixture
def make(rgb_model: Path) -> Iterator[Make]:
    engines: list[Engine] = []

    def make_engine(*, batching: str = "off", queue: int = 4, threads: int = 2, **settings: object) -> Engine:
        asked = ServeSettings(
            rgb_model,
            batching=batching,
            threads=threads,
            limits=ServeLimits(queue=queue, files=4),
            **settings,  # type: ignore[arg-type]
        )
        model, metrics = load_model(asked), Metrics()
        pool = WorkerPool(asked, model.threads, batching=asked.batching == "on")
        engines.append(Engine(asked, model, metrics.of(asked.model_name), pool))
        registries[engines[-1]] = metrics.registry
        return engines[-1]

    yield make_engine
    for engine in engines:
        engine.close()


@pytest.mark.parametrize("batching", ["off", "on"])
def test_answers_are_those_of_predict_in_order(make: Make, rgb_model: Path, batching: str) -> None:
    colours = ("red", "lime", "blue", "grey")
    images = [(name, picture(name)) for name in colours]
    answers = asyncio.run(make(batching=batching).classify(images))
    classifier = Classifier(rgb_model)
    for answer, (name, data) in zip(answers, images, strict=True):
        assert not isinstance(answer, ImageError)
        assert answer.prediction.image == name
        assert np.allclose(answer.prediction.probabilities, classifier.predict(data).probabilities, atol=1e-6)
        assert min(answer.queue_s, answer.decode_s, answer.inference_s) >= 0


@pytest.mark.parametrize("batching", ["off", "on"])
def test_pictures_are_counted_however_they_come(make: Make, batching: str) -> None:
    engine = make(batching=batching)
    registry = registries[engine]
    asyncio.run(engine.classify([("x", picture())]))
    asyncio.run(engine.probabilities(engine.model, np.zeros((3, 32, 32, 3), np.uint8)))
    counts = {name: registry.get_sample_value(f"edge_{name}") for name in ("images_total", "queue_seconds_count")}
    assert counts == {"images_total": 4, "queue_seconds_count": 4}
    assert registry.get_sample_value("edge_decode_seconds_count") == 1


def test_above_the_queue_nothing_more_is_taken(make: Make) -> None:
    """Two are in work and four wait; the next is told when to come again, and what waits is answered."""
    engine = make(queue=4, threads=2)
    go = threading.Event()

    async def crowd() -> list[object]:
        held = [asyncio.create_task(engine.apart(go.wait)) for _ in range(6)]
        await asyncio.sleep(0.05)
        try:
            with pytest.raises(Refusal) as caught:
                await engine.classify([("x", picture())])
            assert caught.value.status == 429 and int(caught.value.headers["retry-after"]) >= 1
            with pytest.raises(Refusal):
                engine.check_room()
        finally:
            go.set()
        done = await asyncio.gather(*held)
        (answer,) = await engine.classify([("x", picture())])
        assert not isinstance(answer, ImageError)
        return list(done)

    assert asyncio.run(crowd()) == [True] * 6


def test_a_request_of_many_finds_room_for_all_or_for_none(make: Make) -> None:
    engine = make(queue=4, threads=2)

    async def crowd() -> None:
        with pytest.raises(Refusal):
            await engine.classify([("x", picture())] * 7)
        assert len(await engine.classify([("x", picture())] * 6)) == 6

    asyncio.run(crowd())


def test_a_picture_alone_gets_all_threads_and_several_get_one_each(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make(threads=2)
    used: list[str] = []
    for name in ("wide", "narrow"):
        classifier = getattr(engine.model, name)
        monkeypatch.setattr(classifier, "probabilities", _noting(classifier, name, used))
    asyncio.run(engine.classify([("x", picture())]))
    assert used == ["wide"]
    asyncio.run(engine.classify([("x", picture())] * 6))
    assert used.count("narrow") >= 4


def _noting(classifier: Classifier, name: str, used: list[str]) -> Callable[[np.ndarray], np.ndarray]:
    run = classifier.probabilities

    def noted(pixels: np.ndarray) -> np.ndarray:
        used.append(name)
        time.sleep(0.01)
        return run(pixels)

    return noted


def test_batches_are_formed_of_what_waits_and_each_run_is_counted_once(make: Make) -> None:
    engine = make(batching="on", queue=64, batch_size=4)
    asyncio.run(_many(engine, 48))
    value = registries[engine].get_sample_value
    runs = value("edge_batch_images_count") or 0
    assert value("edge_batch_images_sum") == value("edge_images_total") == 48
    assert 48 / 4 <= runs < 48 and runs == value("edge_inference_seconds_count")
    assert value("edge_batch_images_bucket", {"le": "4.0"}) == runs


async def _many(engine: Engine, count: int) -> None:
    await asyncio.gather(*(engine.classify([("x", picture())]) for _ in range(count)))


def ignore(seconds: float, count: int) -> None:
    """Nobody counts these runs."""


class _Slow:
    """Stands for a classifier that takes its time, and notes what it was given."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[int] = []
        self._seconds = seconds

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        self.batches.append(len(pixels))
        time.sleep(self._seconds)
        return pixels.reshape(len(pixels), -1)[:, :1].astype(np.float32)


def run_all(batcher: Batcher, classifiers: list[_Slow]) -> list[float]:
    """Each of as many threads runs a picture that is its own number; what each got."""
    got = [0.0] * len(classifiers)

    def run(index: int) -> None:
        pixels = np.full((2, 2, 3), index, np.uint8)
        got[index] = float(batcher.run(classifiers[index], pixels)[0][0])  # type: ignore[arg-type]

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(classifiers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def test_everyone_gets_his_own_row_of_a_batch() -> None:
    batcher, slow = Batcher(8, 0.0, lambda: False, ignore), _Slow(0.05)
    assert run_all(batcher, [slow] * 20) == list(range(20))
    # The first went alone, and while it ran the others gathered; the bound holds.
    assert 1 < max(slow.batches) <= 8 and sum(slow.batches) == 20
    batcher.close()


@pytest.mark.timeout(300)
def test_it_waits_for_what_is_being_decoded_but_not_for_ever() -> None:
    slow = _Slow()
    batcher = Batcher(8, 0.2, lambda: True, ignore)
    begun = time.monotonic()
    run_all(batcher, [slow])
    assert time.monotonic() - begun > 0.15
    batcher.close()
    # Nothing is being decoded: it does not wait its ten minutes, or the test would end before.
    batcher = Batcher(8, 600.0, lambda: False, ignore)
    run_all(batcher, [slow])
    batcher.close()


def test_pictures_for_two_models_are_never_in_one_batch() -> None:
    one, two = _Slow(0.02), _Slow(0.02)
    batcher = Batcher(8, 0.05, lambda: True, ignore)
    assert run_all(batcher, [one, two] * 6) == list(range(12))
    assert sum(one.batches) == sum(two.batches) == 6
    batcher.close()


def test_what_fails_fails_for_those_in_the_batch_alone() -> None:
    class Broken(_Slow):
        def probabilities(self, pixels: np.ndarray) -> np.ndarray:
            raise ValueError(f"broken by {len(pixels)}")

    batcher = Batcher(8, 0.0, lambda: False, ignore)
    with pytest.raises(ValueError, match="broken"):
        batcher.run(Broken(), np.zeros((2, 2, 3), np.uint8))  # type: ignore[arg-type]
    assert run_all(batcher, [_Slow()]) == [0]
    batcher.close()


def test_whether_it_pays_is_measured(rgb_model: Path) -> None:
    settings = ServeSettings(rgb_model, batch_size=4)
    wide, narrow = Classifier(rgb_model, threads=2), Classifier(rgb_model, threads=1)

    class Steady:
        """A run takes as long for four pictures as for one."""

        preprocessing = wide.preprocessing

        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def probabilities(self, pixels: np.ndarray) -> np.ndarray:
            time.sleep(self.seconds)
            return pixels

    pays = choose_batching(settings, Steady(0.01), Steady(0.01), 1)  # type: ignore[arg-type]
    assert pays.on and "in batches of 4" in pays.reason
    loses = choose_batching(settings, Steady(0.05), Steady(0.01), 2)  # type: ignore[arg-type]
    assert not loses.on
    assert choose_batching(replace(settings, batching="on"), wide, narrow, 2) == BatchChoice(True, "as asked")
    assert "images/s" in choose_batching(settings, wide, narrow, 2).reason
