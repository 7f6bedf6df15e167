"""WebDataset archives: the files of a tar with one name and unlike endings are a row.

A tar is read from front to back, never whole. Tests: tests/contract/test_data_readers.py.
"""

from __future__ import annotations

import fnmatch
import io
import json
import pickle
import re
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import table_from_rows
from mobula.data.op.stage import row_bytes
from mobula.data.optional import optional
from mobula.data.source.files import FileOptions, FileReader, open_file, same_kind

PICTURES = ("jpg", "jpeg", "png", "ppm", "pgm", "pbm", "pnm")
BLOCK_BYTES = 4 * 1024 * 1024
ROWS_MAX = 65536

Sample = dict[str, Any]


class WebDatasetReader(FileReader):
    """Columns `__key__`, `__url__` and one for each ending, decoded as `decoder` says."""

    def __init__(
        self, options: FileOptions, decoder: Any, fileselect: Any, filerename: Any, suffixes: Any,
        verbose_open: bool, expand_json: bool
    ) -> None:  # fmt: skip
        self.options, self.decoder, self.fileselect = options, decoder, fileselect
        self.filerename, self.suffixes = filerename, suffixes
        self.verbose_open, self.expand_json = verbose_open, expand_json

    def blocks(self, path: str) -> Iterator[pa.Table]:
        rows: list[Sample] = []
        size = 0
        if self.verbose_open:
            print(f"start {path}")
        with open_file(path, self.options, decompress=True) as file:
            for sample in self._samples(file, path):
                rows.append(self._decoded(sample))
                size += row_bytes(rows[-1])
                if size >= BLOCK_BYTES or len(rows) >= ROWS_MAX:
                    yield table_from_rows(rows)
                    rows, size = [], 0
        if rows:
            yield table_from_rows(rows)
        if self.verbose_open:
            print(f"done {path}")

    def _members(self, file: Any) -> Iterator[tuple[str, bytes]]:
        try:
            with tarfile.open(fileobj=file, mode="r|*") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() else None
                    if content is None:
                        continue
                    name = apply_all(self.filerename, member.name)
                    if matches(name, self.fileselect):
                        yield name, content.read()
        except tarfile.TarError as error:
            raise ValueError(f"this tar cannot be read: {error}") from None

    def _samples(self, file: Any, path: str) -> Iterator[Sample]:
        """Rows before they are decoded: files that follow one another and have the same key."""
        sample: Sample = {}
        for name, content in self._members(file):
            found = re.fullmatch(r"((?:.*/)?[^./]+)\.([^/]*)", name)
            if found is None:
                continue
            key, ending = found.groups()
            if key != sample.get("__key__"):
                if sample:
                    yield sample
                sample = {"__key__": key, "__url__": path}
            if ending in sample:
                raise ValueError(f"{name} is in the archive twice")
            if matches(ending, self.suffixes):
                sample[ending] = content
        if sample:
            yield sample

    def _decoded(self, sample: Sample) -> Sample:
        if self.decoder is not None:
            try:
                sample = apply_all(self.decoder, sample, decode_sample)
            except Exception as error:
                text = f"sample {sample['__key__']!r}: {error} (decoder=None gives the bytes as they are)"
                raise same_kind(error, text) from error
        if self.expand_json and "json" in sample:
            content = sample.pop("json")
            fields = content if isinstance(content, dict) else json.loads(content)
            sample = {**sample, **fields}
        return sample


def matches(name: str, patterns: Any) -> bool:
    """Is the name (or ending) one of those asked for? None takes all; a function decides itself."""
    if patterns is None:
        return True
    if callable(patterns):
        return bool(patterns(name))
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if ("*" in pattern or "?" in pattern) and fnmatch.fnmatch("." + name, pattern):
            return True
        if pattern in (name, "." + name):
            return True
    return False


def apply_all(functions: Any, value: Any, default: Callable[..., Any] | None = None) -> Any:
    """The value after one function or a list of them; what is no function selects a form of `default`."""
    if functions is None:
        return value
    for function in functions if isinstance(functions, list) else [functions]:
        if not callable(function) and default is not None:
            value = partial(default, form=function)(value)
        else:
            value = function(value)
    return value


def decode_sample(sample: Sample, form: Any = True) -> Sample:
    """Decodes what common endings say; `form` "PIL" leaves pictures as Pillow's."""
    out = dict(sample)
    for key, value in sample.items():
        ending = key.rsplit(".", 1)[-1].lower()
        if key.startswith("__") or not isinstance(value, bytes):
            continue
        if ending in PICTURES:
            out[key] = _picture(value, key, form)
        elif ending in _DECODERS:
            out[key] = _DECODERS[ending](value)
    return out


def _picture(content: bytes, name: str, form: Any) -> Any:
    if form == "PIL":
        image: Any = optional("PIL.Image", "decoder='PIL'").open(io.BytesIO(content))
        image.load()
        return image
    from mobula.data.source.image import ImageReader

    return ImageReader(FileOptions(), None, None)._decoded(content, name)


def _load_torch(content: bytes) -> Any:
    return optional("torch", "a .pt file").load(io.BytesIO(content))


def _load_msgpack(content: bytes) -> Any:
    return optional("msgpack", "an .mp file").unpackb(content, raw=False)


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "txt": bytes.decode,
    "text": bytes.decode,
    "cls": int,
    "cls2": int,
    "json": json.loads,
    "npy": lambda content: np.load(io.BytesIO(content)),
    "mp": _load_msgpack,
    "pt": _load_torch,
    "pth": _load_torch,
    "pickle": pickle.loads,
    "pkl": pickle.loads,
}


# -- writing -----------------------------------------------------------------------------------------


def encode_sample(sample: Sample, form: Any = True) -> Sample:
    """The bytes of each column, as its ending says."""
    out = dict(sample)
    for key, value in sample.items():
        ending = key.rsplit(".", 1)[-1].lower()
        if key.startswith("__") or isinstance(value, bytes):
            continue
        if ending in PICTURES:
            out[key] = encode_picture(value, ending)
        elif ending in _ENCODERS:
            out[key] = _ENCODERS[ending](value)
    return out


def encode_picture(value: Any, ending: str) -> bytes:
    """An array (or a picture of Pillow's) as a file's content."""
    image = optional("PIL.Image", "writing pictures")
    picture = value if isinstance(value, image.Image) else image.fromarray(np.asarray(value))
    out = io.BytesIO()
    picture.save(out, format={"jpg": "jpeg", "tif": "tiff"}.get(ending.lower(), ending))
    return out.getvalue()


def _save_npy(value: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(value))
    return out.getvalue()


def _save_torch(value: Any) -> bytes:
    out = io.BytesIO()
    optional("torch", "a .pt file").save(value, out)
    return out.getvalue()


def _save_json(value: Any) -> bytes:
    from mobula.data.sink.json import plain_value

    return json.dumps(value, default=plain_value).encode()


def _save_msgpack(value: Any) -> bytes:
    packed: bytes = optional("msgpack", "an .mp file").packb(value)
    return packed


_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "txt": lambda value: str(value).encode(),
    "text": lambda value: str(value).encode(),
    "cls": lambda value: str(value).encode(),
    "cls2": lambda value: str(value).encode(),
    "json": _save_json,
    "npy": _save_npy,
    "mp": _save_msgpack,
    "pt": _save_torch,
    "pth": _save_torch,
    "pickle": pickle.dumps,
    "pkl": pickle.dumps,
}
