"""Metrics from drivers, tasks and actors, as Prometheus reads them."""

from __future__ import annotations

import os
import pickle
import re
import signal
import time
import urllib.error
import urllib.request

import pytest

import mobula as ray
from mobula.util.metrics import Counter, Gauge, Histogram, export_text


@pytest.fixture(scope="module", autouse=True)
def engine():
    ray.init(num_cpus=2, log_to_driver=False, _metrics_export_port=0)
    yield
    ray.shutdown()


def read(name, text=None):
    """The value of each line that begins with `name`, by the tags in it."""
    found = {}
    for line in (export_text() if text is None else text).splitlines():
        match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
        if match:
            found[match[1] or ""] = float(match[2])
    return found


def test_counters_add_up_over_driver_tasks_and_actors():
    @ray.remote
    class Actor:
        def __init__(self):
            self.counter = Counter("adds", tag_keys=("who",)).set_default_tags({"who": "actor"})

        def add(self):
            self.counter.inc()

    @ray.remote
    def task():
        Counter("adds", tag_keys=("who",)).inc(0.5, tags={"who": "task"})

    counter = Counter("adds", description='what is "added"\nup', tag_keys=("who",))
    counter.inc(3, tags={"who": "driver"})
    actors = [Actor.remote() for _ in range(2)]
    ray.get([task.remote() for _ in range(20)] + [a.add.remote() for a in actors for _ in range(5)])
    assert read("ray_adds_total") == {'who="driver"': 3, 'who="task"': 10, 'who="actor"': 10}
    text = export_text()
    assert "# TYPE ray_adds_total counter" in text
    assert '# HELP ray_adds_total what is "added"\\nup' in text


def test_metrics_travel_in_closures_and_arguments():
    counter = Counter("travels", tag_keys=("x",)).set_default_tags({"x": "1"})

    @ray.remote
    def task(other):
        counter.inc()
        other.inc()

    ray.get([task.remote(counter) for _ in range(3)])
    assert read("ray_travels_total") == {'x="1"': 6}
    assert pickle.loads(pickle.dumps(counter)).info == counter.info


def test_nothing_is_lost_when_a_worker_ends_or_is_killed():
    @ray.remote(max_calls=1)
    def task():
        Counter("short_lives").inc()

    @ray.remote
    class Actor:
        def work(self):
            Counter("short_lives").inc(10)
            return os.getpid()

    ray.get([task.remote() for _ in range(10)])
    pid = ray.get(Actor.remote().work.remote())
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # its handle is gone: it has ended by itself
    assert read("ray_short_lives_total") == {"": 20}


def test_a_gauge_has_a_value_for_each_process_that_lives():
    @ray.remote
    class Actor:
        def set(self, value):
            Gauge("depth").set(value)
            return os.getpid()

    actors = [Actor.remote() for _ in range(2)]
    pids = ray.get([a.set.remote(value) for value, a in enumerate(actors)])
    gauge = Gauge("depth")
    gauge.set(7)
    gauge.set(None)
    expected = {f'Pid="{pid}"': value for pid, value in zip([*pids, os.getpid()], [0, 1, 7], strict=True)}
    assert read("ray_depth") == expected
    ray.kill(actors[0])
    deadline = time.monotonic() + 10
    while f'Pid="{pids[0]}"' in read("ray_depth"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_histograms_are_cumulative():
    @ray.remote
    def task(value):
        Histogram("seconds", boundaries=[1, 10], tag_keys=("t",)).observe(value, tags={"t": "a"})

    ray.get([task.remote(value) for value in (0.5, 1, 5, 100)])
    assert read("ray_seconds_bucket") == {'t="a",le="1"': 2, 't="a",le="10"': 3, 't="a",le="+Inf"': 4}
    assert read("ray_seconds_sum") == {'t="a"': 106.5}
    assert read("ray_seconds_count") == {'t="a"': 4}


def test_wrong_use_is_refused():
    with pytest.raises(TypeError, match="tag_keys should be a tuple"):
        Counter("wrong", tag_keys=["a"])
    with pytest.raises(TypeError, match="Tag keys must be str"):
        Counter("wrong", tag_keys=(1,))
    with pytest.raises(ValueError, match="Empty name"):
        Gauge("")
    with pytest.warns(UserWarning, match="Invalid metric name"):
        Counter("no-dashes").inc()
    counter = Counter("wrong", tag_keys=("a", "b"))
    with pytest.raises(ValueError, match="Unrecognized tag key c"):
        counter.set_default_tags({"c": "x"})
    with pytest.raises(TypeError, match="Tag values must be str"):
        counter.set_default_tags({"a": 1})
    with pytest.raises(ValueError, match=r"Missing value for tag key\(s\): b"):
        counter.inc(tags={"a": "x"})
    with pytest.raises(TypeError, match="Tag values must be str"):
        counter.inc(tags={"a": "x", "b": 2})
    with pytest.raises(ValueError, match="value must be >0"):
        counter.inc(0, tags={"a": "x", "b": "y"})
    with pytest.raises(TypeError, match="value must be int or float"):
        counter.inc("1", tags={"a": "x", "b": "y"})
    with pytest.raises(ValueError, match="boundaries argument should be provided"):
        Histogram("wrong_too")
    with pytest.raises(ValueError, match="index 1"):
        Histogram("wrong_too", boundaries=[1, -1])
    assert Histogram("h", boundaries=[1.0]).info == {
        "name": "h", "description": "", "tag_keys": (), "default_tags": {}, "boundaries": [1.0],
    }  # fmt: skip


def test_the_engines_own_figures_are_there():
    assert read("ray_resources")['Name="CPU",State="AVAILABLE"'] <= 2
    assert read("mobula_arena_bytes")[""] > 0
    assert read("mobula_workers")[""] >= 0


def test_the_server_answers_on_loopback():
    Counter("served").inc(4)
    port = ray.nodes()[0]["MetricsExportPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert read("ray_served_total", answer.read().decode()) == {"": 4}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/other", timeout=10)


def test_what_was_counted_outlives_the_engine():
    @ray.remote
    def task():
        import atexit

        Counter("outlives").inc(2)
        atexit.register(Counter("outlives").inc)

    ray.get(task.remote())
    port = ray.nodes()[0]["MetricsExportPort"]
    ray.shutdown()
    assert read("ray_outlives_total")[""] >= 2
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)
    ray.init(num_cpus=2, log_to_driver=False)
    assert ray.nodes()[0]["MetricsExportPort"] == 0, "served only when asked for"
    ray.get(task.remote())
    assert read("ray_outlives_total")[""] >= 4
