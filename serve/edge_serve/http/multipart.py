"""Files and fields of a form (RFC 7578), held in memory: nothing a client sends is written to a disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from edge_serve.http.limits import ServeLimits
from edge_serve.http.refusal import Refusal, short

FILE_NAME_HINT = "give a picture's part a file name: curl -F file=@photo.jpg"
_FIELDS = 8
_FIELD_BYTES = 256
_PART_HEADERS = 8
_PART_HEADER_BYTES = 1024
_NAME_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form: the name the client gave it, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """What a form brought."""

    files: list[Upload] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


async def read_form(chunks: AsyncIterator[bytes], content_type: str, limits: ServeLimits) -> Form:
    """The form in `chunks`; limits hold while it is read, so what is refused is never held whole.

    Raises Refusal: not a form or cut short (400), too many files (413), or a field, a name or a header too long (413).
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise Refusal(400, "form", "the form states no boundary", "let the client make the Content-Type header")
    reader = _Reader(limits)
    try:
        parser = MultipartParser(
            boundary,
            reader.callbacks(),  # type: ignore[arg-type]
            max_header_count=_PART_HEADERS,
            max_header_size=_PART_HEADER_BYTES,
        )
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except FormParserError:
        raise Refusal(400, "form", "the form is malformed", "let a library make it") from None
    if not reader.ended:
        raise Refusal(400, "form", "the form was cut short", "send it again")
    return reader.form


class _Reader:
    """Takes the parser's calls, part by part."""

    def __init__(self, limits: ServeLimits) -> None:
        self.form = Form()
        self.ended = False
        self._limits = limits
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._data = bytearray()
        self._name = ""
        self._file_name: str | None = None

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_data,
            "on_part_data": self._take,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._disposition = b""
        self._data = bytearray()

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _begin_data(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise Refusal(400, "form", "a part of the form has no name", "let a library make it")
        self._name = options[b"name"].decode("utf-8", "replace")
        given = options.get(b"filename")
        self._file_name = None if given is None else _base_name(given.decode("utf-8", "replace"))
        if self._file_name is None and len(self.form.fields) >= _FIELDS:
            raise Refusal(413, "form", f"more than {_FIELDS} fields")
        if self._file_name is not None and len(self.form.files) >= self._limits.files:
            raise Refusal(413, "files", f"more than {self._limits.files} files", "send them in several requests")

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._file_name is None and len(self._data) + end - start > _FIELD_BYTES:
            raise Refusal(413, "form", f"{no_file_name(self._name)} and is too long for an option", FILE_NAME_HINT)
        self._data += memoryview(data)[start:end]

    def _end_part(self) -> None:
        if self._file_name is not None:
            self.form.files.append(Upload(self._file_name, bytes(self._data)))
        else:
            self.form.fields[self._name] = self._data.decode("utf-8", "replace")
        self._data = bytearray()

    def _end(self) -> None:
        self.ended = True


def no_file_name(field: str) -> str:
    """The beginning of a message on a part that is taken for an option for want of a file name."""
    return f"the form's part {short(field)!r} has no file name"


def _base_name(name: str) -> str:
    """A client's file name without folders and control characters; it is only ever shown."""
    base = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in base if char.isprintable())[:_NAME_CHARACTERS] or "picture"
