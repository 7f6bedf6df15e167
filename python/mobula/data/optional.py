"""Packages that Mobula does without until somebody asks for what they do."""

from __future__ import annotations

import importlib
from typing import Any

EXTRAS = ("model", "pandas", "torch")  # of our own wheel
PACKAGES = {"PIL": "pillow", "lance": "pylance"}  # that are called otherwise than what they bring


def optional(module: str, purpose: str) -> Any:
    """The module, or a ModuleNotFoundError that says what needs it and how to get it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.split(".")[0]
        if error.name not in (module, top):
            raise
        package = f"'mobula[{top}]'" if top in EXTRAS else PACKAGES.get(top, top)
        raise ModuleNotFoundError(
            f"{purpose} needs {top}, which is not installed: pip install {package}", name=module
        ) from None
