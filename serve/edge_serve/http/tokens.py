"""The token: where it comes from, and whether a request has it."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path

from edge_runtime import UsageError

TOKEN_VARIABLE = "EDGE_SERVE_TOKEN"
_SHORTEST = 16
# What RFC 6750 lets stand behind "Bearer".
_PATTERN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_MAKE_ONE = "openssl rand -hex 16 makes a good one"


def read_token(flag: str | None, file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token of `--token`, `--token-file` or the environment variable EDGE_SERVE_TOKEN; None where there is none.

    Raises UsageError where two of the flags are given, the file cannot be read, or the token is short or malformed.
    """
    if flag is not None and file is not None:
        raise UsageError("`token` and `token_file` exclude each other", "give one")
    if flag is not None:
        return check_token(flag, "`token`")
    if file is not None:
        try:
            text = file.read_text(encoding="ascii")
        except OSError as error:
            raise UsageError(f"`token_file` {file} cannot be read: {error.strerror}", "name a readable file") from None
        except UnicodeDecodeError:
            raise UsageError(f"`token_file` {file} is not plain text", _MAKE_ONE) from None
        return check_token(text.strip(), f"the token in {file}")
    given = environment.get(TOKEN_VARIABLE)
    return None if given is None else check_token(given.strip(), TOKEN_VARIABLE)


def check_token(token: str, where: str) -> str:
    """The token. Raises UsageError, which begins with `where` it was given, where it is short or malformed."""
    if len(token) < _SHORTEST:
        raise UsageError(f"{where} has {len(token)} characters; at least {_SHORTEST} are needed", _MAKE_ONE)
    if not _PATTERN.fullmatch(token):
        raise UsageError(f"{where} has characters no HTTP client can send", f"letters, digits and -._~+/ ; {_MAKE_ONE}")
    return token


class TokenCheck:
    """Whether an Authorization header holds the token, in a time that tells nothing of it."""

    def __init__(self, token: str) -> None:
        self._digest = hashlib.sha256(token.encode()).digest()

    def __call__(self, authorization: bytes) -> bool:
        """True for `Bearer TOKEN`."""
        scheme, _, given = authorization.partition(b" ")
        # Of equal length, whatever was sent: compare_digest tells the length of what it compares.
        found = hashlib.sha256(given.strip()).digest()
        return hmac.compare_digest(found, self._digest) and scheme.lower() == b"bearer"
