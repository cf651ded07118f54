"""What a run records of where it ran."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch")

from edge_train.run.versions import git_revision

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def test_the_revision_says_whether_something_was_changed_and_runs_nothing_that_the_repository_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_revision() is None

    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / ".gitattributes").write_text("* filter=mine")
    git("add", ".")
    git("commit", "-m", "first")
    for name in ("core.fsmonitor", "filter.mine.clean", "filter.mine.process"):
        git("config", name, f"touch {tmp_path / 'ran'}; false")
    hook = tmp_path / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    hook.chmod(0o755)
    # As unpacked: git has to look at the content again.
    (tmp_path / "a.txt").touch()
    found = git_revision()
    assert found is not None and len(found) == 40
    (tmp_path / "a.txt").write_text("two")
    assert git_revision() == f"{found}+changes"
    assert not (tmp_path / "ran").exists()
