"""The tables of the house rules: who may include whom, and where what is otherwise forbidden is at home.

A rule that needs an exception is changed here, with the reason; tools/lint_exceptions.txt only shrinks.
"""

from __future__ import annotations

import re

FOUR = ("store", "task", "sched", "actor")
BELOW_NODE = ("base", "sys", "wire", *FOUR)
EVERYTHING = ("*",)

# A layer is the longest prefix of a file's path below src/; what it may include besides itself, as prefixes
# of paths below src/. engine/engine.h is the waist, the words that all share: anyone may include it.
LAYERS: dict[str, tuple[str, ...]] = {
    "base": (),
    "sys": ("base",),
    "sim": ("*",),
    "wire": ("base", "sys"),
    "collective": ("base", "sys"),  # knows no runtime: programs that only share a machine
    **dict.fromkeys(FOUR, ("base", "wire")),
    "node": BELOW_NODE,
    "engine": ("base", "wire"),  # client.h; engine.h itself takes base alone
    "engine/embedded": ("base", "sys", "wire", "node", "engine/"),
    "engine/attached": ("base", "sys", "wire", "engine/"),
    "worker": ("base", "sys", "wire", "engine/", "engine/attached"),
    "engine/ray": ("base", "engine/"),
    "data": ("base", "engine/"),
    "train": ("base", "engine/", "data"),
    "tune": ("base", "engine/", "data", "train"),
    "serve": ("base", "engine/"),
    "platform": ("base", "sys", "engine/"),
    "api": EVERYTHING,
    "bind": EVERYTHING,
}
WAIST = "engine/engine.h"
CLOSED = ("api", "bind", "sim")  # nothing in src/ includes these

# Libraries that have their homes: include pattern, where it may be included, the rule's name.
LIBRARY_HOMES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        r"(arrow|parquet)/",
        (r"src/data/", r"src/bind/", r"bench/", r"include/mobula/(arrow|data)", r"examples/", r"cmake/"),
        "arrow-home",
    ),
    (r"(Python\.h|nanobind/)", (r"src/bind/", r"src/worker/python", r"cmake/"), "python-home"),
    (r"lib(av|sw)\w+/", (r"src/data/media/",), "media-home"),
    (r"openvino/", (r"src/data/model/",), "model-home"),
)

# Exceptions may be thrown and caught in the public API, at the border to Python, and around libraries that
# throw.
EXCEPTIONS_ALLOWED = (
    r"src/bind/",
    r"src/api/",
    r"src/worker/python",
    r"src/data/model/",
    r"include/mobula/",
    r"examples/",
)

# Locks, atomics and threads live in these files alone; each names its home thread and its invariant in its
# first lines.
LOCKS_ALLOWED = (
    r"src/base/(queue|gate|log|metric|thread_pool)",
    r"src/sys/",
    r"src/wire/(ring|segment)",
    r"src/collective/(segment|sync|group)\.",
    r"src/node/(node|outside)\.",
    r"src/worker/(worker|python)",
    r"src/engine/(client|attached/ring_link)",
    r"src/api/",
    r"src/bind/",
    r"src/data/exec/run",
)

# Mutable state outside an object: what the language's border forces on us, each with its reason in the file.
GLOBALS_ALLOWED = (
    r"src/api/registry",
    r"src/api/session",
    r"src/bind/core/",
    r"src/worker/python",
    r"src/base/(log|check)",
    r"src/data/media/ffmpeg_log",
)

# The one file a language that reads the environment.
ENVIRONMENT_ALLOWED = (r"src/sys/environment", r"python/mobula/_environment\.py$")

# Unit tests know no real time; src/sys is the door to the real thing and is tested against it.
REAL_TIME_ALLOWED = (r"src/sys/",)

FORBIDDEN_TYPE_WORDS = frozenset({"Manager", "Helper", "Handler", "Impl", "Base", "Util", "Utils", "Helpers"})
FORBIDDEN_FILE_WORDS = frozenset({"utils", "common", "misc", "helpers", "helper", "manager", "impl"})
# Programs written for Ray import from modules of these names.
FILE_NAMES_ALLOWED = (r"python/mobula/util/state/common\.py$",)

LINES_WARN = 400
LINES_STOP = 600
LINES_STOP_TEST = 800
FUNCTION_LINES = 60
COLUMNS = 110
FILES_IN_FOLDER = 25


def allowed(path: str, homes: tuple[str, ...]) -> bool:
    """Whether a path lies in one of the homes of a rule."""
    return any(re.match(home, path) for home in homes)


def layer_of(path_below_src: str) -> str:
    """The layer that a file belongs to: the longest known prefix of its path."""
    if path_below_src.startswith("worker/python"):
        return "bind"  # part of the extension module
    parts = path_below_src.split("/")
    for length in range(len(parts) - 1, 0, -1):
        layer = "/".join(parts[:length])
        if layer in LAYERS:
            return layer
    return parts[0]


def may_include(source: str, target: str) -> bool:
    """Whether src/<source> may include src/<target>."""
    own, other = layer_of(source), layer_of(target)
    permitted = LAYERS.get(own, ())
    if own == other or permitted == EVERYTHING or target == WAIST:
        return True
    if other in CLOSED and own not in ("sim",):
        return False
    return any(
        (
            layer_of(target) == "engine"
            if allow == "engine/"
            else other == allow or other.startswith(allow + "/")
        )
        for allow in permitted
    )
