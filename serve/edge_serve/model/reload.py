"""A model file that is replaced while it is served: picked up without a request noticing, or refused and left alone."""

from __future__ import annotations

import asyncio

from edge_runtime import DriftRecord, EdgeError, identify_file
from edge_serve.model.engine import Engine
from edge_serve.model.loaded_model import load_model
from edge_serve.observability.prometheus import Metrics
from edge_serve.observability.request_log import RequestLog
from edge_serve.settings import ServeSettings

_LOOK_EVERY_S = 1.0


class Reloader:
    """Loads the file anew on a thread, tries it, and exchanges the engine's model; requests in work keep theirs."""

    def __init__(
        self,
        settings: ServeSettings,
        engine: Engine,
        metrics: Metrics,
        log: RequestLog,
        drift: DriftRecord | None = None,
    ) -> None:
        self._drift = drift
        self._settings = settings
        self._engine = engine
        self._metrics = metrics
        self._log = log
        self._busy = asyncio.Lock()
        self._seen = engine.model.file

    async def reload(self) -> None:
        """Look at the file now. A bad one is logged, and the old one goes on."""
        async with self._busy:
            # What lies there now has been looked at, good or bad.
            self._seen = identify_file(self._settings.model) or self._seen
            old = self._engine.model
            try:
                # Measuring again under load would measure the load.
                new = await asyncio.to_thread(load_model, self._settings, known=old.choice)
                if self._drift is not None:
                    self._drift.renew(new.wide.card)
            except EdgeError as error:
                self._metrics.reloads.labels("refused").inc()
                self._log.event("reload refused", level="error", error=error.message, hint=error.hint)
                return
            self._engine.model = new
            self._seen = new.file
            self._metrics.reloads.labels("loaded").inc()
            self._metrics.show_model(self._settings.model_name, new.wide.card)
            before, card = old.wide.card, new.wide.card
            self._log.event(
                "reloaded",
                backbone=card.backbone,
                precision=card.precision,
                created=card.created,
                signed_by=new.signed_by or None,
                labels_changed=before.labels != card.labels,
                input_changed=before.preprocessing != card.preprocessing,
            )

    async def watch(self) -> None:
        """Reload when the file has changed and is the same at two looks, until cancelled."""
        before = None
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            found = identify_file(self._settings.model)
            if found is not None and found != self._seen and found == before:
                await self.reload()
            before = found
