"""The records of drift of all workers' answers, and their figures where each worker's scrape finds them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_runtime import DriftRecord, ModelCard
from edge_serve.observability.drift_file import open_record
from edge_serve.settings import ServeSettings
from edge_serve.workers.messages import Answers, Opened

_FILE = "drift.json"


class FleetDrift:
    """A record for each model, of the answers that workers send; `shared` is the folder of their metrics.

    Raises as `open_record` does, once the first worker says which models there are.
    """

    def __init__(self, settings: ServeSettings, shared: Path, say: Callable[[str], None]) -> None:
        self._settings, self._shared, self._say = settings, shared, say
        self._records: dict[str, DriftRecord | None] = {}
        self._newest: dict[str, ModelCard] = {}
        self._cards: dict[tuple[int, str], ModelCard] = {}
        self._changed = True

    def opened(self, worker: int, opened: Opened) -> None:
        """A worker answers with another model: the window begins anew, unless others have it already."""
        if self._settings.drift is None:
            return
        name, card = opened.model, opened.card
        # Where the record takes no such model, its answers must not count for the one before.
        self._cards.pop((worker, name), None)
        if name not in self._records:
            self._records[name] = open_record(self._settings, name, card, self._say)
            self._newest[name] = card
        elif card != self._newest[name]:
            if (record := self._records[name]) is not None:
                record.renew(card)
            self._newest[name] = card
        # Equal cards come as objects of their own from each worker, and the record tells them by identity.
        self._cards[worker, name] = self._newest[name]
        self._changed = True

    def answered(self, worker: int, answers: Answers) -> None:
        """Record what a worker has answered."""
        record, card = self._records.get(answers.model), self._cards.get((worker, answers.model))
        if record is None or card is None:
            return
        for label, probability, distance in answers.given:
            record.add(card, label, probability, distance=distance)
        self._changed = True

    def publish(self) -> None:
        """Have the figures where the workers find them."""
        if not self._changed:
            return
        self._changed = False
        found = {name: record.figures() for name, record in self._records.items() if record is not None}
        new = self._shared / f"{_FILE}.new"
        # On a full disk the figures stand still; the answers go on.
        with suppress(OSError):
            new.write_text(json.dumps(found), encoding="utf-8")
            new.replace(self._shared / _FILE)

    def close(self) -> None:
        """Write what has come since the last line."""
        for record in self._records.values():
            if record is not None:
                record.close()


def drift_figures(shared: Path, name: str) -> Callable[[], Mapping[str, Any]]:
    """What gives the figures of a model's record that were published last, as a worker looks them up."""

    def figures() -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = json.loads((shared / _FILE).read_text(encoding="utf-8")).get(name, {})
        except (OSError, ValueError):
            return {}
        return found

    return figures
