"""Pictures in other colour spaces -> sRGB, by their embedded profile, as browsers and picture viewers show them.

LittleCMS does it, by way of Pillow, with relative colorimetric intent and black point compensation: colours that sRGB
has stay what they are, and those beyond become its nearest. A profile that is broken, or of another kind of picture
than the one it stands in, is ignored, as browsers do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

from edge_runtime.errors import ImageError
from edge_runtime.images.profiles import is_srgb, profile_of

if TYPE_CHECKING:
    from PIL import Image

Converter: TypeAlias = "Callable[[Image.Image], Image.Image]"
"""An opaque picture of 8 bits, CMYK where the profile is of CMYK and RGB elsewhere -> RGB, perhaps the same one."""

_MAX_PROFILE_BYTES = 4 << 20
# Photos of one camera share one profile; a folder from everywhere has a few.
_KEPT = 16
_SPACES = {
    b"RGB ": frozenset({"RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "YCbCr"}),
    b"GRAY": frozenset({"L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N", "I", "F"}),
    b"CMYK": frozenset({"CMYK"}),
}


def converter_of(image: Image.Image, nclx: tuple[int, int] | None, name: str) -> Converter | None:
    """What makes sRGB of an image's pixels; None where they are sRGB, say nothing of it, or say what is broken.

    `nclx`: what an AVIF or HEIC file without an ICC profile says of its colours (ITU-T H.273).
    Raises ImageError where it has a profile and this build of Pillow has no LittleCMS.
    """
    profile = image.info.get("icc_profile")
    if not profile and nclx is not None:
        profile = profile_of(nclx)
    if not isinstance(profile, bytes) or not _HEADER_BYTES < len(profile) <= _MAX_PROFILE_BYTES:
        return None
    if image.mode not in _SPACES.get(profile[16:20], ()):
        return None
    try:
        return _converter(profile)
    except ImportError as error:
        text = f"{name} has a colour profile, which this build of Pillow cannot convert"
        raise ImageError(text, "install Pillow from its wheel, which has LittleCMS", "not-supported") from error


_HEADER_BYTES = 128


@lru_cache(_KEPT)
def _converter(profile: bytes) -> Converter | None:
    space = profile[16:20]
    if space != b"CMYK" and is_srgb(profile):
        return None
    # Only now: importing it costs as much as decoding a small picture.
    from PIL import ImageCms

    mode = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}[space]
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except ImportError:
        raise
    except Exception:  # LittleCMS by way of Pillow: PyCMSError, OSError, and what hostile numbers bring
        return None
    return lambda image: _applied(transform, image, mode)


def _applied(transform: Any, image: Image.Image, mode: str) -> Image.Image:
    if mode == "L":
        image = image.getchannel(0)
    if mode == "RGB":
        transform.apply_in_place(image)
        return image
    return transform.apply(image)  # type: ignore[no-any-return]
