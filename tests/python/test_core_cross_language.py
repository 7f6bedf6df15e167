"""C++ functions and actors from Python, and plain values. A library is compiled once for all tests here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import mobula as ray
import numpy as np
import pytest
from mobula.exceptions import CrossLanguageError, RayTaskError

ROOT = Path(__file__).resolve().parents[2]
SOURCE = """
#include <mobula/api.h>
#include <map>
#include <stdexcept>
int Add(int a, int b) { return a + b; }
std::map<std::string, std::vector<int>> Places(const std::vector<std::string>& words) {
  std::map<std::string, std::vector<int>> out;
  for (size_t i = 0; i < words.size(); ++i) out[words[i]].push_back(static_cast<int>(i));
  return out;
}
double Sum(const std::vector<double>& values) { double sum = 0; for (double v : values) sum += v; return sum; }
std::vector<double> Ramp(int n) { std::vector<double> out(n); for (int i = 0; i < n; ++i) out[i] = i; return out; }
int Fail(const std::string& why) { throw std::runtime_error(why); }
class Counter {
 public:
  explicit Counter(int start) : value_(start) {}
  static Counter* Create(int start) { return new Counter(start); }
  int Add(int by) { return value_ += by; }
 private:
  int value_;
};
int Twice(const mobula::ActorHandle<Counter>& counter) {
  return *counter.Task(&Counter::Add).Remote(1).Get() + *counter.Task(&Counter::Add).Remote(1).Get();
}
MOBULA_REMOTE(Add, Places, Sum, Ramp, Fail, Counter::Create, &Counter::Add, Twice);
"""


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory):
    compiler = shutil.which("g++")
    built = Path(os.path.realpath(ROOT / "python" / "mobula" / "lib"))
    if compiler is None or not (built / "libmobula.so").exists():
        pytest.skip("needs g++ and libmobula.so")
    folder = tmp_path_factory.mktemp("cpp")
    (folder / "counting.cc").write_text(SOURCE)
    made = folder / "libcounting.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-std=c++20", "-I", str(ROOT / "include"), "-o", str(made),
         str(folder / "counting.cc"), f"-L{built}", "-lmobula", f"-Wl,-rpath,{built}"],
        check=True,
    )  # fmt: skip
    ray.init(num_cpus=2, log_to_driver=False)
    ray.load_library(str(made))
    yield
    ray.shutdown()


def test_a_cpp_function_is_a_task():
    add = ray.cpp_function("Add")
    assert ray.get([add.remote(1, 2), add.remote(ray.put(4), add.remote(1, 2))]) == [3, 7]
    assert ray.get(ray.cpp_function("Places").remote(["a", "b", "a"])).keys() == {"a", "b"}


def test_arrays_pass_both_ways():
    assert ray.get(ray.cpp_function("Sum").remote(np.arange(100_000, dtype=np.float64))) == sum(range(100_000))
    ramp = ray.get(ray.cpp_function("Ramp").remote(50_000))
    assert ramp.dtype == np.float64 and ramp[-1] == 49_999 and not ramp.flags.writeable


def test_what_a_cpp_function_throws_is_raised():
    with pytest.raises(CrossLanguageError, match="why not") as caught:
        ray.get(ray.cpp_function("Fail").remote("why not"))
    assert isinstance(caught.value, RayTaskError) and "std::runtime_error" in str(caught.value)


def test_wrong_uses_are_named():
    with pytest.raises(TypeError, match="no form for"):
        ray.cpp_function("Add").remote(object(), 1)
    with pytest.raises(ValueError, match="Nowhere.*load_library"):
        ray.cpp_function("Nowhere").remote()
    with pytest.raises(CrossLanguageError, match="expected an integer"):
        ray.get(ray.cpp_function("Add").remote("x", 1))


def test_a_cpp_actor_and_its_handles():
    made = ray.cpp_actor_class("Counter::Create", "Counter")
    counter = made.options(name="counter").remote(10)
    assert ray.get([counter.Add.remote(1), counter.Add.remote(2)]) == [11, 13]
    assert ray.get(ray.cpp_function("Twice").remote(counter)) == 14 + 15
    assert ray.get(ray.remote(lambda c: ray.get(c.Add.remote(100))).remote(counter)) == 115
    assert ray.get(ray.get_actor("counter").Add.remote(0)) == 115
