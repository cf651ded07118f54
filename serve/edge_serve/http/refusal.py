"""What a client is told when it does not get what it asked for."""

from __future__ import annotations

from collections.abc import Mapping


class Refusal(Exception):  # noqa: N818 (an answer, not a fault)
    """An answer other than 200: what is wrong (`message`), then what to do about it (`hint`).

    `kind` is the short name that metrics and the log count it under. Neither text may hold a path of this machine.
    """

    def __init__(
        self, status: int, kind: str, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, kind, message, hint)
        self.status = status
        self.kind = kind
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})

    def to_json(self) -> dict[str, str]:
        """As it is answered; `error` alone is what the Open Inference Protocol asks for."""
        return {"error": self.message, **({"hint": self.hint} if self.hint else {})}


def short(text: str) -> str:
    """A client's own words, as many as an answer has room for."""
    return text if len(text) <= 60 else f"{text[:59]}…"
