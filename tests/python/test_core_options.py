"""Options, signatures, ids and environments; without an engine."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import pytest

import mobula
from mobula import _driver, _environment, _options, _signature
from mobula._ids import NodeID, TaskID
from mobula.util.scheduling_strategies import node_matches


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"num_cpu": 1}, ValueError, "num_cpu.*Did you mean 'num_cpus'"),
        ({"num_cpus": -1}, ValueError, "negative"),
        ({"num_cpus": "2"}, TypeError, "num_cpus"),
        ({"num_gpus": 1.5}, ValueError, "whole number"),
        ({"resources": {"CPU": 1}}, ValueError, "num_cpus"),
        ({"resources": {"a": "1"}}, TypeError, "'a'"),
        ({"num_returns": -2}, ValueError, "num_returns"),
        ({"num_returns": "many"}, ValueError, "num_returns"),
        ({"max_retries": -2}, ValueError, "max_retries"),
        ({"retry_exceptions": [1]}, TypeError, "retry_exceptions"),
        ({"object_store_memory": 1}, ValueError, "object_store_memory"),
        ({"num_cpus": 0.00001}, ValueError, "finer"),
        ({"num_cpus": True}, TypeError, "num_cpus"),
        ({"name": 5}, TypeError, "name"),
    ],
)
def test_a_wrong_option_of_a_task_is_refused_by_name(options, kind, words):
    with pytest.raises(kind, match=words):
        mobula.remote(**options)(lambda: 1)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"lifetime": "forever"}, ValueError),
        ({"max_restarts": -2}, ValueError),
        ({"max_concurrency": 0}, ValueError),
        ({"concurrency_groups": {"io": 0}}, ValueError),
        ({"get_if_exists": True}, ValueError),
        ({"num_returns": 1}, ValueError),
        ({"name": ""}, ValueError),
    ],
)
def test_a_wrong_option_of_an_actor_is_refused(options, kind):
    class Actor:
        pass

    with pytest.raises(kind):
        mobula.remote(**options)(Actor)
    with pytest.raises(kind):
        mobula.remote(Actor).options(**options)


def test_remote_is_for_functions_and_classes():
    for wrong in (5, "x", mobula.remote(lambda: 1)):
        with pytest.raises(TypeError):
            mobula.remote(wrong)
    with pytest.raises(TypeError):
        mobula.remote()
    with pytest.raises(ValueError, match="async"):

        @mobula.remote
        async def never():
            pass


def test_what_a_task_needs():
    assert _options.amounts({}, 1) == {"CPU": 1}
    assert _options.amounts({"num_cpus": 0, "num_gpus": 0.5, "resources": {"x": 2}}, 1) == {
        "GPU": 0.5,
        "x": 2,
    }
    assert _options.amounts({"accelerator_type": "A100"}, 0) == {"accelerator_type:A100": 0.001}


def sample(a, b, /, c, d=1, *rest, e, f=2, **more):
    pass


def test_signatures_are_read_from_the_code():
    assert _signature.describe(sample) == (("a", "b", "c", "d"), 2, 3, ("e", "f"), ("e",), True, True)
    assert _signature._describe_slowly(sample, False) == _signature.describe(sample)
    assert _signature.describe(functools.partial(sample, 1)) is not None
    assert _signature.describe(print) is None or _signature.describe(print)[5]
    assert _signature.describe(lambda self, x: x, skip_first=True)[0] == ("x",)


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((1,), {"c": 1, "e": 1}, "'b'"),
        ((1, 2), {"e": 1}, "'c'"),
        ((1, 2, 3), {}, "'e'"),
        ((1, 2, 3), {"c": 1, "e": 1}, "multiple"),
    ],
)
def test_a_call_that_does_not_fit_names_the_argument(args, kwargs, words):
    with pytest.raises(TypeError, match=words):
        _signature.check_arguments("sample", _signature.describe(sample), args, kwargs)
    with pytest.raises(TypeError):
        sample(*args, **kwargs)


def test_ids_are_bytes_with_a_kind():
    one = TaskID.from_number(5)
    assert one.hex() == "0000000000000005" and TaskID.from_hex(one.hex()) == one
    assert one != NodeID.nil() and NodeID.nil().is_nil() and len(NodeID.nil().hex()) == 56
    with pytest.raises(ValueError):
        TaskID(b"short")


def test_label_selectors():
    labels = {"zone": "a", "disk": "ssd"}
    assert node_matches(labels, {"zone": "a"}) and node_matches(labels, {"zone": "in(a, b)", "disk": "!hdd"})
    assert not node_matches(labels, {"zone": "!in(a,b)"}) and not node_matches(labels, {"gpu": "yes"})


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({"env_vars": {"A": 1}}, TypeError),
        ({"nonsense": 1}, ValueError),
        ({"working_dir": "."}, ValueError),
        ("x", TypeError),
        ({"pip": ["x"]}, NotImplementedError),
    ],
)
def test_a_wrong_environment_of_a_task_is_refused(environment, kind):
    with pytest.raises(kind):
        _environment.pack(environment)


def test_equal_environments_are_one_string():
    assert _environment.pack({"env_vars": {"B": "1", "A": "2"}}) == _environment.pack(
        {"env_vars": {"A": "2", "B": "1"}}
    )
    assert _environment.pack({}) == ""


def test_folders_of_dead_drivers_are_removed(tmp_path):
    dead, alive = (
        tmp_path / f"mobula-job-{os.getuid()}-999999999-x",
        tmp_path / f"mobula-job-{os.getuid()}-{os.getpid()}-x",
    )
    dead.mkdir()
    alive.mkdir()
    _environment.remove_left_over(str(tmp_path))
    assert not dead.exists() and alive.exists()


@pytest.mark.parametrize("address", ["auto", "ray://host:1", "10.0.0.1:6379"])
def test_addresses_that_are_not_available_yet_say_so(address):
    with pytest.raises(ConnectionError, match="not available yet"):
        _driver.init(address)


def test_an_unknown_option_of_init_is_named():
    with pytest.raises(TypeError, match="num_cpu"):
        mobula.init(num_cpu=1)


def test_the_import_is_light():
    heavy = "'numpy', 'pyarrow', 'cloudpickle', 'asyncio', 'typing', 'json', 're'"
    code = f"import sys, mobula; print([name for name in ({heavy}) if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
