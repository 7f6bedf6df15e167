"""The rules for C++ files, on text without comments and strings: no parser, a scanner of braces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import lint_rules as rules

Finding = tuple[int, str, str]  # line, rule, text

_NOISE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<d>\w*)\(.*?\)(?P=d)"|\b\d[\w.']*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""",
    re.DOTALL,
)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.MULTILINE | re.DOTALL)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
_TYPE = re.compile(
    r"\b(?:class|struct|union|enum(?:\s+class)?|using|concept)\s+(?:\[\[\w+\]\]\s+)?([A-Z]\w*)"
)
_WORD = re.compile(r"[A-Z][a-z0-9]*")
_EXCEPTION = re.compile(r"\b(throw\b(?!\s*\()|try\s*\{|catch\s*\()")
_LOCK = re.compile(
    r"\b(std::(?:shared_|recursive_|timed_)?mutex|std::atomic\w*|std::condition_variable\w*"
    r"|std::(?:lock_guard|unique_lock|scoped_lock|shared_lock|call_once|once_flag"
    r"|thread|jthread|async)"
    r"|std::(?:latch|barrier|counting_semaphore)|__atomic_\w+|__sync_\w+|pthread_\w+)"
)
_REAL_TIME = re.compile(
    r"\b(sleep_for|sleep_until|usleep|nanosleep|(?<!\.)sleep\s*\("
    r"|(?:steady|system|high_resolution)_clock::now"
    r"|clock_gettime|gettimeofday|std::time\s*\(|socket\s*\(|socketpair\s*\()"
)
_ENVIRONMENT = re.compile(r"\b((?:secure_)?getenv|environ)\b")
_NOT_A_VARIABLE = re.compile(
    r"^(using|typedef|extern|class|struct|union|enum|static_assert|template|namespace|friend|return"
    r"|public|private|protected|concept|export|asm|goto|break|continue)\b"
    r"|\boperator\b|\b(constexpr|consteval)\b"
)
_CONSTANT = re.compile(
    r"^(?:(?:static|inline|constinit|thread_local|extern|\[\[[\w:]+\]\])\s+)*const\b|\*\s*const\b"
)
_FUNCTION_END = re.compile(
    r"(\)|\bconst|\bnoexcept|\boverride|\bfinal|\belse|\bdo|\btry|\bmutable)\s*$|\)\s*->[^;{}=]*$"
)


@dataclass
class Source:
    """One C++ file: its text, the same without comments and strings, and without directives too."""

    path: str
    text: str
    code: str = field(init=False)
    body: str = field(init=False)

    def __post_init__(self) -> None:
        self.code = _NOISE.sub(_blank, self.text)
        self.body = _DIRECTIVE.sub(lambda m: "\n" * m.group().count("\n"), self.code)

    @property
    def is_test(self) -> bool:
        return self.path.endswith(("_test.cc", "_bench.cc", "_fuzz.cc")) or self.path.startswith(
            ("tests/", "bench/")
        )

    def includes(self) -> Iterator[tuple[int, str, str]]:
        """Line, delimiter and path of each include."""
        for match in _INCLUDE.finditer(self.text):
            yield line_at(self.text, match.start()), match.group(1), match.group(2)


def _blank(match: re.Match[str]) -> str:
    found = match.group()
    if found[0].isdigit():
        return found.replace("'", "")
    return ('""' if found[0] in "\"R'" else "") + "\n" * found.count("\n")


