"""A model file's signature: who made the file, and that no byte of it was changed since.

Ed25519 (RFC 8032) over the SHA-256 of the whole file but the signature itself, which is one more entry of the file's
metadata: what does not know it reads the file as before. docs/signing.md says it byte by byte.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.errors import ModelError, UsageError, one_line
from edge_runtime.extras import require_extra
from edge_runtime.model.onnx_bytes import check_model_file, split_entry

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE_KEY = "edge-signature"
# Nothing else that the same key signs begins so.
CONTEXT = b"edge model signature 1\n"
_ALGORITHM = "ed25519"
_LARGEST_KEY_BYTES = 65_536
# A protobuf message, which an ONNX file is, ends there.
_LARGEST_MODEL_BYTES = 2**31 - 1


class Signature(NamedTuple):
    """What a file says of its signature; true only where it was checked. `key` is the `key_id` of who signed."""

    key: str
    value: bytes

    def dumps(self) -> str:
        """As the file's metadata carries it."""
        signed = base64.b64encode(self.value).decode()
        return json.dumps({"algorithm": _ALGORITHM, "key": self.key, "signature": signed})


class PublicKey(NamedTuple):
    """Someone's public key: the 32 bytes of Ed25519, and the file they were read from."""

    raw: bytes
    path: Path

    @property
    def id(self) -> str:
        """Its fingerprint, by which people compare keys: SHA256: and the hash of its 32 bytes in base64."""
        return key_id(self.raw)


def key_id(raw: bytes) -> str:
    """The fingerprint of the 32 bytes of an Ed25519 public key."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


def read_public_key(path: str | os.PathLike[str]) -> PublicKey:
    """The Ed25519 public key in a file, PEM or OpenSSH's.

    Raises:
        UsageError: there is no such file, or it holds something else, a private key say.
        MissingExtraError: cryptography is not installed.
    """
    path = Path(path)
    data = read_key_file(path)
    if b"PRIVATE KEY-----" in data:
        raise UsageError(
            f"{path} is a private key: it signs, and must not lie where models are only used",
            "name the public key, which edge sign wrote beside it",
        )
    require_extra("sign")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    load = serialization.load_ssh_public_key if data.startswith(b"ssh-") else serialization.load_pem_public_key
    try:
        key = load(data)
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path} is no public key", "edge sign --new-key makes one") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} is no Ed25519 key", "edge sign --new-key makes one")
    return PublicKey(raw_bytes(key), path)


def read_key_file(path: Path) -> bytes:
    """What is in a key's file. Raises UsageError where it cannot be read or is too large for a key."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_KEY_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name the key's file") from None
    if len(data) > _LARGEST_KEY_BYTES:
        raise UsageError(f"{path} is too large for a key", "name the key's file")
    return data


def read_signature(text: str | None, *, where: str) -> Signature | None:
    """The signature that a file's metadata holds as `text`, unchecked; None where there is none.

    Raises ModelError where it is malformed.
    """
    if text is None:
        return None
    try:
        value = json.loads(text)
        signed = base64.b64decode(value["signature"], validate=True)
        if value["algorithm"] != _ALGORITHM or not isinstance(value["key"], str) or len(signed) != 64:
            raise ValueError
        return Signature(value["key"], signed)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        raise ModelError(f"the signature of {where} is malformed", "sign the file again with edge sign") from None


def message(data: bytes, *, where: Path) -> tuple[bytes, str | None]:
    """What is signed of the ONNX file `data`, and the text of the signature it has, None without one.

    Raises ModelError where it is no ONNX file, or has several signatures.
    """
    digest = hashlib.sha256()
    pieces, found = split_entry(data, SIGNATURE_KEY, where=where)
    for piece in pieces:
        digest.update(piece)
    return CONTEXT + digest.digest(), found


def read_signed(path: Path, keys: Sequence[PublicKey]) -> tuple[bytes, PublicKey]:
    """The model file at `path`, and which of `keys` signed it: what is opened must be these very bytes.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        ModelError: it is larger than an ONNX file or the free memory; and as `verify_signature` does.
    """
    # Before a byte of what may be a stranger's is read.
    check_model_file(path)
    try:
        if path.stat().st_size > _LARGEST_MODEL_BYTES:
            raise ModelError(f"{path} is larger than the 2 GiB that an ONNX file may have", "export it again")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name another with `model`") from None
    except MemoryError:
        raise ModelError(f"{path} is larger than the free memory", "export a smaller network") from None
    return data, verify_signature(data, keys, where=path)


def verify_signature(data: bytes, keys: Sequence[PublicKey], *, where: Path) -> PublicKey:
    """The one of `keys` that signed the model file `data`, read from `where`.

    Raises:
        ModelError: the file is not signed, signed with another key, or was changed after it was signed.
    """
    from cryptography.exceptions import InvalidSignature

    signed, text = message(data, where=where)
    wanted = " or ".join(f"{key.id} ({key.path})" for key in keys)
    signature = read_signature(text, where=str(where))
    if signature is None:
        raise ModelError(f"{where} is not signed, and only models of {wanted} are taken", "edge sign signs it")
    for key in keys:
        try:
            _verifier(key).verify(signature.value, signed)
        except InvalidSignature:
            continue
        return key
    if any(key.id == signature.key for key in keys):
        raise ModelError(
            f"{where} was changed after {signature.key} signed it", "copy it again from where it was signed"
        )
    raise ModelError(
        f"{where} says that {one_line(signature.key)} signed it, and only models of {wanted} are taken",
        "sign it with that key, or name the public key of who made it",
    )


def _verifier(key: PublicKey) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(key.raw)


def raw_bytes(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes that are the key."""
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
