"""Augmentation that moves pixels: crops, mirrors, warps. RGB pictures in and out, draws from the generator given."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_runtime import Preprocessing

_MESH_CELLS = 4


def crop(
    image: Image.Image,
    contract: Preprocessing,
    draw: np.random.Generator,
    *,
    least_area: float,
    stretch: float = 4 / 3,
    pad: float = 0.0,
) -> Image.Image:
    """The model's input cut from a picture at random, `contract.width_px` × `contract.height_px`.

    A picture larger than the input both ways gives a crop of `least_area` to 1 of its area and of aspect
    1/`stretch` to `stretch`, resized (Szegedy et al. 2015, section 6). One that is not, because the whole of it is
    the input, is small: there a window of the input's size is moved by up to `pad` of a side instead, the picture
    mirrored at its edges, as the recipes for CIFAR do (He et al. 2016, section 4.2, with zeros for the mirror).
    """
    if image.width <= contract.width_px or image.height <= contract.height_px:
        image = contract.resize(image)
        columns = _window(image.width, contract.width_px, draw, pad)
        rows = _window(image.height, contract.height_px, draw, pad)
        return Image.fromarray(np.asarray(image).take(rows, axis=0).take(columns, axis=1))
    width, height = image.size
    ratio = contract.width_px / contract.height_px
    for _ in range(10):
        area = width * height * draw.uniform(least_area, 1.0)
        aspect = ratio * math.exp(draw.uniform(-math.log(stretch), math.log(stretch)))
        crop_width, crop_height = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if crop_width <= width and crop_height <= height:
            break
    else:
        crop_width = min(width, height * ratio)
        crop_height = min(height, crop_width / ratio)  # the quotient can be rounded above the height
    left = draw.uniform(0, width - crop_width)
    top = draw.uniform(0, height - crop_height)
    return image.resize(
        (contract.width_px, contract.height_px),
        Image.Resampling[contract.interpolation.upper()],
        box=(left, top, min(width, left + crop_width), min(height, top + crop_height)),
    )


def _window(side_px: int, crop_px: int, draw: np.random.Generator, pad: float) -> NDArray[np.int64]:
    """[crop_px] indices into a side: consecutive, from a random start, mirrored beyond either end."""
    room, reach = side_px - crop_px, round(pad * crop_px)
    start = int(draw.integers(min(0, room) - reach, max(0, room) + reach + 1))
    index = np.arange(start, start + crop_px, dtype=np.int64) % (2 * side_px)
    return np.minimum(index, 2 * side_px - 1 - index)


def mirror(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Left for right, half of the time."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draw.random() < 0.5 else image


def upend(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Top for bottom, half of the time."""
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if draw.random() < 0.5 else image


def warp(
    image: Image.Image,
    draw: np.random.Generator,
    *,
    degrees: float = 0.0,
    shift: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    shear: tuple[float, float] = (0.0, 0.0),
    distortion: float = 0.0,
    distorted: float = 0.5,
) -> Image.Image:
    """Turn by up to ± `degrees`, move by ± `shift` of a side, scale and shear about the centre, and see from an angle.

    `shear` is the most along x and along y, as tangents. With probability `distorted` each corner moves inwards by up
    to `distortion` of half the side, as torchvision's RandomPerspective does. All of it is one map and one
    resampling: each more would blur. What comes from outside the picture has the colour of its edge.
    """
    angle = math.radians(draw.uniform(-degrees, degrees))
    zoom = draw.uniform(*scale)
    right, down = draw.uniform(-shift, shift, size=2) * image.size
    lean_x, lean_y = draw.uniform(-1, 1, size=2) * shear
    x, y = image.width / 2, image.height / 2
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1 / zoom]])
    lean = np.array([[1, lean_x, 0], [lean_y, 1, 0], [0, 0, 1]])
    forwards = _moved(x + right, y + down) @ turn @ lean @ _moved(-x, -y)
    if distortion and draw.random() < distorted:
        forwards = _perspective(image.size, draw, distortion) @ forwards
    # Pillow wants the map from output to input.
    backwards = np.linalg.inv(forwards)
    coefficients = (backwards / backwards[2, 2]).reshape(9).tolist()
    flat = abs(coefficients[6]) + abs(coefficients[7]) < 1e-12
    return image.transform(
        image.size,
        Image.Transform.AFFINE if flat else Image.Transform.PERSPECTIVE,
        coefficients[: 6 if flat else 8],
        Image.Resampling.BILINEAR,
        fillcolor=_edge_colour(image),
    )


def elastic(image: Image.Image, draw: np.random.Generator, *, reach: float) -> Image.Image:
    """Pull the picture about like rubber, points by up to `reach` of a side; its edge stays where it is.

    Displacements on a coarse grid, after Ronneberger et al. 2015 (section 3.1), linear in between.
    """
    vertices = np.linspace(0, 1, _MESH_CELLS + 1)
    whole = np.stack(np.meshgrid(vertices, vertices), axis=-1) * image.size
    target = np.rint(whole).astype(np.int64)
    source = target.astype(np.float64)
    source[1:-1, 1:-1] += draw.uniform(-reach, reach, size=(_MESH_CELLS - 1, _MESH_CELLS - 1, 2)) * image.size
    mesh = []
    for row in range(_MESH_CELLS):
        for column in range(_MESH_CELLS):
            (left, top), (right, bottom) = target[row, column].tolist(), target[row + 1, column + 1].tolist()
            if left < right and top < bottom:
                north_west, south_west = source[row, column], source[row + 1, column]
                south_east, north_east = source[row + 1, column + 1], source[row, column + 1]
                quad = np.concatenate([north_west, south_west, south_east, north_east]).tolist()
                mesh.append(((left, top, right, bottom), tuple(quad)))
    return image.transform(image.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def _moved(right: float, down: float) -> NDArray[np.float64]:
    return np.array([[1.0, 0.0, right], [0.0, 1.0, down], [0.0, 0.0, 1.0]])


def _perspective(size: tuple[int, int], draw: np.random.Generator, distortion: float) -> NDArray[np.float64]:
    """[3, 3] projective map of a picture's corners to corners further in."""
    width, height = size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64)
    inwards = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    moved = corners + inwards * draw.uniform(0, distortion / 2, size=(4, 2)) * size
    equations = np.zeros((8, 8))
    for row, ((x, y), (u, v)) in enumerate(zip(corners, moved, strict=True)):
        equations[2 * row] = (x, y, 1, 0, 0, 0, -u * x, -u * y)
        equations[2 * row + 1] = (0, 0, 0, x, y, 1, -v * x, -v * y)
    solved = np.linalg.solve(equations, moved.reshape(8))
    return np.append(solved, 1.0).reshape(3, 3)


def _edge_colour(image: Image.Image) -> tuple[int, ...]:
    """The median of the outermost pixels: paper around a page, black around a scan."""
    pixels = np.asarray(image)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    middle = len(edge) // 2
    return tuple(np.partition(edge, middle, axis=0)[middle].tolist())
