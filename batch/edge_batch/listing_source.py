"""The listing as Ray Data reads it, and where Ray keeps what of it is answered; imported where Ray is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyarrow.fs import LocalFileSystem
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata
from ray.data.checkpoint import CheckpointConfig, IdColumnCheckpointManager

from edge_batch.answers_folder import GROUP_ROWS

if TYPE_CHECKING:
    import pyarrow


class ListingSource(Datasource):  # type: ignore[misc]
    """The pictures of a listing that are `todo`, in blocks of `rows`, without those that have an answer."""

    def __init__(self, listing: Path, todo: NDArray[np.bool_], rows: int) -> None:
        super().__init__()
        self._listing, self._rows = listing, rows
        self._blocks = [
            (start, block) for start in range(0, len(todo), rows) if (block := todo[start : start + rows]).any()
        ]

    def __len__(self) -> int:
        return len(self._blocks)

    def get_name(self) -> str:
        """What Ray calls it in its log."""
        return "Listing"

    def estimate_inmemory_data_size(self) -> int | None:
        """Not known, and little."""
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
        """A task for each block."""
        del parallelism
        return [
            ReadTask(
                partial(_read_block, str(self._listing), start, np.packbits(todo).tobytes(), len(todo)),
                BlockMetadata(num_rows=int(todo.sum()), size_bytes=None, input_files=None, exec_stats=None),
            )
            for start, todo in self._blocks
        ]


def _read_block(listing: str, start: int, todo: bytes, rows: int) -> Iterable[pyarrow.Table]:
    from pyarrow import array, parquet

    with parquet.ParquetFile(listing) as file:
        group = file.read_row_group(start // GROUP_ROWS)
    wanted = np.unpackbits(np.frombuffer(todo, np.uint8), count=rows).astype(np.bool_)
    return [group.slice(start % GROUP_ROWS, rows).filter(array(wanted))]


class _Unfiltered(IdColumnCheckpointManager):  # type: ignore[misc]
    """Takes away what a kill left half done, and filters nothing: the listing is read without what is answered.

    Ray's own filter is an actor with a core and a gigabyte for itself, which a cluster full of workers has not.
    """

    def load_checkpoint(self, data_file_dir: str | None = None, data_file_filesystem: Any = None) -> tuple[None, int]:
        """Nothing to filter by."""
        self._clean_pending_checkpoints(data_file_dir, data_file_filesystem)
        return None, 0


def checkpoints(folder: Path, column: str) -> Any:
    """Ray keeps in `folder` the `column` of each row whose file is whole."""
    folder.mkdir(exist_ok=True)
    return CheckpointConfig(
        id_column=column,
        # A path, not a URI: Ray would take one apart, and leave what is percent-encoded as it is.
        checkpoint_path=str(folder),
        override_filesystem=LocalFileSystem(),
        delete_checkpoint_on_success=False,
        checkpoint_manager_cls=_Unfiltered,
    )
