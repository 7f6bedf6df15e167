"""Types for annotations."""

from mobula._core import ObjectRef

__all__ = ["ObjectRef"]
