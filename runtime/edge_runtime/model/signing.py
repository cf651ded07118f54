"""Making keys, and signing model files with them: what is done where models are made, never on a device."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import MissingExtraError, ModelError, OutputError, UsageError, one_line
from edge_runtime.extras import require_extra
from edge_runtime.files.atomic import atomic_path
from edge_runtime.model.classifier import Classifier
from edge_runtime.model.onnx_bytes import join_entry, keeps_weights_elsewhere, split_entry
from edge_runtime.model.signature import (
    SIGNATURE_KEY,
    PublicKey,
    Signature,
    key_id,
    message,
    raw_bytes,
    read_key_file,
    verify_signature,
)
from edge_runtime.model.this_machine import remove_quick_load

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_OTHERS_MAY_READ = stat.S_IRWXG | stat.S_IRWXO
_NO_KEY = "edge sign --new-key FILE makes one"
# OpenSSL encrypts with no longer one.
_LONGEST_PASSPHRASE = 1023


class SigningKey:
    """Someone's private key: Ed25519 in PEM, encrypted or not, or as `ssh-keygen -t ed25519` writes it.

    `passphrase` is asked for where the file is encrypted.

    Raises:
        UsageError: there is no such file, it holds something else, or the passphrase is wrong.
        MissingExtraError: cryptography is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], passphrase: Callable[[], bytes | None] = lambda: None) -> None:
        self.path = Path(path)
        data = read_key_file(self.path)
        require_extra("sign")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if b"PRIVATE KEY-----" not in data:
            raise UsageError(f"{path} is no private key", f"sign with the private key; {_NO_KEY}")
        key = _load(data, self.path, passphrase)
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageError(f"{path} is no Ed25519 key", _NO_KEY)
        self._key: Ed25519PrivateKey = key
        self.public = PublicKey(raw_bytes(key.public_key()), self.path)

    @property
    def is_open_to_others(self) -> bool:
        """Whether other users of this machine may read the file (never on Windows, whose files do not say)."""
        return os.name == "posix" and bool(self.path.stat().st_mode & _OTHERS_MAY_READ)

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of the signature of `data`."""
        return self._key.sign(data)


def new_key(path: str | os.PathLike[str], passphrase: bytes | None = None) -> tuple[Path, PublicKey]:
    """Make a key pair: the private key in `path`, readable by its owner alone, the public one beside it, .pub.

    Gives back where the public one lies, and what it is. The private one is encrypted where there is a `passphrase`.

    Raises:
        UsageError: `path` is no file's name, or ends as the public key's, or the passphrase is too long.
        OutputError: one of them is there already, or cannot be written.
        MissingExtraError: cryptography is not installed.
    """
    require_extra("sign")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Path(path)
    if not private.name:
        raise UsageError(f"{private} is a folder, not the private key's file", "name the private key, fleet.pem say")
    public = private.with_suffix(".pub")
    if public == private:
        raise UsageError(f"{path}: .pub is the public key's suffix", "name the private key, fleet.pem say")
    for each in (private, public):
        if os.path.lexists(each):
            raise OutputError(f"{each} is there already, and a key that is gone cannot be had again", "name another")
    if passphrase and len(passphrase) > _LONGEST_PASSPHRASE:
        raise UsageError(
            f"a passphrase of {len(passphrase):,} bytes is too long to encrypt a key with",
            f"take one of {_LONGEST_PASSPHRASE:,} bytes at most",
        )
    key = Ed25519PrivateKey.generate()
    kept = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    with atomic_path(public, parameter="new_key") as temporary:
        temporary.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
        with atomic_path(private, parameter="new_key") as secret, open(secret, "xb", opener=_own) as file:
            file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, kept))
    return public, PublicKey(raw_bytes(key.public_key()), public)


def sign_model(
    model: str | os.PathLike[str], key: SigningKey, *, out: str | os.PathLike[str] | None = None
) -> tuple[Path, str | None]:
    """Sign the model file with `key`, in its place or as `out`; gives back where it lies and who had signed it before.

    In its place means the file that a link names, with the mode, and where root signs the owner, that it has. A form of
    it that was optimised for this machine is taken away: it was made of the file unsigned.

    Raises:
        UsageError: there is no such file.
        ModelError: it is no file of `edge export`, or not one file alone.
        OutputError: `out` is there already, or cannot be written.
    """
    model = Path(model)
    target = Path(out) if out is not None else model.resolve() if model.is_symlink() else model
    # What does not open is not to be vouched for.
    Classifier(model, threads=1)
    if out is not None and os.path.lexists(target):
        raise OutputError(f"{target} is there already", "name another with `out`, or leave it out to sign in place")
    data = model.read_bytes()
    if keeps_weights_elsewhere(data, model):
        raise ModelError(f"{model} keeps weights in another file, which no signature holds", "export it again")
    before = split_entry(data, SIGNATURE_KEY, where=model)[1]
    signed, _ = message(data, where=model)
    signature = Signature(key_id(key.public.raw), key.sign(signed))
    whole = join_entry(data, SIGNATURE_KEY, signature.dumps(), where=model)
    verify_signature(whole, [key.public], where=model)
    was = model.stat()
    with atomic_path(target) as temporary:
        _write_like(was, temporary, whole, in_place=out is None)
    if out is None:
        if not was.st_mode & stat.S_IWUSR:
            target.chmod(stat.S_IMODE(was.st_mode))
        for each in (model, target):
            remove_quick_load(each)
    return target, before


def _write_like(was: os.stat_result, path: Path, data: bytes, *, in_place: bool) -> None:
    """Write a new file for those who may read the model; `in_place` it is its owner's, too, where that can be."""
    # What is written must be on the disk before it is renamed, for which it is opened to write.
    mode = stat.S_IMODE(was.st_mode) | stat.S_IWUSR
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)
    if in_place:
        if hasattr(os, "chown"):
            with suppress(PermissionError):
                os.chown(path, was.st_uid, was.st_gid)
        path.chmod(mode)


def _own(name: str, flags: int) -> int:
    # Nobody else may open it, not even while it is written.
    return os.open(name, flags, 0o600)


def _load(data: bytes, path: Path, passphrase: Callable[[], bytes | None]) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    ssh = b"OPENSSH" in data
    load = serialization.load_ssh_private_key if ssh else serialization.load_pem_private_key
    try:
        try:
            return load(data, None)
        except (TypeError, ValueError) as error:
            # Encrypted, if it says so: PEM by TypeError, OpenSSH by ValueError.
            if not isinstance(error, TypeError) and "password" not in str(error).lower():
                raise
        given = passphrase()
        if not given:
            raise UsageError(f"{path} is encrypted", "give its passphrase")
        return load(data, given)
    except UnsupportedAlgorithm as error:
        # Of all keys only an encrypted one of ssh-keygen needs it.
        if "bcrypt" in str(error):
            raise MissingExtraError("sign", "bcrypt") from None
        raise UsageError(f"{path} cannot be read: {one_line(str(error))}", _NO_KEY) from None
    except (ValueError, TypeError):
        raise UsageError(f"{path} is no private key, or the passphrase is wrong", _NO_KEY) from None
