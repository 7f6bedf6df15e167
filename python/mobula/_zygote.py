"""The warm process that workers are forked from; also what a worker does first and last. Started as a
script, with the driver's sys.path as its argument, so that it finds the package wherever the driver found it.
"""

import sys


def main() -> None:
    """Forks workers until the node is gone; each child serves tasks until it is told to exit."""
    import json

    path, folder = (*sys.argv[1:], "", "")[:2]
    del sys.argv[1:]
    if path:
        sys.path[:] = json.loads(path)
    import gc
    from _signal import SIG_IGN, SIGINT, signal  # type: ignore[import-not-found]

    from mobula import _core, _environment, _pickling, _worker

    assert _pickling
    signal(SIGINT, SIG_IGN)  # Ctrl-C is the driver's affair
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    gc.disable()
    gc.collect()
    gc.freeze()

    def preload(name: str) -> None:
        __import__(name)
        gc.collect()
        gc.freeze()

    def at_end() -> None:
        _environment.remove_job({"folder": folder})

    boot = _core.run_zygote(preload, at_end)
    gc.enable()
    _worker.serve(boot)


if __name__ == "__main__":
    main()
