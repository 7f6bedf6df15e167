"""Checks the house rules that a program can check: `./dev lint`, or `python tools/lint.py [paths]`.

The tables are in lint_rules.py. lint_exceptions.txt lists what is excused for now, as `rule path count`.
The list only shrinks: an entry that counts too high is an error, and so is one that the last commit lacks.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import lint_cpp
import lint_python
import lint_rules as rules

ROOT = Path(__file__).resolve().parent.parent
EXCEPTIONS = "tools/lint_exceptions.txt"
FOLDERS = ("src", "include", "python", "tests", "bench", "examples", "tools", "cmake")
SINGLE = ("dev", "CMakeLists.txt")
SUFFIXES = (".cc", ".h", ".py", ".cmake")
Finding = tuple[str, int, str, str]  # path, line, rule, text


def source_files() -> list[str]:
    """All source files, as paths from the root with forward slashes."""
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SUFFIXES and "__pycache__" not in path.parts and not path.is_dir()
    ]
    found = [path for path in found if not path.startswith(("python/mobula/lib/", "python/mobula/include/"))]
    return sorted(found + [name for name in SINGLE if (ROOT / name).exists()])


def check_sizes(path: str, text: str) -> Iterator[Finding]:
    lines = text.splitlines()
    name = PurePosixPath(path).name
    is_test = path.startswith("tests/") or name.endswith("_test.cc") or name.startswith("test_")
    limit = rules.LINES_STOP_TEST if is_test else rules.LINES_STOP
    if len(lines) > limit:
        yield path, limit, "file-length", f"{len(lines)} lines, {limit} at most"
    for number, line in enumerate(lines, 1):
        if len(line) > rules.COLUMNS:
            yield path, number, "columns", f"{len(line)} columns, {rules.COLUMNS} at most"
        if line != line.rstrip():
            yield path, number, "space", "spaces at the end of the line"


def check_names(files: list[str]) -> Iterator[Finding]:
    counts: Counter[str] = Counter()
    for path in files:
        pure = PurePosixPath(path)
        counts[pure.parent.as_posix()] += 1
        named_by_ray = rules.allowed(path, rules.FILE_NAMES_ALLOWED)
        for part in () if named_by_ray else (*pure.parts[:-1], pure.stem):
            if part in rules.FORBIDDEN_FILE_WORDS or rules.FORBIDDEN_FILE_WORDS.intersection(part.split("_")):
                yield path, 1, "file-name", f"{part}: name what is inside"
        if pure.suffix in (".cc", ".h", ".py") and pure.stem != pure.stem.lower():
            yield path, 1, "file-name", "files are named in snake_case"
    for folder, count in counts.items():
        if count > rules.FILES_IN_FOLDER:
            yield folder, 1, "folder-size", f"{count} source files, {rules.FILES_IN_FOLDER} at most"


def check_named_tests(path: str, text: str, files: list[str]) -> Iterator[Finding]:
    """What a file's opening comment says of its tests is true."""
    for sentence in re.finditer(r"\bTests:((?:[^.]|\.(?=cc\b|py\b))*)", text):
        for name in re.findall(r"[\w/*]+\.(?:cc|py)\b|\btests/[\w/]+", sentence[1]):
            if (
                not any(fnmatch(file, name) or fnmatch(file, f"*/{name}*") for file in files)
                and not (ROOT / name).is_dir()
            ):
                line = text.count("\n", 0, sentence.start()) + 1
                yield path, line, "named-tests", f"{name}: there is no such test"


def findings() -> Iterator[Finding]:
    files = source_files()
    yield from check_names(files)
    known = frozenset(files)
    sources: dict[str, lint_cpp.Source] = {}
    for path in files:
        text = (ROOT / path).read_text(encoding="utf-8")
        yield from check_sizes(path, text)
        if not path.startswith("tools/"):
            yield from check_named_tests(path, text, files)
        if path.endswith((".cc", ".h")):
            source = sources[path] = lint_cpp.Source(path, text)
            for check in (lint_cpp.check_words, lint_cpp.check_structure, lint_cpp.check_opening):
                yield from ((path, *found) for found in check(source))
            yield from ((path, *found) for found in lint_cpp.check_includes(source, known))
        elif path.endswith(".py") or path == "dev":
            yield from ((path, *found) for found in lint_python.check(path, text))
    yield from ((path, *found) for path, found in lint_cpp.check_cycles(sources))


def read_exceptions(text: str) -> Counter[tuple[str, str]]:
    excused: Counter[tuple[str, str]] = Counter()
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            rule, path, count = line.split()
            excused[rule, path] = int(count)
    return excused


def check_exceptions(excused: Counter[tuple[str, str]], used: Counter[tuple[str, str]]) -> Iterator[Finding]:
    for (rule, path), count in excused.items():
        if used[rule, path] < count:
            yield (
                EXCEPTIONS,
                1,
                "exceptions",
                f"{rule} {path}: {count} excused, {used[rule, path]} left: lower it",
            )
    committed = subprocess.run(
        ["git", "show", f"HEAD:{EXCEPTIONS}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if committed.returncode == 0:
        before = read_exceptions(committed.stdout)
        for (rule, path), count in excused.items():
            if count > before[rule, path]:
                yield EXCEPTIONS, 1, "exceptions", f"{rule} {path}: the list only shrinks"


def main(only: list[str]) -> int:
    exceptions = ROOT / EXCEPTIONS
    excused = read_exceptions(exceptions.read_text() if exceptions.exists() else "")
    used: Counter[tuple[str, str]] = Counter()
    shown: list[Finding] = []
    for path, line, rule, text in findings():
        used[rule, path] += 1
        if used[rule, path] > excused[rule, path]:
            shown.append((path, line, rule, text))
    shown.extend(check_exceptions(excused, used))
    shown = [f for f in shown if not only or f[0].startswith(tuple(only))]
    for path, line, rule, text in sorted(shown):
        print(f"{path}:{line}: {rule}: {text}")
    long = [p for p in source_files() if len((ROOT / p).read_text().splitlines()) > rules.LINES_WARN]
    for path in long:
        print(f"{path}: warning: more than {rules.LINES_WARN} lines", file=sys.stderr)
    print(f"lint: {len(shown)} findings" if shown else "lint: clean", file=sys.stderr)
    return 1 if shown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
