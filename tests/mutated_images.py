"""Pictures damaged at random, each known by its number, and a run that feeds them to the runtime one after another.

    python tests/mutated_images.py [--first 0] [--count 20000] [--journal FILE] [--only avif]

It prints one JSON object: how many were decoded and refused, the slowest in seconds, the peak of memory. It ends with
1 at the first file that raises anything but an ImageError of one line, and is killed with a traceback by a file that
takes longer than `WAIT_S`. The journal holds the number under way: the one to look at where the process died.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import json
import random
import struct
import sys
import time
import traceback
import warnings
import zlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from edge_runtime import ImageError, Preprocessing, decode
from edge_runtime.images.profiles import rgb_profile

__all__ = ["HANG_S", "mutated", "seeds"]

# A hang in seconds of the processor, and by the clock on a machine that does other work as well.
HANG_S, WAIT_S = 30.0, 60.0
CONTRACT = Preprocessing(resize_px=36, height_px=32, width_px=32, interpolation="bilinear")
NUMBERS = (0, 1, 2, 3, 7, 8, 255, 256, 8191, 8944, 16383, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def picture() -> Image.Image:
    """A small photo-like picture: a gradient under noise."""
    y, x = np.mgrid[:33, :46]
    noise = np.random.default_rng(0).integers(0, 60, (33, 46, 3))
    return Image.fromarray((noise + np.stack([x * 4, y * 5, x + y], axis=-1)).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def seeds() -> dict[str, bytes]:
    """Whole files of every format, mode and compression the runtime reads."""
    image = picture()
    palette, clear, grey = image.quantize(64), image.convert("RGBA"), image.convert("L")
    clear.putalpha(image.getchannel("R"))
    other = image.transpose(Image.Transpose.ROTATE_180)
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    jpegs = {
        "jpeg": encoded(image, "JPEG", exif=turned, quality=90),
        "jpeg-progressive": encoded(image, "JPEG", progressive=True, subsampling=0),
        "jpeg-restarts": encoded(image, "JPEG", restart_marker_rows=1),
        "jpeg-cmyk": encoded(image.convert("CMYK"), "JPEG"),
        "jpeg-grey": encoded(grey, "JPEG"),
        "mpo": encoded(image, "MPO", save_all=True, append_images=[other]),
    }
    wide_colours = rgb_profile(((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.329)))
    profiled = {
        "profile-jpeg": encoded(image, "JPEG", icc_profile=wide_colours),
        "profile-tiff": encoded(clear, "TIFF", icc_profile=wide_colours),
    }
    pngs = {
        "png": encoded(image, "PNG", exif=turned),
        "png-alpha": encoded(clear, "PNG"),
        "png-palette": encoded(palette, "PNG", transparency=3),
        "png-16": encoded(wide, "PNG"),
        "png-1": encoded(image.convert("1"), "PNG"),
        "png-la": encoded(clear.convert("LA"), "PNG"),
        "apng": encoded(image, "PNG", save_all=True, append_images=[other]),
    }
    others = {
        "gif": encoded(palette, "GIF"),
        "gif-interlaced": encoded(palette, "GIF", interlace=1, transparency=2),
        "gif-animated": encoded(palette, "GIF", save_all=True, append_images=[other.quantize(64)]),
        "webp": encoded(image, "WEBP", exif=turned),
        "webp-lossless": encoded(clear, "WEBP", lossless=True),
        "webp-animated": encoded(image, "WEBP", save_all=True, append_images=[other]),
        "bmp": encoded(image, "BMP"),
        "bmp-palette": encoded(palette, "BMP"),
        "bmp-1": encoded(image.convert("1"), "BMP"),
        "bmp-runs": _bmp_of_runs(),
    }
    compressions = ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    tiffs = {f"tiff-{name}": encoded(image, "TIFF", compression=name) for name in compressions}
    tiffs |= {
        "tiff": encoded(image, "TIFF", exif=turned),
        "tiff-big": encoded(image, "TIFF", big_tiff=True),
        "tiff-fax": encoded(image.convert("1"), "TIFF", compression="group4"),
        "tiff-palette": encoded(palette, "TIFF"),
        "tiff-16": encoded(wide, "TIFF", compression="tiff_lzw"),
        "tiff-float": encoded(grey.convert("F"), "TIFF"),
        "tiff-cmyk": encoded(image.convert("CMYK"), "TIFF"),
    }
    return {**jpegs, **profiled, **pngs, **others, **tiffs, **_coded(image, clear, grey, turned)}


def _coded(image: Image.Image, clear: Image.Image, grey: Image.Image, turned: Image.Exif) -> dict[str, bytes]:
    """AVIF and HEIC, where this build of Pillow and this machine have them."""
    files: dict[str, bytes] = {}
    if features.check("avif"):
        files |= {
            "avif": encoded(image, "AVIF", exif=turned.tobytes(), speed=10),
            "avif-alpha": encoded(clear, "AVIF", speed=10, subsampling="4:4:4"),
            "avif-grey": encoded(grey, "AVIF", speed=10),
            "avif-moving": encoded(image, "AVIF", speed=10, save_all=True, append_images=[grey]),
        }
    if find_spec("pillow_heif"):
        import pillow_heif

        wide = np.asarray(image).astype(np.uint16) * 257
        for name, pixels in {"heic": image, "heic-alpha": clear, "heic-grey": grey, "heic-10": image}.items():
            buffer = io.BytesIO()
            if name == "heic-10":
                pillow_heif.encode("RGB;16", image.size, wide.tobytes(), buffer)
            else:
                pillow_heif.from_pillow(pixels).save(buffer, exif=turned.tobytes())
            files[name] = buffer.getvalue()
        tiles = io.BytesIO()
        pillow_heif.from_pillow(image.resize((100, 90))).save(tiles, tile_size=64)
        files["heic-tiles"] = tiles.getvalue()
    return files


def _bmp_of_runs() -> bytes:
    palette = b"".join(bytes([value, 255 - value, value // 2, 0]) for value in range(256))
    rows = b"".join(bytes([5, 20 * row, 3, 7, 0, 4, 9, 8, 7, 6, 0, 0]) for row in range(9)) + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, 12, 9, 1, 8, 1, len(rows), 0, 0, 256, 0)
    return struct.pack("<2sIHHI", b"BM", 1078 + len(rows), 0, 0, 1078) + header + palette + rows


def mutated(number: int, only: str = "") -> bytes:
    """Damaged file number `number`: the same bytes whenever it is asked for, with the same Pillow and pillow-heif.

    `only` keeps to the formats whose names begin so.
    """
    dice = random.Random(number)
    names = sorted(name for name in seeds() if name.startswith(only))
    data = bytearray(seeds()[dice.choice(names)])
    other = seeds()[dice.choice(names)]
    for _ in range(dice.choice((1, 1, 2, 3, 5, 12))):
        data = _damaged(data, other, dice)
    # Most damage to a PNG only breaks a checksum; whoever means harm mends it.
    return _checked(bytes(data)) if dice.random() < 0.75 else bytes(data)


def _damaged(data: bytearray, other: bytes, dice: random.Random) -> bytearray:
    if len(data) < 8:
        return data
    # Half of the damage goes where the structure is.
    at = dice.randrange(min(len(data), dice.choice((64, 300, 10**9))))
    length = min(dice.choice((1, 2, 4, 16, 100)), len(data) - at)
    match dice.randrange(8):
        case 0:
            data[at] ^= 1 << dice.randrange(8)
        case 1:
            data[at] = dice.randrange(256)
        case 2:
            form = dice.choice(("<H", ">H", "<I", ">I"))
            field = struct.pack(form, dice.choice(NUMBERS) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
            data[at : at + len(field)] = field
        case 3:
            del data[at : at + length]
        case 4:
            data[at:at] = data[at : at + length] * dice.choice((1, 2, 50))
        case 5:
            data[at : at + length] = dice.randbytes(length)
        case 6:
            start = dice.randrange(len(other))
            data[at : at + length] = other[start : start + length]
        case _:
            del data[max(at, dice.randrange(len(data))) :]
    return data


def _checked(data: bytes) -> bytes:
    """A PNG with the checksums that its chunks should have; anything else as it is."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        body = data[at + 4 : at + 8 + length]
        parts += [data[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join(parts) + data[at:]


def feed(data: bytes, number: int) -> bool:
    """Whether the runtime decoded `data`; False where it refused it as it should. Raises where it did anything else."""
    try:
        if number % 8 == 0:
            pixels = CONTRACT(data)
            assert pixels.shape == (32, 32, 3), pixels.shape
        else:
            image = decode(data, reduce_to_px=(None, 8)[number % 2])
            assert image.mode == "RGB", image.mode
    except ImageError as error:
        assert error.message.startswith("image bytes"), error.message
        assert error.hint and str(error).isprintable(), repr(str(error))
        return False
    return True


def run(first: int, count: int, journal: Path | None, only: str = "") -> dict[str, float]:
    """Feed `count` files from number `first`; what came of them."""
    warnings.simplefilter("ignore")
    decoded, slowest_s, slowest = 0, 0.0, first
    with (journal or Path("/dev/null")).open("wb", buffering=0) as log:
        for number in range(first, first + count):
            data = mutated(number, only)
            log.seek(0)
            log.write(b"%-12d" % number)
            faulthandler.dump_traceback_later(WAIT_S, exit=True)
            start = time.process_time()
            try:
                decoded += feed(data, number)
            except BaseException:
                sys.stderr.write(f"file number {number}, {len(data)} bytes\n{traceback.format_exc()}")
                raise SystemExit(1) from None
            finally:
                faulthandler.cancel_dump_traceback_later()
            took_s = time.process_time() - start
            if took_s > slowest_s:
                slowest_s, slowest = took_s, number
    return {
        "decoded": decoded,
        "refused": count - decoded,
        "slowest_s": slowest_s,
        "slowest": slowest,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """The most memory this process has had since its program began, in MB."""
    # Not getrusage: its peak is the parent's where that was larger when it started this process.
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="feed damaged pictures to the runtime")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--only", default="", help="of the formats whose names begin so")
    given = parser.parse_args()
    sys.stdout.write(json.dumps(run(given.first, given.count, given.journal, given.only)) + "\n")


if __name__ == "__main__":
    main()
