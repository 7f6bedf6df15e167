"""Checks README, docs and their kin: every relative link leads to a file, every Python block compiles."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)\s]*)?\)")
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def check(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT)
    for match in _LINK.finditer(text):
        target = match.group(1)
        if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists():
            yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: no such file: {target}"
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        try:
            compile(textwrap.dedent(match.group(1)), str(name), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError as error:
            yield f"{name}:{line + (error.lineno or 0)}: {error.msg}"


def main() -> int:
    found = [
        text for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]) for text in check(path)
    ]
    print("\n".join(found) if found else "docs: clean", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
