"""What one image file is: readable or not, its format, its size, its oddities, and what it looks like."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_data.check.quality import Quality, measure_quality
from edge_data.sets.picture_header import open_header
from edge_runtime import HEAD_BYTES, ImageError, decode, format_of, read_encoded

if TYPE_CHECKING:
    from edge_runtime import ImageClassifier

THUMBNAIL_PX = 32

_DECODED_SHORT_SIDE_PX = 64
_GREY_LEVELS = 3
_BLANK_LEVELS = 2
_ORIENTATION_TAG = 0x0112
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """One image file as it was found; `path` is posix and relative to the data root.

    A file that cannot be used has a `refusal` (a sentence that names it) and nothing below it; `too_large`
    tells that only its number of pixels is in the way. `digest` is of the file's bytes, `thumbnail`
    [32, 32] uint8 luma of the upright picture, `chroma` its [8, 8, 2] uint8 Cb and Cr (128 is grey),
    `quality` how good a photo it is, `embedding` [D] float16 what a model makes of it, where one was asked, and
    `oddities` are kinds of findings.
    """

    path: str
    format: str | None = None
    refusal: str | None = None
    too_large: bool = False
    digest: bytes = b""
    width_px: int = 0
    height_px: int = 0
    oddities: tuple[str, ...] = ()
    grey: bool = False
    thumbnail: NDArray[np.uint8] | None = None
    chroma: NDArray[np.uint8] | None = None
    quality: Quality | None = None
    embedding: NDArray[np.float16] | None = None


def inspect(root: Path, path: str, classifier: ImageClassifier | None = None) -> Inspection:
    """Read and decode the file `root / path`; what is wrong with it is in the result.

    With a `classifier`, one that gives embeddings, the picture is decoded as that one asks, and has its embedding.
    Raises ModelError where its graph fails.
    """
    head = b""
    asked = None if classifier is None else classifier.preprocessing
    try:
        data = read_encoded(root / path)
        head = data[:HEAD_BYTES]
        # All of a JPEG's data is still read, so that a cut is found, but only an eighth of its frequencies computed.
        picture = decode(data, reduce_to_px=_DECODED_SHORT_SIDE_PX) if asked is None else asked.decode(data)
    except ImageError:
        return _refused(root, path, format_of(head, path))
    size_px, oddities = _header(data, picture)
    small = np.asarray(picture.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX), np.float32)
    if np.ptp(small, axis=(0, 1)).max() <= _BLANK_LEVELS:
        oddities += ("blank",)
    return Inspection(
        path,
        format=format_of(head, path),
        digest=hashlib.blake2b(data, digest_size=16).digest(),
        width_px=size_px[0],
        height_px=size_px[1],
        oddities=oddities,
        grey=bool(np.ptp(small, axis=-1).max() <= _GREY_LEVELS),
        thumbnail=np.rint(small @ _LUMA).astype(np.uint8),
        chroma=_chroma(small),
        quality=measure_quality(picture, small),
        embedding=None if classifier is None else _embedding(classifier, picture),
    )


def _embedding(classifier: ImageClassifier, picture: Image.Image) -> NDArray[np.float16]:
    contract = classifier.preprocessing
    pixels = np.asarray(contract.crop(contract.resize(picture)))
    return np.asarray(classifier.embeddings(pixels[None])[0], np.float16)


def _refused(root: Path, path: str, kind: str | None) -> Inspection:
    """Decode again from the path: what it is and how large is looked at before it is read."""
    try:
        decode(root / path, name=path)
    except ImageError as error:
        too_large = error.kind == "too-large"
        return Inspection(path, format=kind, refusal=f"{error.message} ({error.hint})", too_large=too_large)
    refusal = f"{path} could not be read at first (something else writes it: check again)"
    return Inspection(path, format=kind, refusal=refusal)


def _chroma(small: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[32, 32, 3] RGB of 0..255 -> [8, 8, 2] Cb and Cr as JPEG defines them (ITU-T T.871)."""
    coarse = small.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3))
    luma = coarse @ _LUMA
    both = np.stack([(coarse[..., 2] - luma) / 1.772, (coarse[..., 0] - luma) / 1.402], axis=-1)
    return np.asarray(np.rint(both + 128).clip(0, 255), np.uint8)


def _header(data: bytes, picture: Image.Image) -> tuple[tuple[int, int], tuple[str, ...]]:
    """The full size in pixels, as stored, and the oddities; of a picture that decodes, so the size is no bomb's."""
    try:
        with open_header(BytesIO(data)) as header:
            return header.size, tuple(_oddities(header))
    except Exception:  # Pillow raises whatever comes on headers that decoding gets along without
        return picture.size, ()


def _oddities(header: Image.Image) -> Iterator[str]:
    """Kinds of findings about how the picture is stored."""
    mode, tile = header.mode, str(getattr(header, "tile", ""))
    if mode == "CMYK":
        yield "cmyk"
    if mode == "F":
        yield "float"
    elif mode.startswith("I") or ";16" in tile:
        yield "16-bit"
    if mode == "P" and header.has_transparency_data:
        yield "palette-transparency"
    elif header.has_transparency_data:
        yield "alpha"
    if getattr(header, "n_frames", 1) > 1 and header.format != "MPO":
        yield "frames"
    if _orientation(header) in range(2, 9):
        yield "rotated"


def _orientation(header: Image.Image) -> object:
    try:
        return header.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF: decoding ignores it too
        return 1
