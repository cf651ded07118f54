"""A worker's way to the supervisor, who keeps one record of drift for the answers of all workers."""

from __future__ import annotations

import threading
from itertools import groupby
from multiprocessing.connection import Connection

from edge_runtime import DriftRecord, ModelCard
from edge_serve.workers.messages import Answers, Given, Message, Opened

_EVERY_S = 0.5
# More answers than that in so long are not recorded: requests do not wait for a record of them.
_HELD = 10_000


class AnswersSender:
    """Sends on a thread of its own what the records of all models hear."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, Given | ModelCard]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send_on, name="edge-answers", daemon=True)

    def start(self) -> None:
        """Send what comes from now on."""
        self._thread.start()

    def now(self, message: Message) -> None:
        """Send one message at once; what is for a supervisor that has gone is lost."""
        try:
            with self._sending:
                self._connection.send(message)
        except OSError:
            return

    def soon(self, model: str, heard: Given | ModelCard) -> None:
        """Send an answer of a model, or the card of one that answers in its place."""
        with self._lock:
            if len(self._waiting) < _HELD or isinstance(heard, ModelCard):
                self._waiting.append((model, heard))

    def close(self) -> None:
        """Send what is left, for a second at most."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def _send_on(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(_EVERY_S)
            with self._lock:
                waiting, self._waiting = self._waiting, []
            for (model, is_card), items in groupby(waiting, lambda each: (each[0], isinstance(each[1], ModelCard))):
                heard = [each for _, each in items]
                if is_card:
                    self.now(Opened(model, heard[-1]))  # type: ignore[arg-type]
                else:
                    self.now(Answers(model, tuple(heard)))  # type: ignore[arg-type]


class SentAnswers:
    """The record of one model, as its engine sees it."""

    def __init__(self, sender: AnswersSender, model: str, card: ModelCard) -> None:
        self._sender, self._model, self._card = sender, model, card
        # Among several models one that gives several labels is served without a record.
        self._recorded = card.kind == "single-label"

    def add(self, card: ModelCard, label: str, probability: float, *, distance: float | None = None) -> None:
        """One more answer; one of a model that was replaced meanwhile is passed over."""
        if card is self._card:
            self._sender.soon(self._model, (label, probability, distance))

    def renew(self, card: ModelCard) -> None:
        """Answers come from another model from now on. Raises UsageError as the supervisor's record of it would."""
        if self._recorded:
            DriftRecord.require_card(card)
        self._card = card
        self._sender.soon(self._model, card)
