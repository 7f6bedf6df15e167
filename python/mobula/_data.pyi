from collections.abc import Callable
from typing import Annotated

import numpy
from numpy.typing import NDArray
from typing_extensions import CapsuleType


class Execution:
    """One run of a physical plan."""

    def __init__(self, engine: CapsuleType, operators: list, inputs: dict, options: dict, make_actor: Callable, end_actor: Callable) -> None: ...

    def start(self) -> None:
        """Begins to run."""

    def next(self, timeout_s: float) -> object:
        """
        None if nothing came in time, ('end',), ('failed', failure) or ('block', id, rows, bytes, offset, length, order).
        """

    def release(self, object: bytes) -> None:
        """Lets go of the reference that came with a block."""

    def stop(self) -> None:
        """Ends what runs and releases what was not taken."""

    def view(self) -> dict:
        """Figures of the run so far."""

class Clip:
    """A clip read frame by frame; it is never held whole."""

    def __init__(self, path: str, size: tuple[int, int] | None = None, fps: float = 0.0, filter: str = 'bilinear', letterbox: bool = False, threads: int = 1) -> None: ...

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames handed out."""

    @property
    def fps(self) -> float:
        """Average frames a second, 0 if unknown."""

    @property
    def frames(self) -> int | None:
        """Frames as the container says, unchecked."""

    def read(self, pixels: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu')]) -> tuple:
        """Decodes one frame for each row; (numbers, seconds)."""

    def finish(self) -> None:
        """Raises the error that cut the last read() short."""

def probe_image(bytes: bytes, name: str) -> tuple:
    """(channels, (height, width))"""

def decode_image(bytes: bytes, name: str, size: tuple[int, int] | None = None, mode: str | None = None, filter: str = 'bilinear') -> Annotated[NDArray[numpy.uint8], dict(order='C')]:
    """A JPEG, PNG or WebP as an array of pixels."""
