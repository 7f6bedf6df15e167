"""Clips, frame by frame: decoded in C++ into tensor blocks that are yielded while the clip is still being
decoded, so a clip is never held whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import table_from_batch
from mobula.data.source.files import FileOptions, FileReader, resolve

VIDEO_ENDINGS = ("mp4", "mkv", "mov", "avi", "wmv", "flv", "webm", "m4v", "3gp", "mpeg", "mpg")
BLOCK_BYTES = 8 * 1024 * 1024  # frames decoded at a time: little latency, and far fewer blocks than frames
FRAMES_MAX = 64


class VideoReader(FileReader):
    """Columns `frame` (height x width x 3), `frame_index`, and on request `frame_timestamp` (seconds)."""

    def __init__(
        self,
        options: FileOptions,
        include_timestamps: bool,
        fps: float | None,
        resize: tuple[int, int] | None,
        fit: str,
        filter: str,
    ) -> None:
        self.options, self.include_timestamps = options, include_timestamps
        self.fps, self.resize, self.letterbox, self.filter = fps, resize, fit == "letterbox", filter

    def blocks(self, path: str) -> Iterator[pa.Table]:
        from mobula import _data

        if self.options.filesystem is not None or "://" in path:
            filesystem, place = resolve(path, self.options.filesystem)
            if type(filesystem).__name__ != "LocalFileSystem":
                raise NotImplementedError("clips are read from local files; copy it to this machine first")
            path = place
        clip = _data.Clip(
            path, size=self.resize, fps=self.fps or 0.0, filter=self.filter, letterbox=self.letterbox
        )
        height, width = clip.size
        step = max(1, min(FRAMES_MAX, BLOCK_BYTES // (height * width * 3)))
        while True:
            pixels = np.empty((step, height * width * 3), np.uint8)
            numbers, times = clip.read(pixels)
            count = len(numbers)
            if count:
                columns: dict[str, Any] = {
                    "frame": pixels[:count].reshape(count, height, width, 3),
                    "frame_index": np.asarray(numbers, np.int64),
                }
                if self.include_timestamps:
                    columns["frame_timestamp"] = np.asarray(times, np.float64)
                yield table_from_batch(columns)
            clip.finish()
            if count < step:
                return
