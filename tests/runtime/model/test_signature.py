"""Signed model files: taken from their owner alone, whole, and by what is opened, not by what once lay there."""

from __future__ import annotations

import base64
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings, strategies as st

from edge_runtime import (
    SIGNATURE_KEY,
    Classifier,
    EdgeError,
    ModelError,
    OutputError,
    SigningKey,
    UsageError,
    new_key,
    open_session,
    read_public_key,
    read_signed,
    sign_model,
    with_metadata,
    write_quick_load_note,
)
from edge_runtime.model.onnx_bytes import join_entry, read_metadata, split_entry
from edge_runtime.model.signature import CONTEXT, key_id, message, verify_signature
from tiny_model import write_tiny_model

RED = np.zeros((1, 32, 32, 3), np.uint8)
RED[..., 0] = 255


class Owner(NamedTuple):
    private: Path
    public: Path


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Owner:
    private = tmp_path_factory.mktemp("owner") / "fleet.pem"
    return Owner(private, new_key(private)[0])


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Owner:
    private = tmp_path_factory.mktemp("stranger") / "fleet.pem"
    return Owner(private, new_key(private)[0])


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, owner: Owner) -> Path:
    path = write_tiny_model(tmp_path_factory.mktemp("signed") / "model.onnx")
    sign_model(path, SigningKey(owner.private))
    return path


def test_a_signed_model_answers_as_before_with_and_without_its_key(tmp_path: Path, owner: Owner) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    before, unsigned = Classifier(path).probabilities(RED), path.read_bytes()
    assert sign_model(path, SigningKey(owner.private)) == (path, None)
    # Nothing but the entry at the end is new: another reader, or an older edge, sees the same model.
    assert path.read_bytes().startswith(unsigned)
    for keys in ([], [owner.public]):
        classifier = Classifier(path, require_signature=keys)
        assert np.array_equal(classifier.probabilities(RED), before)
        assert [answer.label for answer in classifier.predict_many([RED[0]] * 9)] == ["a"] * 9
        assert classifier.signed_by == (read_public_key(owner.public).id if keys else "")
    again = pickle.loads(pickle.dumps(classifier))
    shutil.copy(write_tiny_model(tmp_path / "other.onnx"), path)
    with pytest.raises(ModelError, match="is not signed"):
        pickle.loads(pickle.dumps(again))


def test_what_is_signed_is_what_the_page_says(signed: Path, owner: Owner) -> None:
    data = signed.read_bytes()
    said = json.loads(read_metadata(signed)[SIGNATURE_KEY])
    entry = data[len(b"".join(split_entry(data, SIGNATURE_KEY, where=signed)[0])) :]
    import hashlib

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    raw = read_public_key(owner.public).raw
    Ed25519PublicKey.from_public_bytes(raw).verify(
        base64.b64decode(said["signature"]),
        b"edge model signature 1\n" + hashlib.sha256(data[: -len(entry)]).digest(),
    )
    assert said["algorithm"] == "ed25519" and said["key"] == key_id(raw)


def test_an_unsigned_and_a_strangers_model_are_refused(
    tmp_path: Path, signed: Path, owner: Owner, stranger: Owner
) -> None:
    with pytest.raises(ModelError, match=r"is not signed, and only models of SHA256:\S+ \(.*fleet.pub\) are taken"):
        Classifier(write_tiny_model(tmp_path / "model.onnx"), require_signature=[owner.public])
    with pytest.raises(ModelError, match="says that SHA256:"):
        Classifier(signed, require_signature=[stranger.public])
    with pytest.raises(UsageError, match="is not a list"):
        Classifier(signed, require_signature=owner.public)  # type: ignore[arg-type]
    # Keys are exchanged while both count.
    Classifier(signed, require_signature=[stranger.public, owner.public])
    # A stranger who says to be the owner.
    forged = tmp_path / "forged.onnx"
    sign_model(signed, SigningKey(stranger.private), out=forged)
    text = json.loads(read_metadata(forged)[SIGNATURE_KEY]) | {"key": read_public_key(owner.public).id}
    forged.write_bytes(join_entry(forged.read_bytes(), SIGNATURE_KEY, json.dumps(text), where=forged))
    with pytest.raises(ModelError, match="was changed after SHA256:"):
        Classifier(forged, require_signature=[owner.public])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_changed_bit_anywhere_is_refused(signed: Path, owner: Owner, at: float, bit: int) -> None:
    data = bytearray(signed.read_bytes())
    data[int(at * len(data))] ^= 1 << bit
    key = read_public_key(owner.public)
    try:
        verify_signature(bytes(data), [key], where=signed)
    except ModelError:
        return
    # The key's name in the entry is for people; the signature does not depend on it, nor does the base64's last digit.
    assert bytes(data).startswith(b"".join(split_entry(signed.read_bytes(), SIGNATURE_KEY, where=signed)[0]))


