"""The text of answers, which may hold what is not UTF-8: Python reads such names as lone surrogates."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse as _JSONResponse


def encodable(text: str) -> str:
    """The text with what could not be encoded as its escape, which everything reads."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class JSONResponse(_JSONResponse):
    """JSON in UTF-8, where a text is what `edge predict --json` writes of it, lone surrogates included."""

    def render(self, content: Any) -> bytes:
        """The body."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # Only within a text can there be one, and there its escape is JSON's, too.
        return encodable(text).encode()
