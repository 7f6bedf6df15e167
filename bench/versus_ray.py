"""Mobula and Ray side by side: each row is a plain Ray program, run in fresh processes of both in turn.

    ./dev ray-env DIR
    ./dev bench versus_ray.py --ray-python DIR/bin/python [--rounds 3] [--row NAME …]

Prints for each row the median of both and the ratio (above 1: Mobula is better). A row asserts its result.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BATCH = 1000
SECONDS = 1.5
LOWER_IS_BETTER = {"startup_s", "idle_memory_mb", "get_100mb_us"}


def start(**options: Any) -> Any:
    import ray

    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(num_cpus=2, address="local", object_store_memory=2 << 30, **quiet, **options)
    return ray


def warm(ray: Any) -> None:
    """Waits until both workers have run a task."""
    hold = ray.remote(lambda: time.sleep(0.2) or os.getpid())
    while len(set(ray.get([hold.remote() for _ in range(2)]))) < 2:
        pass


def rate(work: Callable[[], None], count: int) -> float:
    """Operations a second: the median over SECONDS of runs."""
    work()
    spent, end = [], time.perf_counter() + SECONDS
    while len(spent) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return count / statistics.median(spent)


def check(holds: bool) -> None:
    if not holds:
        raise AssertionError("wrong result")


def echo_actor(ray: Any) -> Any:
    class Echo:
        def call(self, value: int) -> int:
            return value

    return ray.remote(Echo).remote()


def startup_s() -> float:
    ray = start()
    check(ray.get(ray.remote(lambda: 7).remote()) == 7)
    return time.time() - float(os.environ["ROW_STARTED"])


def tasks_sync() -> float:
    ray = start()
    echo = ray.remote(lambda value: value)
    warm(ray)
    return rate(lambda: check(ray.get(echo.remote(5)) == 5), 1)


def tasks_async() -> float:
    ray = start()
    echo = ray.remote(lambda value: value)
    warm(ray)
    wanted = list(range(BATCH))
    return rate(lambda: check(ray.get([echo.remote(i) for i in wanted]) == wanted), BATCH)


def actor_sync() -> float:
    ray = start()
    actor = echo_actor(ray)
    return rate(lambda: check(ray.get(actor.call.remote(5)) == 5), 1)


def actor_async() -> float:
    ray = start()
    actor = echo_actor(ray)
    wanted = list(range(BATCH))
    return rate(lambda: check(ray.get([actor.call.remote(i) for i in wanted]) == wanted), BATCH)


def put_small() -> float:
    ray = start()
    kept: list[Any] = []

    def work() -> None:
        kept[:] = [ray.put(i) for i in range(BATCH)]

    return rate(work, BATCH)


def get_small() -> float:
    ray = start()
    refs = [ray.put(i) for i in range(BATCH)]
    return rate(lambda: check(sum(ray.get(ref) for ref in refs) == BATCH * (BATCH - 1) // 2), BATCH)


def wait_1k() -> float:
    ray = start()
    echo = ray.remote(lambda value: value)
    warm(ray)

    def work() -> None:
        pending = [echo.remote(i) for i in range(BATCH)]
        while pending:
            _, pending = ray.wait(pending)

    return rate(work, BATCH)


def put_100mb() -> float:
    import numpy as np

    ray = start()
    array = np.random.default_rng(1).integers(0, 1 << 60, 100 * 10**6 // 8)
    kept: list[Any] = [None]

    def work() -> None:
        kept[0] = ray.put(array)

    return rate(work, 1) * array.nbytes / 1e9


def get_100mb_us() -> float:
    import numpy as np

    ray = start()
    ref = ray.put(np.ones(100 * 10**6 // 8))
    ray.get(ref)
    return 1e6 / rate(lambda: check(ray.get(ref)[-1] == 1), 1)


def idle_memory_mb() -> float:
    """Memory that no other process shares, of all processes, with two workers at rest."""
    ray = start()
    warm(ray)
    time.sleep(2)
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    total, waiting = 0, [os.getpid()]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_"):
                total += int(line.split()[1]) * 1024
    return total / 1e6


ROWS = {
    row.__name__: row
    for row in (
        startup_s,
        idle_memory_mb,
        tasks_sync,
        tasks_async,
        actor_sync,
        actor_async,
        put_small,
        get_small,
        wait_1k,
        put_100mb,
        get_100mb_us,
    )
}


def run_once(command: list[str], row: str) -> float:
    environment = {**os.environ, "ROW_STARTED": str(time.time()), "RAY_worker_niceness": "0"}
    done = subprocess.run(
        [*command, __file__, "--run", row], env=environment, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("ROW ")]
    if done.returncode != 0 or not lines:
        raise SystemExit(f"{row} failed on {command[-1]}:\n{done.stdout}{done.stderr}")
    return float(json.loads(lines[-1][4:]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ray-python", help="a Python that has Ray")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--row", action="append", choices=list(ROWS))
    parser.add_argument("--run", choices=list(ROWS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print("ROW " + json.dumps(ROWS[options.run]()), flush=True)
        return
    if not options.ray_python:
        raise SystemExit("--ray-python: make one with ./dev ray-env DIR")
    systems = {"ray": [options.ray_python], "mobula": [sys.executable, "-m", "mobula.as_ray"]}
    print(f"{'':18}{'Ray':>12}{'Mobula':>12}{'ratio':>9}")
    for row in options.row or ROWS:
        seen: dict[str, list[float]] = {name: [] for name in systems}
        for _ in range(options.rounds):
            for name, command in systems.items():
                seen[name].append(run_once(command, row))
        ray, mobula = (statistics.median(seen[name]) for name in systems)
        ratio = ray / mobula if row in LOWER_IS_BETTER else mobula / ray
        print(f"{row:18}{ray:12.4g}{mobula:12.4g}{ratio:9.1f}", flush=True)


if __name__ == "__main__":
    main()
