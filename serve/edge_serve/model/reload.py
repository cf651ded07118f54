"""A model file that is replaced while it is served: picked up without a request noticing, or refused and left alone."""

from __future__ import annotations

import asyncio

from edge_runtime import EdgeError, identify_file
from edge_serve.model.loaded_model import load_model
from edge_serve.model.served_model import ServedModel
from edge_serve.observability.request_log import RequestLog

_LOOK_EVERY_S = 1.0


class Reloader:
    """Loads the file anew on a thread, tries it, and exchanges the engine's model; requests in work keep theirs."""

    def __init__(self, served: ServedModel, log: RequestLog) -> None:
        self._served = served
        self._path = served.settings.path
        self._log = log
        self._busy = asyncio.Lock()
        self._seen = served.engine.model.file

    async def reload(self) -> None:
        """Look at the file now. A bad one is logged, and the old one goes on."""
        async with self._busy:
            # What lies there now has been looked at, good or bad.
            self._seen = identify_file(self._path) or self._seen
            served, of = self._served, self._served.tag or None
            old = served.engine.model
            try:
                # Measuring again under load would measure the load.
                new = await asyncio.to_thread(load_model, served.settings, known=old.choice)
                if served.record is not None:
                    served.record.renew(new.wide.card)
            except Exception as error:  # whatever a file makes a library raise, the old one goes on
                served.metrics.looked("refused")
                why = error if isinstance(error, EdgeError) else EdgeError(f"{type(error).__name__}: {error}")
                self._log.event("reload refused", level="error", model=of, error=why.message, hint=why.hint)
                return
            served.engine.model = new
            self._seen = new.file
            served.metrics.looked("loaded")
            served.metrics.show_model(new.wide.card)
            before, card = old.wide.card, new.wide.card
            self._log.event(
                "reloaded",
                model=of,
                backbone=card.backbone,
                precision=card.precision,
                created=card.created,
                signed_by=new.signed_by or None,
                engine=new.engine,
                labels_changed=before.labels != card.labels,
                input_changed=before.preprocessing != card.preprocessing,
            )

    async def watch(self) -> None:
        """Reload when the file has changed and is the same at two looks, until cancelled."""
        before = None
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            found = identify_file(self._path)
            if found is not None and found != self._seen and found == before:
                await self.reload()
            before = found
