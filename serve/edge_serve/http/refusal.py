"""What a client is told when it does not get what it asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 (an answer, not a fault)
    """An answer other than 200: what is wrong (`message`), then what to do about it (`hint`).

    `kind` is the short name that metrics and the log count it under. Neither text may hold a path of this machine.
    """

    status: int
    kind: str
    message: str
    hint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, str]:
        """As it is answered; `error` alone is what the Open Inference Protocol asks for."""
        return {"error": self.message, **({"hint": self.hint} if self.hint else {})}


def short(text: str) -> str:
    """A client's own words, as many as an answer has room for."""
    return text if len(text) <= 60 else f"{text[:59]}…"