def test_a_second_signature_or_card_is_refused(tmp_path: Path, signed: Path, owner: Owner) -> None:
    data = signed.read_bytes()
    body = b"".join(split_entry(data, SIGNATURE_KEY, where=signed)[0])
    entry = data[len(body) :]
    twice = tmp_path / "twice.onnx"
    twice.write_bytes(data + entry)
    with pytest.raises(ModelError, match="several entries"):
        Classifier(twice, require_signature=[owner.public])
    # Another card behind the signed one, which readers would take.
    card = tmp_path / "card.onnx"
    other = with_metadata(body, {"edge": "{}"}, where=card)
    card.write_bytes(data + other[-12:])
    with pytest.raises(ModelError, match="was changed after"):
        Classifier(card, require_signature=[owner.public])


def test_the_bytes_that_were_verified_are_those_that_run(
    tmp_path: Path, signed: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the opening the file is exchanged."""
    path = Path(shutil.copy(signed, tmp_path / "model.onnx"))
    evil = write_tiny_model(tmp_path / "evil.onnx", labels=("x", "y", "z"))
    read = Path.read_bytes

    def exchanged(self: Path) -> bytes:
        data = read(self)
        if self == path:
            shutil.copy(evil, path)
        return data

    monkeypatch.setattr(Path, "read_bytes", exchanged)
    classifier = Classifier(path, threads=2, require_signature=[owner.public])
    assert classifier.labels == ("a", "b", "c")
    # The second graph, which many pictures are answered with, is not the stranger's either.
    assert {answer.label for answer in classifier.predict_many([RED[0]] * 40)} == {"a"}


@pytest.mark.skipif(os.name != "posix", reason="no pipe has a name there")
def test_what_is_no_file_of_a_models_size_is_not_read(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without the signature: a pipe would be waited for, and a sparse file may be larger than any memory."""
    keys = [read_public_key(owner.public)]
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(2**31)
    for name, kind, said in (
        ("pipe", UsageError, "is not a regular file"),
        (".", UsageError, "is a folder"),
        ("gone", UsageError, "does not exist"),
        ("null\0character", UsageError, "does not exist"),
        ("huge", ModelError, "larger than the 2 GiB"),
    ):
        with pytest.raises(kind, match=said):
            read_signed(tmp_path / name, keys)

    def full(_: Path) -> bytes:
        raise MemoryError

    monkeypatch.setattr(Path, "read_bytes", full)
    with pytest.raises(ModelError, match="larger than the free memory"):
        read_signed(write_tiny_model(tmp_path / "model.onnx"), keys)


def test_a_form_optimised_for_this_machine_is_not_opened_in_place_of_a_signed_file(
    tmp_path: Path, signed: Path, owner: Owner
) -> None:
    import onnxruntime

    path = Path(shutil.copy(signed, tmp_path / "model.onnx"))
    quick = write_tiny_model(tmp_path / "model.this-machine.onnx", sharpness=0)
    quick.write_bytes(with_metadata(quick.read_bytes(), read_metadata(path), where=quick))
    write_quick_load_note(path, onnxruntime.__version__)
    (level,) = open_session(path).run(None, {"image": RED})
    assert level.max() < 0.5
    assert Classifier(path, require_signature=[owner.public]).probabilities(RED).max() > 0.9
    sign_model(path, SigningKey(owner.private))
    assert not quick.exists()


def test_signing_again_replaces_the_signature(tmp_path: Path, signed: Path, owner: Owner, stranger: Owner) -> None:
    path = Path(shutil.copy(signed, tmp_path / "model.onnx"))
    _, before = sign_model(path, SigningKey(stranger.private))
    assert before is not None and json.loads(before)["key"] == read_public_key(owner.public).id
    assert Classifier(path, require_signature=[stranger.public]).labels == ("a", "b", "c")
    with pytest.raises(OutputError, match="is there already"):
        sign_model(signed, SigningKey(stranger.private), out=path)


@pytest.mark.skipif(os.name != "posix", reason="files have modes of another kind")
@pytest.mark.parametrize("mode", [0o600, 0o444, 0o664])
def test_in_its_place_is_where_a_link_leads_and_for_who_might_read_it(tmp_path: Path, owner: Owner, mode: int) -> None:
    (tmp_path / "models").mkdir()
    model, link = write_tiny_model(tmp_path / "models" / "1.onnx"), tmp_path / "current.onnx"
    link.symlink_to("models/1.onnx")
    model.chmod(mode)
    if os.geteuid() == 0:
        os.chown(model, 65534, 65534)
    was = model.stat()
    path, _ = sign_model(link, SigningKey(owner.private))
    assert link.readlink() == Path("models/1.onnx") and path.samefile(model)
    now = model.stat()
    assert (stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid) == (mode, was.st_uid, was.st_gid)
    assert Classifier(model, threads=1, require_signature=[owner.public]).signed_by
    out, _ = sign_model(link, SigningKey(owner.private), out=tmp_path / "out.onnx")
    assert not stat.S_IMODE(out.stat().st_mode) & ~(mode | stat.S_IWUSR)


def test_a_private_key_is_its_owners_alone_and_never_replaced(tmp_path: Path, owner: Owner) -> None:
    assert stat.S_IMODE(owner.private.stat().st_mode) == 0o600
    assert not SigningKey(owner.private).is_open_to_others
    kept = owner.private.read_bytes(), owner.public.read_bytes()
    for name in (owner.private, owner.private.with_suffix(".key")):
        with pytest.raises(OutputError, match="is there already"):
            new_key(name)
    assert (owner.private.read_bytes(), owner.public.read_bytes()) == kept
    with pytest.raises(OutputError, match="cannot write"):
        new_key(tmp_path / "none" / "fleet.pem")
    with pytest.raises(UsageError, match="public key's suffix"):
        new_key(tmp_path / "fleet.pub")
    with pytest.raises(UsageError, match=r"passphrase of 1,024 bytes is too long"):
        new_key(tmp_path / "long.pem", b"a" * 1024)
    new_key(tmp_path / "long.pem", b"a" * 1023)


def test_a_key_with_a_passphrase_wants_it(tmp_path: Path, signed: Path) -> None:
    private = tmp_path / "fleet.pem"
    public, _ = new_key(private, b"correct horse")
    assert b"ENCRYPTED" in private.read_bytes()
    with pytest.raises(UsageError, match="is encrypted"):
        SigningKey(private)
    with pytest.raises(UsageError, match="the passphrase is wrong"):
        SigningKey(private, lambda: b"wrong")
    out, _ = sign_model(signed, SigningKey(private, lambda: b"correct horse"), out=tmp_path / "m.onnx")
    assert Classifier(out, require_signature=[public]).labels == ("a", "b", "c")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
def test_a_key_of_ssh_keygen_signs(tmp_path: Path, signed: Path) -> None:
    private = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", private], check=True)
    out, _ = sign_model(signed, SigningKey(private), out=tmp_path / "m.onnx")
    assert Classifier(out, require_signature=[tmp_path / "id_ed25519.pub"]).labels == ("a", "b", "c")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
def test_a_key_of_ssh_keygen_with_a_passphrase_signs(tmp_path: Path, signed: Path) -> None:
    private = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "abcde", "-f", private], check=True)
    with pytest.raises(UsageError, match="is encrypted"):
        SigningKey(private)
    without = f"""
import sys
sys.modules["bcrypt"] = None
from edge_runtime import SigningKey
SigningKey({str(private)!r}, lambda: b"abcde")
"""
    missing = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=False)
    assert "MissingExtraError: this needs bcrypt" in missing.stderr and "edge-vision[sign]" in missing.stderr
    pytest.importorskip("bcrypt")
    with pytest.raises(UsageError, match="the passphrase is wrong"):
        SigningKey(private, lambda: b"wrong")
    out, _ = sign_model(signed, SigningKey(private, lambda: b"abcde"), out=tmp_path / "m.onnx")
    assert Classifier(out, require_signature=[tmp_path / "id_ed25519.pub"]).labels == ("a", "b", "c")


