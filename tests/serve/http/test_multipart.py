"""Forms: whatever comes, in whatever pieces, and never more than the limits in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, strategies as st

from edge_serve.http.limits import ServeLimits
from edge_serve.http.multipart import Form, read_form
from edge_serve.http.refusal import Refusal
from serving import form

LIMITS = ServeLimits(files=3)
TYPE = "multipart/form-data; boundary=xYzZY"


def read(body: bytes, content_type: str = TYPE, piece: int = 1 << 20) -> Form:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), piece):
            yield body[start : start + piece]

    return asyncio.run(read_form(chunks(), content_type, LIMITS))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3), st.integers(1, 50))
def test_files_come_through_whole_in_pieces_of_any_size(files: list[bytes], piece: int) -> None:
    body, headers = form(*[("f", f"{number}.png", data) for number, data in enumerate(files)])
    found = read(body, headers["Content-Type"], piece)
    # A file that holds the boundary ends there, as the standard has it.
    if not any(b"--xYzZY" in data for data in files):
        assert [upload.data for upload in found.files] == files


@given(st.binary(max_size=400), st.integers(1, 20))
def test_whatever_comes_is_a_form_or_a_refusal(noise: bytes, piece: int) -> None:
    for body in (noise, b"--xYzZY\r\n" + noise, form(("f", "a", b"x"))[0][:-9] + noise):
        try:
            assert isinstance(read(body, piece=piece), Form)
        except Refusal as refusal:
            assert refusal.status in (400, 413)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"hello", 400),
        (form(("f", "a.png", b"x"))[0][:-4], 400),
        (b"--xYzZY\r\n\r\nno name\r\n--xYzZY--\r\n", 400),
        (b'--xYzZY\r\nContent-Disposition: attachment; name="f"\r\n\r\nx\r\n--xYzZY--\r\n', 400),
        (b"--xYzZY\r\n" + b"X: y\r\n" * 9 + b"\r\nx\r\n--xYzZY--\r\n", 400),
        (b"--xYzZY\r\nX: " + b"y" * 5000 + b"\r\n\r\nx\r\n--xYzZY--\r\n", 400),
        (form(*[("f", "a", b"x")] * 4)[0], 413),
        (form(*[(f"f{number}", None, b"x") for number in range(9)])[0], 413),
        (form(("top", None, b"1" * 257))[0], 413),
    ],
)
def test_what_is_malformed_or_too_much_is_refused(body: bytes, status: int) -> None:
    for piece in (1, 7, 1 << 20):
        with pytest.raises(Refusal) as caught:
            read(body, piece=piece)
        assert caught.value.status == status


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'a' * 300}"],
)
def test_a_form_without_a_sensible_boundary_is_400(content_type: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(form(("f", "a", b"x"))[0], content_type)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.png", "a.png"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\x.png", "x.png"),
        ("a\x07b.png", "ab.png"),
        ("", "picture"),
        ("x" * 900, "x" * 255),
        ("🐝.png", "🐝.png"),
    ],
)
def test_of_a_file_name_its_last_part_is_shown(name: str, shown: str) -> None:
    (upload,) = read(form(("f", name, b"x"))[0]).files
    assert upload.name == shown
