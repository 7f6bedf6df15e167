"""Processes that are killed: whatever dies, nothing is left behind, and nobody hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# A driver that has spilled, has tasks running and an actor, says which processes are its own, and waits.
DRIVER = """
import os, sys, time
import numpy as np
import mobula

mobula.init(num_cpus=2, object_store_memory=16 << 20)

@mobula.remote
def task():
    return os.getpid(), os.getppid()

@mobula.remote
class Actor:
    def pid(self):
        return os.getpid()

actor = Actor.remote()
kept = [mobula.put(np.full(1 << 20, number, np.uint8)) for number in range(40)]
worker, zygote = mobula.get(task.remote())
print(worker, zygote, mobula.get(actor.pid.remote()), flush=True)
"""
WAIT = DRIVER + "time.sleep(60)\n"


def processes_with(text: str) -> list[int]:
    """Living processes that have a mapping whose name holds `text`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            maps = (entry / "maps").read_text()
        except OSError:
            continue
        if text in maps:
            found.append(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(holds: Callable[[], bool], what: str, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextmanager
def driver(code: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A driver with a temporary folder of its own, and the processes that it named."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        yield process, [int(word) for word in line.split()]
    finally:
        process.kill()
        process.communicate()


def expect_nothing_left(pids: list[int], folder: Path) -> None:
    eventually(lambda: not any(map(is_alive, pids)), f"some of {pids} outlived their driver")
    eventually(lambda: not list(folder.iterdir()), f"{list(folder.iterdir())} are left")


def test_a_killed_driver_leaves_no_process_no_memory_and_no_file(tmp_path: Path) -> None:
    shared = set(os.listdir("/dev/shm"))
    with driver(WAIT, tmp_path) as (process, pids):
        assert list(tmp_path.iterdir()), "it was to spill"
        own = [pid for pid in processes_with("mobula-arena") if pid in {process.pid, *pids}]
        assert set(own) == {process.pid, pids[0], pids[2]}, "driver and workers map the arena"
        process.kill()
        process.wait()
        expect_nothing_left(pids, tmp_path)
    assert not {process.pid, *pids} & set(processes_with("mobula-arena"))
    assert set(os.listdir("/dev/shm")) <= shared


def test_a_driver_that_ends_leaves_nothing_either(tmp_path: Path) -> None:
    with driver(DRIVER, tmp_path) as (process, pids):
        assert process.wait(20) == 0
        expect_nothing_left(pids, tmp_path)


def test_a_driver_that_is_terminated_or_exits_hard_leaves_nothing(tmp_path: Path) -> None:
    with driver(WAIT, tmp_path) as (process, pids):
        process.terminate()
        process.wait(20)
        expect_nothing_left(pids, tmp_path)
    with driver(DRIVER + "os._exit(3)\n", tmp_path) as (process, pids):
        assert process.wait(20) == 3
        expect_nothing_left(pids, tmp_path)


def test_what_driver_and_zygote_leave_together_is_cleaned_by_the_next_start(tmp_path: Path) -> None:
    with driver(WAIT, tmp_path) as (process, pids):
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(pids[1], signal.SIGKILL)
        process.kill()
        process.wait()
        eventually(lambda: not any(map(is_alive, pids)), f"some of {pids} outlived their driver")
        assert list(tmp_path.iterdir()), "nobody was there to remove the spilled values"
    with driver(DRIVER, tmp_path) as (process, pids):
        assert process.wait(20) == 0
        expect_nothing_left(pids, tmp_path)


def test_without_a_zygote_calls_fail_in_time(tmp_path: Path) -> None:
    code = (
        DRIVER
        + """
@mobula.remote
def sleep():
    time.sleep(60)

pending = sleep.remote()
sys.stdin.close()
started = time.monotonic()
try:
    mobula.get(pending, timeout=40)
except mobula.exceptions.GetTimeoutError:
    print("it hangs", flush=True)
except Exception as error:
    print(type(error).__name__, time.monotonic() - started < 20, flush=True)
"""
    )
    with driver(code, tmp_path) as (process, pids):
        time.sleep(0.3)
        os.kill(pids[1], signal.SIGKILL)
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words[1:] == ["True"], words
        process.wait(20)
        expect_nothing_left(pids, tmp_path)


REPEATS = """
import os, signal, sys, time
import mobula
from mobula import _core

mobula.init(num_cpus=2)

@mobula.remote(max_retries=-1)
def work(number, folder):
    path = os.path.join(folder, str(number))
    if number % 10 == 0 and not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return number

refs = [work.remote(number, sys.argv[1]) for number in range(100)]
assert mobula.get(refs) == list(range(100))

@mobula.remote(max_retries=0)
def die():
    os._exit(9)

try:
    mobula.get(die.remote())
except mobula.exceptions.WorkerCrashedError as error:
    assert "9" in str(error), error

@mobula.remote(max_restarts=1, max_task_retries=1)
class Actor:
    def __init__(self):
        self.calls = 0
    def call(self):
        self.calls += 1
        return self.calls, os.getpid()

actor = Actor.remote()
first = mobula.get(actor.call.remote())
os.kill(first[1], signal.SIGKILL)
second = mobula.get(actor.call.remote())
assert second[0] == 1 and second[1] != first[1], (first, second)
os.kill(second[1], signal.SIGKILL)
try:
    mobula.get(actor.call.remote())
    raise SystemExit("it had one restart")
except mobula.exceptions.ActorDiedError:
    pass
del refs, actor
deadline = time.monotonic() + 10
while (stats := _core.stats())["objects"] + stats["arena_used_bytes"] + stats["tasks"] + stats["actors"]:
    assert time.monotonic() < deadline, stats
    time.sleep(0.01)
print("done")
"""


def test_killed_workers_are_replaced_and_their_tasks_repeated(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    answer = subprocess.run(
        [sys.executable, "-c", REPEATS, str(folder)],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert answer.stdout == "done\n", answer.stderr


@pytest.mark.parametrize("way", ["subprocess", "fork"])
def test_a_child_of_the_driver_does_not_keep_its_workers_alive(tmp_path: Path, way: str) -> None:
    start = {
        "subprocess": "import subprocess as s; child = s.Popen(['sleep', '30'], stdout=s.DEVNULL).pid",
        "fork": "child = os.fork() or time.sleep(30) or os._exit(0)",
    }[way]
    code = DRIVER.replace("print(worker", start + "\nprint(child, worker") + "time.sleep(60)\n"
    with driver(code, tmp_path) as (process, pids):
        process.kill()
        process.wait()
        try:
            expect_nothing_left(pids[1:], tmp_path)
            assert is_alive(pids[0]), "the child is the user's own"
        finally:
            os.kill(pids[0], signal.SIGKILL)
