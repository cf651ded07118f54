"""Encrypted connections: the server's certificate and key, looked at before anything is opened."""

from __future__ import annotations

import ssl
from pathlib import Path

from edge_runtime import UsageError


def tls_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """TLS 1.2 and newer with a certificate (and those that signed it) in PEM; `key` may be in the same file.

    Raises UsageError where a file cannot be read, is something else, or the two do not belong together.
    """
    for path in (certificate, key):
        if path is not None:
            try:
                path.read_bytes()
            except OSError as error:
                raise UsageError(f"{path} cannot be read: {error.strerror}", "name PEM files") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Nobody is there to type a passphrase when a server starts.
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except _EncryptedKeyError:
        raise UsageError(
            f"{key or certificate} is encrypted", "give a key without a passphrase, readable by it alone"
        ) from None
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or "no certificate in PEM"
        files = f"{certificate} and {key}" if key is not None else str(certificate)
        raise UsageError(
            f"{files}: {str(reason).replace('_', ' ').lower()}", "give `tls_cert` and `tls_key` that belong together"
        ) from None
    return context


class _EncryptedKeyError(Exception):
    """A passphrase was asked for."""


def _no_passphrase() -> str:
    raise _EncryptedKeyError
