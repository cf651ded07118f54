"""Colour profiles: whether one is sRGB, and one made from the numbers that a video stream has in its place.

An ICC profile (ICC.1:2022) is a header of 128 bytes, a table of tags, and what they hold. Those of cameras and phones
say where their red, green and blue lie and how bright each value is.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_HEADER_BYTES = 128
# Where sRGB's red, green and blue lie, seen under ICC's white, D50 (IEC 61966-2-1 and ICC's own sRGB profiles).
_SRGB_COLOURS = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
_COLOUR_TOLERANCE = 0.002
# Profiles made small on purpose (Facebook's "c2") are within this of sRGB's curve.
_CURVE_TOLERANCE_LEVELS = 1.5
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D65 = (0.3127, 0.329)
# Red, green, blue and white as x and y, by their number in ITU-T H.273, table 2. 2 is "unspecified".
_PRIMARIES = {
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.31, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    7: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    9: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), _D65),
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65),
    22: ((0.63, 0.34), (0.295, 0.605), (0.155, 0.077), _D65),
}
_BT709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
# By their number in table 3. The curves for television are made for a picture that is shown as an sRGB one is.
_SRGB_TRANSFERS = frozenset({0, 1, 2, 6, 13, 14, 15})
_GAMMA_TRANSFERS = {4: 2.2, 5: 2.8, 8: 1.0}

Colours = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


def is_srgb(profile: bytes) -> bool:
    """Whether an ICC profile of RGB or grey pictures describes sRGB, or grey of sRGB's curve; False where in doubt."""
    try:
        tags = _tags(profile)
        if any(name.startswith(b"A2B") for name in tags):
            return False
        if profile[16:20] == b"GRAY":
            return _is_srgb_curve(tags[b"kTRC"])
        colours = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        near = np.abs(np.array(colours) - _SRGB_COLOURS).max() <= _COLOUR_TOLERANCE
        return bool(near) and all(_is_srgb_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
    except (KeyError, ValueError, struct.error, FloatingPointError):
        return False


def profile_of(nclx: tuple[int, int]) -> bytes | None:
    """The ICC profile of a picture with these colour primaries and this transfer curve (ITU-T H.273).

    None where it is sRGB's, or not known; and for PQ and HLG, whose brightness needs more than a profile.
    """
    primaries, transfer = nclx
    if transfer not in _SRGB_TRANSFERS and transfer not in _GAMMA_TRANSFERS:
        return None
    gamma = _GAMMA_TRANSFERS.get(transfer)
    if primaries in _PRIMARIES:
        return rgb_profile(_PRIMARIES[primaries], gamma)
    return rgb_profile(_BT709, gamma) if primaries == 1 and gamma else None


def rgb_profile(colours: Colours, gamma: float | None = None) -> bytes:
    """An ICC profile of red, green, blue and white, each as x and y, with sRGB's curve or a power of `gamma`."""
    lights = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in colours]).T
    white = lights[:, 3]
    # The three add up to white, and are then seen under D50 (Lindbloom's chromatic adaptation).
    adapted = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    scaled = lights[:, :3] * np.linalg.solve(lights[:, :3], white)
    under_d50 = np.linalg.inv(_BRADFORD) @ adapted @ _BRADFORD @ scaled
    points = [_XYZ_START + b"".join(_fixed(value) for value in column) for column in (_D50, *under_d50.T)]
    kind, numbers = (0, (gamma,)) if gamma else (3, _SRGB_CURVE)
    curve = struct.pack(">4sIHH", b"para", 0, kind, 0) + b"".join(_fixed(number) for number in numbers)
    text = "edge".encode("utf-16-be")
    named = struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(text), 28) + text
    holds = [(b"desc", named), (b"cprt", named)]
    holds += list(zip((b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ"), points, strict=True))
    holds += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    return _assembled(holds)


_XYZ_START = b"XYZ \0\0\0\0"


def _assembled(holds: list[tuple[bytes, bytes]]) -> bytes:
    table, data = b"", b""
    start = _HEADER_BYTES + 4 + 12 * len(holds)
    for name, held in holds:
        table += struct.pack(">4sII", name, start + len(data), len(held))
        data += held + bytes(-len(held) % 4)
    body = struct.pack(">I", len(holds)) + table + data
    head = struct.pack(">I4sI4s4s4s", _HEADER_BYTES + len(body), b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(_fixed(value) for value in _D50)
    return head.ljust(_HEADER_BYTES, b"\0") + body


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, _HEADER_BYTES)
    tags = {}
    for number in range(min(count, 100)):
        name, start, length = struct.unpack_from(">4sII", profile, _HEADER_BYTES + 4 + 12 * number)
        tags[name] = profile[start : start + length]
    return tags


def _xyz(tag: bytes) -> tuple[float, ...]:
    return tuple(value / 65536 for value in struct.unpack_from(">iii", tag, 8))


def _is_srgb_curve(tag: bytes) -> bool:
    values = np.arange(256) / 255
    with np.errstate(all="raise"):
        light = _light(tag, values).clip(0, 1)
    # Back through sRGB's curve, so that a level counts the same in the dark as in the light.
    found = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return bool(np.abs(found - values).max() * 255 <= _CURVE_TOLERANCE_LEVELS)


def _light(tag: bytes, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a `curv` or `para` tag makes of values from 0 to 1. Raises ValueError for another."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return values
        if count == 1:
            return np.asarray(values ** (struct.unpack_from(">H", tag, 12)[0] / 256))
        table = np.frombuffer(tag, ">u2", count, 12) / 65535
        return np.interp(values, np.linspace(0, 1, count), table)
    if tag[:4] != b"para":
        raise ValueError("no curve")
    (kind,) = struct.unpack_from(">H", tag, 8)
    gamma, *rest = (value / 65536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[min(kind, 4)]}i", tag, 12))
    match kind:
        case 0:
            return np.asarray(values**gamma)
        case 3 | 4:
            a, b, c, d, *more = rest
            e, f = more if more else (0.0, 0.0)
            return np.asarray(np.where(values >= d, (a * values + b).clip(0) ** gamma + e, c * values + f))
        case _:
            raise ValueError("no curve that sRGB is written as")
