"""The main job: a folder of clips in, a face for each frame out. Decoding is native, the model in an actor.

    python video_inference.py CLIPS OUTPUT [--actors N] [--json FILE]

Frames are decoded and shrunk in C++ while earlier ones are in the detector; a clip is never held whole.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from faces import SIDE, FaceDetector, model_path

import mobula as ray


def named(batch: dict[str, Any]) -> dict[str, Any]:
    """Columns as the detector wants them."""
    names = [os.path.basename(path) for path in batch["path"]]
    return {"path": np.array(names), "frame": batch["frame_index"], "image": batch["frame"]}


class NamedFaceDetector(FaceDetector):
    """The detector, fed with the columns of read_videos."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return super().__call__(named(batch))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips")
    parser.add_argument("output")
    parser.add_argument("--actors", type=int, default=1, help="detectors at work at once")
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()

    started = time.monotonic()
    ray.init(log_to_driver=False)
    clips = ray.data.read_videos(
        options.clips, include_paths=True, resize=(SIDE, SIDE), fit="letterbox", filter="nearest"
    )
    faces = clips.map_batches(
        NamedFaceDetector,
        fn_constructor_kwargs={"model": model_path()},
        batch_size=32,
        concurrency=options.actors,
    )
    faces.write_parquet(options.output)
    seconds = time.monotonic() - started

    table = pyarrow.parquet.read_table(options.output)
    found = int(np.sum(table["face"].to_numpy(zero_copy_only=False)))
    figures = {"frames": len(table), "detections": found, "seconds": seconds}
    print(faces.stats())
    print(json.dumps(figures))
    if options.json:
        Path(options.json).write_text(json.dumps(figures))
    ray.shutdown()


if __name__ == "__main__":
    main()