def line_at(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _find(source: Source, pattern: re.Pattern[str], rule: str, text: str) -> Iterator[Finding]:
    for match in pattern.finditer(source.body):
        yield line_at(source.body, match.start()), rule, text.format(match.group(1).strip(" ({"))


def check_words(source: Source) -> Iterator[Finding]:
    """Names and key words that the house does without."""
    path = source.path
    for match in _TYPE.finditer(source.body):
        if bad := rules.FORBIDDEN_TYPE_WORDS.intersection(_WORD.findall(match.group(1))):
            yield (
                line_at(source.body, match.start()),
                "name",
                f"{match.group(1)}: name the thing, not {min(bad)}",
            )
    yield from _find(source, re.compile(r"\b(friend)\b"), "friend", "no friend")
    if path.startswith("src/") and not source.is_test and not rules.allowed(path, rules.EXCEPTIONS_ALLOWED):
        yield from _find(source, _EXCEPTION, "exception", "{}: errors travel as Status and Result here")
    if (
        path.startswith(("src/", "include/"))
        and not rules.allowed(path, rules.LOCKS_ALLOWED)
        and not source.is_test
    ):
        yield from _find(
            source, _LOCK, "lock", "{}: locks, atomics and threads live in the files of LOCKS_ALLOWED"
        )
    if path.startswith(("src/", "include/")) and not rules.allowed(path, rules.ENVIRONMENT_ALLOWED):
        yield from _find(
            source, _ENVIRONMENT, "environment", "{}: read it in src/sys/environment.cc, pass it on"
        )
    if (
        path.startswith("src/")
        and path.endswith("_test.cc")
        and not rules.allowed(path, rules.REAL_TIME_ALLOWED)
    ):
        yield from _find(
            source, _REAL_TIME, "real-time", "{}: a unit test has no sleep, no real time, no socket"
        )


def check_includes(source: Source, known: frozenset[str]) -> Iterator[Finding]:
    """Layers, and libraries that have a home."""
    for line, mark, target in source.includes():
        for pattern, homes, rule in rules.LIBRARY_HOMES:
            if mark == "<" and re.match(pattern, target) and not rules.allowed(source.path, homes):
                yield line, rule, f"<{target}> has its home in {', '.join(homes)}"
        if source.path.startswith("include/") and mark == '"':
            yield (
                line,
                "public-header",
                f'"{target}": an installed header includes only <mobula/...> and the standard',
            )
        if source.path.startswith("src/") and mark == '"' and "src/" + target in known and not source.is_test:
            own = source.path.removeprefix("src/")
            if not rules.may_include(own, target):
                yield line, "layer", f"{rules.layer_of(own)} may not include {target}"


@dataclass
class _Scope:
    kind: str  # namespace, type, function, block, values
    start: int
    name: str = ""


def _kind(head: str, parent: str) -> str:
    if parent in ("function", "block", "values"):
        return "block" if _FUNCTION_END.search(head) or not head or head.endswith(("]", ":")) else "values"
    if re.search(r"\bnamespace\b", head) or re.match(r'^extern\s*""$', head):
        return "namespace"
    if re.search(r"\b(class|struct|union|enum)\b", head) and not head.endswith(")") and "=" not in head:
        return "type"
    if _FUNCTION_END.search(head) or re.search(r"\)\s*(noexcept\s*)?:\s*[\w:]+", head):
        return "function"
    return "values"


def check_structure(source: Source) -> Iterator[Finding]:
    """Lengths of functions, and variables that outlive every object."""
    body, stack, start = source.body, [_Scope("namespace", 0)], 0
    check_globals = source.path.startswith(("src/", "include/")) and not source.is_test
    check_globals = check_globals and not rules.allowed(source.path, rules.GLOBALS_ALLOWED)
    for match in re.finditer(r"[{};]|\b(?:public|private|protected)\s*:(?!:)", body):
        at, mark = match.start(), match.group()
        head = " ".join(body[start:at].split())
        if mark == "{":
            kind = _kind(head, stack[-1].kind)
            stack.append(_Scope(kind, start + len(body[start:at]) - len(body[start:at].lstrip()), head))
            if kind == "values":
                continue  # the statement goes on behind the closing brace
        elif mark == "}":
            scope = stack.pop() if len(stack) > 1 else stack[0]
            if scope.kind == "values":
                continue
            if scope.kind == "function":
                yield from _check_length(body, scope, at)
        elif mark == ";" and check_globals and _outlives(head, stack[-1].kind):
            yield (
                line_at(body, start + len(body[start:at]) - len(body[start:at].lstrip())),
                "global",
                f"{head[:60]}",
            )
        start = match.end()


def _check_length(body: str, scope: _Scope, end: int) -> Iterator[Finding]:
    first, last = line_at(body, scope.start), line_at(body, end)
    if last - first + 1 > rules.FUNCTION_LINES:
        name = re.findall(r"[\w:~]+(?=\s*\()", scope.name)[:1]
        yield (
            first,
            "function-length",
            f"{(name or ['?'])[0]}: {last - first + 1} lines, {rules.FUNCTION_LINES} at most",
        )


def _outlives(head: str, scope: str) -> bool:
    """Whether a statement defines mutable state outside an object."""
    if not head or _NOT_A_VARIABLE.search(head) or _CONSTANT.search(head):
        return False
    declared = head.split("=")[0].split("{")[0]
    if scope == "namespace":
        return "(" not in declared and len(declared.split()) > 1
    starts = re.match(r"^(?:inline\s+)?(?:static|thread_local)\b", head) is not None
    if scope == "type":
        return starts and "(" not in declared
    return starts and scope in ("function", "block")


def check_cycles(files: dict[str, Source]) -> Iterator[tuple[str, Finding]]:
    """Headers that include each other in a circle."""
    edges = {
        path: [
            ("src/" + t, line) for line, mark, t in source.includes() if mark == '"' and "src/" + t in files
        ]
        for path, source in files.items()
        if path.endswith(".h")
    }
    done: set[str] = set()
    for root in sorted(edges):
        trail: list[str] = []
        stack: list[tuple[str, int]] = [(root, 0)]
        while stack:
            path, index = stack.pop()
            if index == 0:
                if path in done:
                    continue
                trail.append(path)
            targets = edges.get(path, [])
            if index < len(targets):
                stack.append((path, index + 1))
                target, line = targets[index]
                if target in trail:
                    yield path, (line, "cycle", " -> ".join([*trail[trail.index(target) :], target]))
                else:
                    stack.append((target, 0))
            else:
                done.add(path)
                trail.pop()


def check_opening(source: Source) -> Iterator[Finding]:
    """A file says in its first lines what it is."""
    if source.path.startswith(("src/", "include/")) and not source.is_test:
        if not source.text.lstrip().startswith(("//", "/*")) and PurePosixPath(source.path).suffix in (
            ".h",
            ".cc",
        ):
            yield (
                1,
                "opening",
                "begins with two to four lines: what it is, its thread, its invariant, its tests",
            )
