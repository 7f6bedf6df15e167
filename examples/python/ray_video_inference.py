"""A Ray program, as people have them: a function decodes clips, an actor finds faces, rows go to Parquet.

Run it with `mobula run --as-ray ray_video_inference.py CLIPS OUTPUT`: nothing in it names Mobula.
"""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet
import ray
from faces import FaceDetector, letterbox, model_path

FRAMES_PER_BATCH = 32


def decode(batch):
    """One file in, batches of letterboxed frames out, while the clip is being decoded."""
    for path, content in zip(batch["path"], batch["bytes"], strict=True):
        images, first = [], 0
        with av.open(io.BytesIO(content)) as container:
            for frame in container.decode(video=0):
                images.append(letterbox(frame.to_ndarray(format="rgb24")))
                if len(images) == FRAMES_PER_BATCH:
                    yield as_batch(path, first, images)
                    images, first = [], first + FRAMES_PER_BATCH
        if images:
            yield as_batch(path, first, images)


def as_batch(path, first, images):
    numbers = np.arange(first, first + len(images))
    return {"path": np.array([Path(path).name] * len(images)), "frame": numbers, "image": np.stack(images)}


def main(clips, output, figures=None):
    started = time.monotonic()
    ray.init(num_cpus=2, log_to_driver=False)
    (
        ray.data.read_binary_files(clips, include_paths=True)
        .map_batches(decode, batch_size=1)
        .map_batches(
            FaceDetector,
            fn_constructor_kwargs={"model": model_path()},
            batch_size=FRAMES_PER_BATCH,
            concurrency=1,
        )
        .write_parquet(output)
    )
    seconds = time.monotonic() - started
    table = pyarrow.parquet.read_table(output)
    found = int(np.sum(table["face"].to_numpy(zero_copy_only=False)))
    result = {"frames": len(table), "detections": found, "seconds": seconds}
    print(json.dumps(result))
    if figures:
        Path(figures).write_text(json.dumps(result))
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
