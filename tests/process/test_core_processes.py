"""Whole programs: `mobula run`, Ctrl-C, and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import ray, sys
from ray.exceptions import RayTaskError
import ray.util.queue

@ray.remote
def who():
    import ray
    return ray.__name__, sys.argv[0]

if __name__ == "__main__":
    ray.init(num_cpus=1)
    print(ray.get(who.remote())[0], sys.argv[1:], ray.util.queue.Queue.__name__)
    try:
        import ray.no_such_part
    except ImportError as error:
        print("missing", error.name)
"""


def run(*words, **more):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, **more)


@pytest.mark.parametrize("command", [["-m", "mobula", "run", "--as-ray"], ["-m", "mobula.as_ray"]])
def test_a_ray_program_runs_unchanged(tmp_path, command):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    answer = run(*command, str(program), "one", "--two")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == ["mobula ['one', '--two'] Queue", "missing ray.no_such_part"]


def test_the_command_line_says_what_is_wrong(tmp_path):
    assert run("-m", "mobula", "--version").stdout.startswith("mobula ")
    assert "run" in run("-m", "mobula", "--help").stdout
    missing = run("-m", "mobula", "run", str(tmp_path / "none.py"))
    assert missing.returncode == 2 and "none.py" in missing.stderr
    failing = tmp_path / "failing.py"
    failing.write_text("import sys\nraise ValueError('why')\n")
    answer = run("-m", "mobula", "run", "--as-ray", str(failing))
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[1].strip().startswith(f'File "{failing}", line 2')
    failing.write_text("import sys\nsys.exit(7)\n")
    assert run("-m", "mobula", "run", str(failing)).returncode == 7


def test_ctrl_c_interrupts_a_get():
    code = """
import mobula, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have background programs ignore it
mobula.init(num_cpus=1)
@mobula.remote
def sleep(): time.sleep(60)
ref = sleep.remote()
print("ready", flush=True)
try:
    mobula.get(ref)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "interrupted\n"
    assert time.monotonic() - started < 10


def test_output_of_tasks_comes_through_and_none_other():
    code = """
import mobula
mobula.init(num_cpus=1)
@mobula.remote
def speak(): print("hello from a task")
mobula.get(speak.remote())
"""
    answer = run("-c", code)
    assert answer.returncode == 0 and answer.stderr == ""
    assert [line for line in answer.stdout.splitlines() if "hello from a task" not in line] == []


def test_nothing_is_left_of_a_killed_driver():
    code = """
import mobula, os, time
mobula.init(num_cpus=2)
@mobula.remote
def pid(): time.sleep(0.2); return os.getpid()
print(*mobula.get([pid.remote() for _ in range(2)]), flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    workers = [int(word) for word in process.stdout.readline().split()]
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its driver"
        time.sleep(0.02)
    process.stdout.close()


def test_an_engine_can_be_started_again():
    code = """
import mobula
@mobula.remote
def f(x): return x
for number in range(3):
    mobula.init(num_cpus=1)
    try:
        mobula.init()
        raise SystemExit("a second init must be refused")
    except RuntimeError:
        mobula.init(ignore_reinit_error=True)
    ref = f.remote(number)
    assert mobula.get(ref) == number
    mobula.shutdown()
    mobula.shutdown()
    assert not mobula.is_initialized()
assert mobula.get(f.remote(9)) == 9, "the first use starts one"
try:
    mobula.get(ref)
except ValueError as error:
    assert "shut down" in str(error)
"""
    answer = run("-c", code)
    assert answer.returncode == 0, answer.stderr
