"""Lines of text and JSON, a piece of the file at a time. Tests: tests/contract/test_data_readers.py."""

from __future__ import annotations

import codecs
import io
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from mobula.data.block import table_from_rows
from mobula.data.source.files import FileOptions, FileReader, open_file

LINES_PER_BLOCK = 65536
PIECE_BYTES = 4 * 1024 * 1024
VALUE_CHARACTERS_MAX = 256 * 1024 * 1024  # of one JSON object: past it, a file is broken rather than large
JSON_ENDINGS = tuple(
    name + packed for name in ("json", "jsonl", "ndjson") for packed in ("", ".gz", ".bz2", ".zst", ".lz4")
)


class TextReader(FileReader):
    """Each line is a row: column `text`."""

    def __init__(self, options: FileOptions, encoding: str, drop_empty_lines: bool) -> None:
        self.options, self.encoding, self.drop_empty_lines = options, encoding, drop_empty_lines

    def blocks(self, path: str) -> Iterator[pa.Table]:
        with (
            open_file(path, self.options, decompress=True) as file,
            io.TextIOWrapper(file, self.encoding) as lines,
        ):
            gathered: list[str] = []
            size = 0
            for line in self._lines(lines):
                gathered.append(line)
                size += len(line)
                if len(gathered) >= LINES_PER_BLOCK or size >= PIECE_BYTES:
                    yield pa.table({"text": pa.array(gathered, pa.string())})
                    gathered, size = [], 0
        yield pa.table({"text": pa.array(gathered, pa.string())})

    def _lines(self, lines: Iterable[str]) -> Iterator[str]:
        number = 0
        try:
            for line in lines:
                number += 1
                text = line.rstrip("\r\n")
                if text.strip() or not self.drop_empty_lines:
                    yield text
        except UnicodeDecodeError as error:
            raise ValueError(
                f"after line {number}: {error.reason} for {self.encoding}; name the file's encoding with "
                "encoding=…, or read it with read_binary_files"
            ) from None


class JsonReader(FileReader):
    """JSON objects, one a line (parsed by Arrow, a piece of the file at a time), or arrays of them."""

    def __init__(self, options: FileOptions, lines: bool, arguments: dict[str, Any]) -> None:
        self.options, self.lines, self.arguments = options, lines, arguments

    def blocks(self, path: str) -> Iterator[pa.Table]:
        with open_file(path, self.options, decompress=True) as file:
            pieces = iter(lambda: file.read(PIECE_BYTES), b"")
            first = next(pieces, b"").removeprefix(codecs.BOM_UTF8)
            while first and not first.strip():
                first = next(pieces, b"")
            if not first:
                return
            whole = itertools.chain([first], pieces)
            if self.lines or _starts_with_a_row(first):
                yield from self._by_lines(whole)
            else:
                yield from _by_values(whole)

    def _by_lines(self, pieces: Iterator[bytes]) -> Iterator[pa.Table]:
        from pyarrow import json as arrow_json

        number = 1
        for chunk in _cut_at_lines(pieces):
            try:
                if chunk.strip():
                    yield arrow_json.read_json(pa.BufferReader(chunk), **self.arguments)
            except pa.ArrowInvalid:
                yield table_from_rows(list(_rows_of_lines(chunk, number)))
            number += chunk.count(b"\n")


def _starts_with_a_row(first: bytes) -> bool:
    """Is the first line an object by itself?"""
    line = first.lstrip().split(b"\n", 1)[0]
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _cut_at_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks that end where a line ends."""
    waiting: list[bytes] = []
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if not end:
            waiting.append(piece)
            continue
        yield b"".join([*waiting, piece[:end]])
        waiting = [piece[end:]]
    if any(waiting):
        yield b"".join(waiting)


def _rows_of_lines(chunk: bytes, number: int) -> Iterator[dict[str, Any]]:
    """The rows of a chunk whose first line has this number: types may differ from row to row."""
    for place, line in enumerate(chunk.splitlines()):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number + place}: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number + place}: a row is a JSON object, got {line[:60]!r}")
        yield row


def _by_values(pieces: Iterator[bytes]) -> Iterator[pa.Table]:
    """Objects of an array, or one after the other over any number of lines."""
    rows: list[dict[str, Any]] = []
    size = 0
    for row, characters in _objects(pieces):
        rows.append(row)
        size += characters
        if size >= PIECE_BYTES or len(rows) >= LINES_PER_BLOCK:
            yield table_from_rows(rows)
            rows, size = [], 0
    if rows:
        yield table_from_rows(rows)


def _objects(pieces: Iterator[bytes]) -> Iterator[tuple[dict[str, Any], int]]:
    """Each object and how many characters it took."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    scan = json.JSONDecoder().raw_decode
    text, place, before, ended, brackets = "", 0, 0, False, 0
    while True:
        start, place = place, _past_separators(text, place)
        brackets += text.count("[", start, place) - text.count("]", start, place)
        try:
            if place == len(text):
                raise ValueError("the file ends inside an array; it was cut off")
            row, end = scan(text, place)
        except ValueError as error:
            if ended and place == len(text) and brackets <= 0:
                return
            if ended or len(text) - place > VALUE_CHARACTERS_MAX:
                raise ValueError(_at(error, before, place)) from None
            more = list(itertools.islice(pieces, 1 + (len(text) - place) // PIECE_BYTES))
            ended = not more
            before, text, place = before + place, text[place:] + decode(b"".join(more), final=ended), 0
            continue
        if not isinstance(row, dict):
            raise ValueError(f"character {before + place}: a row is a JSON object, got {str(row)[:60]!r}")
        yield row, end - place
        place = end


def _at(error: ValueError, before: int, place: int) -> str:
    """The error with its place in the whole file."""
    if isinstance(error, json.JSONDecodeError):
        return f"character {before + error.pos}: {error.msg}"
    return f"character {before + place}: {error}"


def _past_separators(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n,[]":
        place += 1
    return place
