"""Packages that Mobula does without until somebody asks for what they do."""

from __future__ import annotations

import importlib
from typing import Any


def optional(module: str, purpose: str) -> Any:
    """The module, or a ModuleNotFoundError that says what needs it and how to get it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ModuleNotFoundError(
            f"{purpose} needs {module}, which is not installed: pip install 'mobula[{module}]'", name=module
        ) from None
