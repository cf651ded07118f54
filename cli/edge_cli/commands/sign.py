"""edge sign: a key pair, and model files signed with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_cli.choose_model import choose_model
from edge_cli.console import Console, print_json
from edge_cli.flags import flag
from edge_cli.options import JsonFlag, ModelOption, QuietFlag, RunOption
from edge_runtime import UsageError

app = typer.Typer(add_completion=False)

PASSPHRASE = "EDGE_SIGN_PASSPHRASE"


@app.command(
    name="sign",
    help="Sign a model file, so that predict and serve with --require-signature take it. Needs the extra sign.",
    epilog=f"An encrypted key's passphrase is asked for, or read from {PASSPHRASE}.",
)
def sign(
    model: ModelOption = None,
    run: RunOption = None,
    key: Annotated[
        Path | None, flag("--key", "Private key to sign with: Ed25519, PEM or ssh-keygen's.", "KEY.pem")
    ] = None,
    new: Annotated[
        Path | None,
        flag("--new-key", "Make a key pair instead: FILE, secret, and FILE with the suffix .pub for devices.", "FILE"),
    ] = None,
    encrypt: Annotated[bool, flag("--encrypt", "With --new-key: ask for a passphrase, and encrypt the key.")] = False,
    out: Annotated[
        Path | None, flag("--out", "Write the signed file there.", "FILE", default="the model, in its place")
    ] = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Make a key, or sign a model with one."""
    console = Console(quiet=quiet)
    if (key is None) == (new is None):
        raise UsageError("a key is needed: --key FILE to sign with, or --new-key FILE to make one", "edge sign --help")
    if new is not None:
        if model or run or out:
            raise UsageError("--new-key makes a key and signs nothing", "sign with --key afterwards")
        return _make(new, encrypt, console, json_=json_)
    if encrypt:
        raise UsageError("--encrypt goes with --new-key", "drop it")
    from edge_runtime import SigningKey, read_signature, sign_model

    assert key is not None
    signing = SigningKey(key, lambda: _passphrase(f"Passphrase of {key}", twice=False))
    if signing.is_open_to_others:
        console.say(f"note: other users of this machine can read {key}, and sign with it: chmod 600 {key}")
    path, before = sign_model(choose_model(model, run, console)[0], signing, out=out)
    if before is not None and (earlier := read_signature(before, where=str(path))) is not None:
        console.say(f"the signature of {earlier.key} was replaced")
    if json_:
        print_json({"file": str(path), "signed_by": signing.public.id})
    else:
        print(f"{path} is signed by {signing.public.id}")
    return 0


def _make(private: Path, encrypt: bool, console: Console, *, json_: bool) -> int:
    from edge_runtime import new_key

    passphrase = _passphrase("Passphrase", twice=True) if encrypt else None
    if encrypt and not passphrase:
        raise UsageError("an empty passphrase encrypts nothing", f"type one, or set {PASSPHRASE}")
    public, key = new_key(private, passphrase)
    if json_:
        print_json({"private": str(private), "public": str(public), "key": key.id})
    else:
        print(f"{public}  {key.id}")
    console.say(f"{private} signs: keep it secret, and a copy of it safe; {public} goes to the devices")
    return 0


def _passphrase(text: str, *, twice: bool) -> bytes:
    """What was typed, or stands in the environment. Raises UsageError where nobody can be asked."""
    if (said := os.environ.get(PASSPHRASE)) is not None:
        # Bytes of the environment that are no text stand in it as lone surrogates.
        return said.encode("utf-8", "surrogateescape")
    if not sys.stdin.isatty():
        raise UsageError("the key's passphrase cannot be asked for without a terminal", f"set {PASSPHRASE}")
    return str(typer.prompt(text, hide_input=True, confirmation_prompt=twice, err=True)).encode()
