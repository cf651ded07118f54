"""An answer that is being written is written whole before Ctrl-C counts; a second Ctrl-C counts at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from edge_cli.whole_writes import whole_write


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    # As Python begins, whatever ran these tests.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), whole_write():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("written")
    assert done == ["written"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_one_does_not_wait() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), whole_write():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        done.append("stuck")
    assert not done


def test_what_fails_within_fails_as_it_does_and_an_ignored_interrupt_stays_ignored() -> None:
    with pytest.raises(ValueError, match="full"), whole_write():
        raise ValueError("full")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with whole_write():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
