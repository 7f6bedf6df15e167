"""Python calls C++ and C++ calls Python, over a real node: values, arrays in place, actors, errors.

The C++ sides are compiled here, as a user would, against the package's own headers and library.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import mobula
from mobula.exceptions import RayTaskError

HERE = Path(__file__).resolve().parent / "cross_language"
PACKAGE = Path(mobula.__file__).parent


def compile_cpp(source: str, target: Path, *words: str) -> Path:
    lib = PACKAGE / "lib"
    command = [
        "c++",
        "-std=c++20",
        "-O1",
        "-fPIC",
        f"-I{PACKAGE / 'include'}",
        str(HERE / source),
        "-o",
        str(target),
    ]
    subprocess.run([*command, f"-L{lib}", "-lmobula", f"-Wl,-rpath,{lib.resolve()}", *words], check=True)
    return target


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_cpp("counting.cc", tmp_path_factory.mktemp("cpp") / "libcounting.so", "-shared")


@pytest.fixture(scope="module")
def engine(library: Path) -> Iterator[None]:
    mobula.init(num_cpus=2, object_store_memory=64 << 20)
    mobula.load_library(str(library))
    yield
    mobula.shutdown()


def call(name: str, *args: object) -> object:
    return mobula.get(mobula.cpp_function(name).remote(*args), timeout=30)


def test_numbers_dicts_and_nested_values_pass_both_ways(engine: None) -> None:
    assert call("Add", 1, 2) == 3
    assert call("Mirror", {"x": 1, "y": 2.5}) == {"x": 2.5, "y": 1.0}
    for value in (
        None,
        True,
        -7,
        2**64 - 1,
        1.5,
        "grüße",
        b"\xff" * 1000,
        [1, ["a", None]],
        {"k": [1.5, {}]},
    ):
        assert call("Echo", value) == value


def test_arrays_are_read_in_place_and_come_back_as_arrays(engine: None) -> None:
    values = np.arange(100_000, dtype=np.float64)
    assert call("Sum", values) == values.sum()
    assert call("IsAligned", values) is True
    assert call("Sum", values[::2]) == values[::2].sum()
    back = call("Range", 200_000)
    assert isinstance(back, np.ndarray)
    assert (
        back.dtype == np.float32
        and back[-1] == 199_999
        and not back.flags.owndata
        and not back.flags.writeable
    )
    matrix = np.arange(6, dtype=np.int16).reshape(2, 3)
    np.testing.assert_array_equal(call("Echo", matrix), matrix)


def test_references_are_values_at_the_top_and_references_inside(engine: None) -> None:
    assert call("Add", mobula.put(20), mobula.cpp_function("Add").remote(1, 1)) == 22
    assert call("SumOf", [mobula.put(1), mobula.put(2)]) == 3
    assert call("AddInTask", 5) == 6


def test_what_cpp_throws_is_raised_with_its_text(engine: None) -> None:
    with pytest.raises(RayTaskError, match="std::domain_error: too far"):
        call("Fail", "too far")
    with pytest.raises(RayTaskError, match="argument 1 of Add: expected an integer, found text"):
        call("Add", "x", 1)
    with pytest.raises(RayTaskError, match="Add takes 2 arguments, 1 were given"):
        call("Add", 1)
    with pytest.raises(RayTaskError, match="no field 'y'"):
        call("Mirror", {"x": 1})


def test_mistakes_are_named_before_anything_is_sent(engine: None) -> None:
    with pytest.raises(TypeError, match="object"):
        call("Echo", object())
    with pytest.raises(ValueError, match="Nope"):
        call("Nope")


def test_cpp_actors_keep_state_and_are_passed_on(engine: None) -> None:
    counter = mobula.cpp_actor_class("Counter::Create", "Counter").remote(10)
    assert mobula.get(counter.Add.remote(5)) == 15
    assert call("UseCounter", counter, 7) == 22
    with pytest.raises(RayTaskError, match="the counter is stuck"):
        mobula.get(counter.Fail.remote())

    @mobula.remote
    def add_in_python(handle: object) -> int:
        return int(mobula.get(handle.Add.remote(100)))  # type: ignore[attr-defined]

    assert mobula.get(add_in_python.remote(counter)) == 122


def test_python_reads_generators_of_cpp(engine: None) -> None:
    growing = mobula.cpp_function("Growing").options(
        num_returns="streaming", _generator_backpressure_num_objects=1
    )
    arrays = [mobula.get(ref) for ref in growing.remote(3)]
    assert [array.sum() for array in arrays] == [50_000, 100_000, 150_000]
    counter = mobula.cpp_actor_class("Counter::Create", "Counter").remote(10)
    ticks = counter.Ticks.options(num_returns="streaming").remote(3)
    assert [mobula.get(ref) for ref in ticks] == [11, 12, 13]
    with pytest.raises(RayTaskError, match="is a generator"):
        mobula.get(counter.Ticks.remote(3))
    with pytest.raises(RayTaskError, match="is no generator"):
        mobula.get(next(mobula.cpp_function("Add").options(num_returns="streaming").remote(1, 2)))


def test_an_array_that_was_put_is_read_in_place(engine: None) -> None:
    assert call("Sum", mobula.put(np.ones(50_000))) == 50_000


def test_a_cpp_program_calls_python_functions_and_actors(library: Path, tmp_path: Path) -> None:
    folder = library.parent
    words = (f"-L{folder}", "-lcounting", f"-Wl,-rpath,{folder}")
    program = compile_cpp("caller.cc", tmp_path / "caller", *words)
    paths = os.pathsep.join([str(PACKAGE.parent), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    run = subprocess.run(
        [program, sys.executable, library],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout, run.returncode) == ("done\n", 0), run.stderr