def test_what_is_no_key_is_said(tmp_path: Path, owner: Owner) -> None:
    def written(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    pem = serialization.Encoding.PEM
    other = rsa.generate_private_key(65537, 2048)
    plain = serialization.NoEncryption()
    rsa_private = written("rsa.pem", other.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    rsa_public = other.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    for path, message_ in (
        (owner.private, "is a private key"),
        (written("rsa.pub", rsa_public), "is no Ed25519 key"),
        (written("text", b"hello"), "is no public key"),
        (written("empty", b""), "is no public key"),
        (written("cut.pub", owner.public.read_bytes()[:60]), "is no public key"),
        (written("large", b"x" * 100_000), "is too large for a key"),
        (tmp_path / "none", "cannot be read"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(UsageError, match=message_):
            read_public_key(path)
    for path, message_ in (
        (owner.public, "is no private key"),
        (rsa_private, "is no Ed25519 key"),
        (written("cut.pem", owner.private.read_bytes()[:60]), "is no private key"),
        (tmp_path / "none", "cannot be read"),
    ):
        with pytest.raises(UsageError, match=message_):
            SigningKey(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"algorithm": "ed25519", "key": "k", "signature": "AAAA"}',
        '{"algorithm": "none", "key": "k", "signature": "' + "A" * 86 + '=="}',
        '{"algorithm": "ed25519", "key": 7, "signature": "' + "A" * 86 + '=="}',
        "[" * 100_000,
    ],
)
def test_a_malformed_signature_is_one_line(tmp_path: Path, owner: Owner, text: str) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    path.write_bytes(join_entry(path.read_bytes(), SIGNATURE_KEY, text, where=path))
    with pytest.raises(ModelError, match=r"the signature of .* is malformed"):
        Classifier(path, require_signature=[owner.public])


def test_what_is_no_model_is_not_signed(tmp_path: Path, owner: Owner) -> None:
    key = SigningKey(owner.private)
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    for path in (text, tmp_path / "none.onnx"):
        with pytest.raises(EdgeError):
            sign_model(path, key)
    assert text.read_text() == "hello"
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


def test_a_signature_of_something_else_is_none(signed: Path, owner: Owner) -> None:
    """A key that also signs other things gives away no model: what is signed begins with its purpose."""
    said, _ = message(signed.read_bytes(), where=signed)
    assert said.startswith(CONTEXT) and len(said) == len(CONTEXT) + 32
    bare = SigningKey(owner.private).sign(said[len(CONTEXT) :])
    text = {"algorithm": "ed25519", "key": "k", "signature": base64.b64encode(bare).decode()}
    forged = join_entry(signed.read_bytes(), SIGNATURE_KEY, json.dumps(text), where=signed)
    with pytest.raises(ModelError, match="says that k signed it"):
        verify_signature(forged, [read_public_key(owner.public)], where=signed)
