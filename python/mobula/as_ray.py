"""`import ray` becomes `import mobula`: a finder that gives every ray.x.y the module object of mobula.x.y.

`mobula run --as-ray program.py` and `python -m mobula.as_ray program.py` run a Ray program unchanged;
workers of such a program install the finder as well. What has no counterpart raises ModuleNotFoundError,
naming it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class _Alias(importlib.abc.Loader):
    """Gives an import the module object that another name has; leaves the module's own spec alone."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.spec: Any = None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.target)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class RayFinder(importlib.abc.MetaPathFinder):
    """Finds ray and everything below it in mobula."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "ray" and not fullname.startswith("ray."):
            return None
        ours = "mobula" + fullname[3:]
        try:
            found = importlib.util.find_spec(ours)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise ModuleNotFoundError(
                f"mobula has no counterpart of {fullname} (looked for {ours}); the program runs as if "
                f"mobula were ray, and "
                "this part of Ray is not available",
                name=fullname,
            )
        return importlib.machinery.ModuleSpec(
            fullname,
            _Alias(ours),
            origin=found.origin,
            is_package=found.submodule_search_locations is not None,
        )


def installed() -> bool:
    """Whether ray means mobula in this process."""
    return any(isinstance(finder, RayFinder) for finder in sys.meta_path)


def install() -> None:
    """Makes ray mean mobula in this process, and in the workers of engines that it starts."""
    if not installed():
        sys.meta_path.insert(0, RayFinder())


def run_program(program: str, arguments: list[str], as_ray: bool = True) -> int:
    """Runs a Python program as __main__; its exit status."""
    import os

    if not os.path.isfile(program):
        print(f"mobula: there is no program {program!r}", file=sys.stderr)
        return 2
    if as_ray:
        install()
    sys.argv[:] = [program, *arguments]
    sys.path[0] = os.path.dirname(os.path.realpath(program))
    with open(program, "rb") as file:
        source = file.read()
    main = ModuleType("__main__")
    main.__dict__.update(__file__=program, __builtins__=__builtins__, __cached__=None)
    sys.modules["__main__"] = main
    try:
        exec(compile(source, program, "exec"), main.__dict__)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 1
    return 0


def main() -> None:
    """python -m mobula.as_ray program.py arguments..."""
    if len(sys.argv) < 2:
        print("usage: python -m mobula.as_ray program.py [arguments...]", file=sys.stderr)
        sys.exit(2)
    from mobula import as_ray  # this module runs as __main__: install() has to be seen by the driver

    sys.exit(as_ray.run_program(sys.argv[1], sys.argv[2:]))


if __name__ == "__main__":
    main()
