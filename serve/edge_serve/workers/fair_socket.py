"""The socket that all workers listen on, from which each takes one client at a time."""

from __future__ import annotations

import socket
from typing import Any


class FairSocket(socket.socket):
    """Says after each client that there is no other yet.

    asyncio takes all clients that wait in one go. Of 32 that connect at once and stay, one of two workers had up to 32;
    so that others have their turn, it is told to come again, and then each has about half.
    """

    _taken = False

    def accept(self) -> tuple[socket.socket, Any]:
        """The next client. Raises BlockingIOError where none waits, and every second time."""
        if self._taken:
            self._taken = False
            raise BlockingIOError
        accepted = super().accept()
        self._taken = True
        return accepted
