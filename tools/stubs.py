"""Writes the type stubs of the extension modules into python/mobula; with --check compares them instead."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from nanobind.stubgen import StubGen, load_pattern_file

PACKAGE = Path(__file__).resolve().parent.parent / "python" / "mobula"


def stub_of(name: str) -> str:
    patterns = PACKAGE.parent.parent / "src" / "bind" / name.removeprefix("_") / "stub_patterns.txt"
    loaded = load_pattern_file(str(patterns)) if patterns.exists() else []
    generator = StubGen(importlib.import_module(f"mobula.{name}"), quiet=True, patterns=loaded)
    generator.put(importlib.import_module(f"mobula.{name}"))
    return str(generator.get())


def main(arguments: list[str]) -> int:
    names = sorted({path.name.split(".")[0] for path in PACKAGE.glob("_*.so")})
    stale = []
    for name in names:
        path, text = PACKAGE / f"{name}.pyi", stub_of(name)
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path.name)
        if "--check" not in arguments:
            path.write_text(text)
    if stale and "--check" in arguments:
        print(f"stubs are not what the modules hold: {', '.join(stale)}; run ./dev fmt")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
