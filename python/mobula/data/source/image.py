"""Pictures: column `image`, arrays of height x width (x channels). JPEG, PNG and WebP are decoded in C++,
without the GIL; other formats by Pillow where it is installed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import table_from_batch
from mobula.data.source.files import FileOptions, FileReader, open_file

IMAGE_ENDINGS = ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif", "webp")
_NATIVE_MODES = (None, "RGB", "RGBA", "L")


class ImageReader(FileReader):
    """Decodes, converts to `mode` and resizes to `size` (height, width), like Pillow."""

    def __init__(self, options: FileOptions, size: tuple[int, int] | None, mode: str | None) -> None:
        self.options, self.size, self.mode = options, size, mode

    def blocks(self, path: str) -> Iterator[pa.Table]:
        with open_file(path, self.options) as file:
            content = file.read()
        image = self._decoded(content, path)
        yield table_from_batch({"image": image[None]})

    def gathers(self) -> bool:
        return True

    def _decoded(self, content: bytes, path: str) -> np.ndarray:
        if self.mode in _NATIVE_MODES:
            from mobula import _data

            try:
                if self.mode is None and _data.probe_image(content, path)[0] not in (1, 3, 4):
                    return self._by_pillow(content)
                found: np.ndarray = _data.decode_image(content, path, size=self.size, mode=self.mode)
                return found
            except NotImplementedError as error:
                return self._by_pillow(content, error)
        return self._by_pillow(content)

    def _by_pillow(self, content: bytes, refused: Exception | None = None) -> np.ndarray:
        try:
            from PIL import Image
        except ImportError:
            raise refused or NotImplementedError(
                f"mode={self.mode!r} needs Pillow: pip install pillow"
            ) from None
        with Image.open(io.BytesIO(content)) as opened:
            image: Any = opened
            if self.mode is not None:
                image = image.convert(self.mode)
            if self.size is not None:
                image = image.resize((self.size[1], self.size[0]), resample=Image.Resampling.BILINEAR)
            return np.asarray(image)


def checked_size(size: Any, what: str) -> tuple[int, int] | None:
    """(height, width), or None."""
    if size is None:
        return None
    if len(size) != 2 or any(not isinstance(side, int) or side < 1 for side in size):
        raise ValueError(f"{what}: size={size!r}; give (height, width), both at least 1")
    return size[0], size[1]
