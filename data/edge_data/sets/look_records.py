"""What a picture looks like, as a record of 305 bytes; very many of them are made by processes of their own.

Decoding small pictures is half Python, which threads do by turns. `python -m edge_data.sets.look_records ROOT` reads
paths from stdin, each ended by NUL, and writes their records to stdout.
"""

from __future__ import annotations

import hashlib
import os
import queue
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_runtime import ImageError, decode, python_command, read_encoded

SIDE_PX, CHROMA_PX, DIGEST_BYTES = 16, 4, 16
_LUMA_BYTES, _CHROMA_BYTES = SIDE_PX**2, 2 * CHROMA_PX**2
RECORD_BYTES = DIGEST_BYTES + _LUMA_BYTES + _CHROMA_BYTES + 1
_PORTION, _AT_ONCE = 64, 32
_WORTH_PROCESSES = 4000
_MOST_PROCESSES = 16

Records = NDArray[np.uint8]
"""[N, 305] uint8: the digest of the file, luma, chroma, and 1 where the file was read, else all 0."""


def see(root: Path, paths: Sequence[str]) -> Records:
    """The records of the files at `paths`, in order; what cannot be decoded has no luma and chroma."""
    records = np.zeros((len(paths), RECORD_BYTES), np.uint8)
    seen, small = [], []
    for row, path in enumerate(paths):
        try:
            data = read_encoded(root / path)
        except ImageError:
            continue
        digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
        records[row, :DIGEST_BYTES], records[row, -1] = np.frombuffer(digest, np.uint8), 1
        try:
            # All of a JPEG's data is read, but only a part of its frequencies computed.
            small.append(shrink(decode(data, reduce_to_px=SIDE_PX)))
            seen.append(row)
        except ImageError:
            continue
    if seen:
        luma, chroma = channels(np.stack(small))
        records[seen, DIGEST_BYTES:-1] = np.concatenate(
            [luma.reshape(-1, _LUMA_BYTES), chroma.reshape(-1, _CHROMA_BYTES)], axis=1
        )
    return records


def are_decoded(records: Records) -> NDArray[np.bool_]:
    """[N]: which of the records are of pictures that were decoded; the chroma of a grey one is 128."""
    return np.asarray(records[:, DIGEST_BYTES + _LUMA_BYTES : -1].any(axis=1))


def shrink(picture: Image.Image) -> NDArray[np.uint8]:
    """An RGB picture as [16, 16, 3]."""
    return np.asarray(picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX))


def channels(small: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """[N, 16, 16, 3] RGB -> [N, 16, 16] luma, [N, 4, 4, 2] Cb and Cr as JPEG defines them (ITU-T T.871)."""
    pixels, block = small.astype(np.float32), SIDE_PX // CHROMA_PX
    coarse = pixels.reshape(-1, CHROMA_PX, block, CHROMA_PX, block, 3).mean(axis=(2, 4))
    luma = _luma(coarse)
    both = np.stack([(coarse[..., 2] - luma) / 1.772, (coarse[..., 0] - luma) / 1.402], axis=-1)
    return np.rint(_luma(pixels)).astype(np.uint8), np.rint(both + 128).clip(0, 255).astype(np.uint8)


def _luma(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(0.299 * rgb[..., 0] + 0.587 * rgb[..., 1] + 0.114 * rgb[..., 2], np.float32)


def unpack(records: Records) -> tuple[tuple[bytes, ...], NDArray[np.uint8], NDArray[np.uint8]]:
    """Digests, b"" for a file that was not read, [N, 16, 16] luma and [N, 4, 4, 2] chroma."""
    digests = tuple(row[:DIGEST_BYTES].tobytes() if row[-1] else b"" for row in records)
    luma = records[:, DIGEST_BYTES : DIGEST_BYTES + _LUMA_BYTES].reshape(-1, SIDE_PX, SIDE_PX)
    return digests, luma, records[:, -1 - _CHROMA_BYTES : -1].reshape(-1, CHROMA_PX, CHROMA_PX, 2)


def see_all(root: Path, paths: Sequence[str], *, threads: int) -> Iterator[tuple[slice, Records]]:
    """The records of `paths` by portions, in any order, each with its place; as fast as `threads` allow."""
    places = [slice(start, min(start + _PORTION, len(paths))) for start in range(0, len(paths), _PORTION)]
    if threads > 1 and len(paths) >= _WORTH_PROCESSES and sys.executable:
        missing = set(range(len(places)))
        for number, records in _by_processes(root, paths, places, min(threads, _MOST_PROCESSES)):
            missing.discard(number)
            yield places[number], records
        # What a process that could not start, or was killed, left undone.
        places = [places[number] for number in sorted(missing)]
    # Pillow warns of odd headers in its own words, on stderr, without the file's name.
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, thread_name_prefix="edge-look") as pool:
        warnings.simplefilter("ignore")
        # By some portions: an interruption waits for what was handed to the pool.
        for start in range(0, len(places), _AT_ONCE):
            some = places[start : start + _AT_ONCE]
            yield from zip(some, pool.map(partial(see, root), [paths[place] for place in some]), strict=True)


def _by_processes(
    root: Path, paths: Sequence[str], places: Sequence[slice], count: int
) -> Iterator[tuple[int, Records]]:
    """Numbers of places and their records, from `count` processes that take them by turns."""
    done: queue.Queue[tuple[int, Records] | None] = queue.Queue()
    command = python_command("-m", "edge_data.sets.look_records", os.path.abspath(root))  # noqa: PTH100
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    # They find what this process has found, however it came by it.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    workers: list[subprocess.Popen[bytes]] = []

    def listen(worker: subprocess.Popen[bytes], numbers: range) -> None:
        assert worker.stdin is not None and worker.stdout is not None
        try:
            with worker.stdin as file:
                file.writelines(os.fsencode(path) + b"\0" for n in numbers for path in paths[places[n]])
            for n in numbers:
                size = places[n].stop - places[n].start
                data = worker.stdout.read(size * RECORD_BYTES)
                done.put((n, np.frombuffer(data, np.uint8).reshape(size, RECORD_BYTES)))
        except (OSError, ValueError):
            pass  # it ended early
        finally:
            done.put(None)

    try:
        for first in range(count):
            workers.append(subprocess.Popen(command, env=environment, **quiet))  # type: ignore[call-overload]
            numbers = range(first, len(places), count)
            threading.Thread(target=listen, args=(workers[-1], numbers), daemon=True).start()
        for _ in range(count):
            while (found := done.get()) is not None:
                yield found
    except OSError:
        return
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            if worker.stdout is not None:
                worker.stdout.close()


def main(root: Path, asked: IO[bytes], told: IO[bytes]) -> None:
    """Read all paths, then write their records, portion by portion."""
    paths = [os.fsdecode(path) for path in asked.read().split(b"\0")[:-1]]
    warnings.simplefilter("ignore")
    for start in range(0, len(paths), _PORTION):
        told.write(see(root, paths[start : start + _PORTION]).tobytes())
        told.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
