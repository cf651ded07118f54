"""Output that nothing depends on: what its disk or its reader does not take is lost, and the work goes on."""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from typing import Any, TextIO


class LossyFile(io.FileIO):
    """A file whose disk may be full, or whose reader may have gone: what it does not take is lost, and nobody hears."""

    def write(self, data: Any, /) -> int:
        """Write what can be written, and say that it was all."""
        left = memoryview(data).cast("B")
        whole = left.nbytes
        try:
            while left:
                written = super().write(left)
                if written is None:
                    # Whoever shares it has it return at once; there is room when it is read.
                    select.select((), (self,), ())
                left = left[written or 0 :]
        except BrokenPipeError:
            # Nobody reads it ever again: neither from libraries, nor from processes that are started from here.
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.fileno())
                os.close(nowhere)
        except OSError:
            pass
        return whole


def lossy_stderr(stream: TextIO) -> TextIO:
    """`stream` that loses what the process's standard error does not take; unchanged where it is another stream."""
    # A notebook's or a test's is no file, and a Windows console takes text. Python keeps its own open by `__stderr__`.
    if stream is not sys.__stderr__ or not isinstance(stream, io.TextIOWrapper):
        return stream
    if not isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):
        return stream
    with suppress(OSError):
        stream.flush()
    file = LossyFile(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(file, encoding=stream.encoding, errors=stream.errors, line_buffering=True)
