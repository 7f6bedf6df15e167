"""Has workers born with the modules that fragments need: imported once in the zygote, instead of in each
worker.
"""

from mobula import _core

AT_ONCE = ("numpy", "pyarrow", "mobula.data.fragment")
LATER = ("pyarrow.compute", "mobula.data.exec.worker_imports")

_asked: set[tuple[int, str]] = set()


def prepare_workers(modules: tuple[str, ...] = AT_ONCE) -> None:
    """Asks the running engine, if there is one, and each engine once."""
    if not _core.is_open():
        return
    session = _core.session()
    for module in modules:
        if (session, module) not in _asked:
            _asked.add((session, module))
            _core.preload(module)
