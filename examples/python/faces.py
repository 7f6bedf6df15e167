"""The face detector that the video examples share: BlazeFace (short range) on OpenVINO, and its decoding.

The model sees a frame of 128 x 128 pixels and answers for 896 anchors with a score and a box. The grid of
anchors is that of Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 128  # of the model's input, in pixels
MODEL = "modules/face_detection/face_detection_short_range.tflite"


def package_folder(name: str) -> Path:
    """Where an installed package lies, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"package {name} is not installed: run ./dev demo, or pip install --no-deps {name}")
    return Path(spec.submodule_search_locations[0])


def model_path() -> str:
    """The trained model, out of mediapipe's wheel."""
    return str(package_folder("mediapipe") / MODEL)


def letterbox(image: np.ndarray) -> np.ndarray:
    """A frame (height x width x 3) shrunk to SIDE x SIDE by nearest neighbour, its borders black."""
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    rows_out, columns_out = round(height * scale), round(width * scale)
    rows = ((np.arange(rows_out) + 0.5) * height / rows_out).astype(int)
    columns = ((np.arange(columns_out) + 0.5) * width / columns_out).astype(int)
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    top, left = (SIDE - rows_out) // 2, (SIDE - columns_out) // 2
    canvas[top : top + rows_out, left : left + columns_out] = image[rows][:, columns]
    return canvas


def anchors() -> np.ndarray:
    """Centres (x, y in 0..1) of the 896 anchors: 16 x 16 cells with two each, then 8 x 8 with six."""
    centres = []
    for cells, per_cell in ((16, 2), (8, 6)):
        for y in range(cells):
            for x in range(cells):
                centres += [((x + 0.5) / cells, (y + 0.5) / cells)] * per_cell
    return np.array(centres, np.float32)


class FaceDetector:
    """Frames in (`image`: n x 128 x 128 x 3), the best face of each out: score, and box (x, y, w, h)."""

    def __init__(self, model: str, threshold: float = 0.5, threads: int = 1) -> None:
        import openvino

        if not os.path.exists(model):
            raise FileNotFoundError(f"there is no model at {model}; ./dev demo installs one")
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_NUM_THREADS": threads})
        self.request = compiled.create_infer_request()
        self.anchors, self.threshold = anchors(), threshold

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        self.request.infer([image[None].astype(np.float32) / 127.5 - 1])
        outputs = [self.request.get_output_tensor(i).data[0] for i in (0, 1)]
        boxes, logits = sorted(outputs, key=lambda output: -output.shape[-1])
        best = int(logits[:, 0].argmax())
        score = 1 / (1 + np.exp(-np.clip(float(logits[best, 0]), -80, 80)))
        centre, extent = boxes[best, :2] / SIDE + self.anchors[best], boxes[best, 2:4] / SIDE
        return np.concatenate([centre - extent / 2, extent]), float(score)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        boxes, scores = zip(*[self.detect(image) for image in batch["image"]], strict=True)
        score = np.array(scores, np.float32)
        return {
            "path": batch["path"],
            "frame": batch["frame"],
            "score": score,
            "face": score >= self.threshold,
            "box": np.array(boxes, np.float32),
        }
