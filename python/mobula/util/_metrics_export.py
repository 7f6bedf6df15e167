"""Metrics as Prometheus reads them: the text, and, when asked for, an HTTP server on this machine.

Users' metrics have the names that Ray gives them (ray_<name>); the engine's own figures are ray_resources,
ray_object_store_* and mobula_*. Tests: tests/contract/util/test_util_metrics.py.
"""

from __future__ import annotations

import threading
from typing import Any

from mobula import _core

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TYPES = {1: "counter", 2: "gauge", 3: "histogram"}


class Family:
    """All series of one name."""

    def __init__(self, kind: str, description: str) -> None:
        self.kind, self.description = kind, description
        self.samples: dict[tuple[Any, ...], Any] = {}  # by suffix and tags


def text() -> str:
    """Everything, as Prometheus' text format."""
    families: dict[str, Family] = {}
    for kind, key, pid, bounds, values in _core.metric_rows():
        _add_users(families, kind, key, pid, bounds, values)
    if _core.is_open():
        _add_engine(families)
    lines: list[str] = []
    for name, family in sorted(families.items()):
        if family.description:
            lines.append(f"# HELP {name} {_escaped(family.description, False)}")
        lines.append(f"# TYPE {name} {family.kind}")
        lines += [
            f"{name}{suffix}{_tags_text(tags)} {_number(value)}"
            for (suffix, tags), value in family.samples.items()
        ]
    return "\n".join(lines) + "\n" if lines else ""


def _add_users(
    families: dict[str, Family], kind: int, key: str, pid: int, bounds: list[float], values: list[float]
) -> None:
    import json

    name, description, pairs = json.loads(key)
    tags = tuple((tag, value) for tag, value in pairs)
    name = f"ray_{name}"
    if kind == 1 and not name.endswith("_total"):
        name += "_total"
    family = families.setdefault(name, Family(_TYPES[kind], description))
    if family.kind != _TYPES[kind]:
        return  # one name, two kinds: the first stays
    if kind == 2:
        family.samples["", (*tags, ("Pid", str(pid)))] = values[0]
    elif kind == 1:
        _raise(family, ("", tags), values[0])
    else:
        total = 0.0
        for bound, count in zip([*map(_number, bounds), "+Inf"], values[:-1], strict=True):
            total += count
            _raise(family, ("_bucket", (*tags, ("le", bound))), total)
        _raise(family, ("_sum", tags), values[-1])
        _raise(family, ("_count", tags), total)


def _raise(family: Family, sample: tuple[Any, ...], amount: float) -> None:
    family.samples[sample] = family.samples.get(sample, 0.0) + amount


def _add_engine(families: dict[str, Family]) -> None:
    def gauge(name: str, description: str, value: float, *tags: tuple[str, str]) -> None:
        families.setdefault(name, Family("gauge", description)).samples["", tags] = value

    for node in _core.cluster():
        for resource, total in node["total"].items():
            free = node["available"].get(resource, 0.0)
            for state, amount in (("AVAILABLE", free), ("USED", total - free)):
                gauge("ray_resources", "Logical resources", amount, ("Name", resource), ("State", state))
    stats = _core.stats()
    used, total = stats["arena_used_bytes"], stats["arena_bytes"]
    gauge("ray_object_store_used_memory", "Bytes of the object store in use", used)
    gauge("ray_object_store_available_memory", "Bytes of the object store that are free", total - used)
    gauge("ray_object_store_num_local_objects", "Objects that are there", stats["objects"])
    for name, value in stats.items():
        gauge(f"mobula_{name}", "", value)
    gauge("mobula_metrics_refused", "Series that found no room", _core.metrics_refused())


def _escaped(text: str, quotes: bool) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


def _tags_text(tags: tuple[tuple[str, str], ...]) -> str:
    return "{" + ",".join(f'{key}="{_escaped(value, True)}"' for key, value in tags) + "}" if tags else ""


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


# -- the server --------------------------------------------------------------------------------------------

_server: Any = None


def serve(port: int) -> int:
    """Serves text() on 127.0.0.1, at /metrics, until stop(); the port, which 0 leaves to the system."""
    global _server
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.split("?")[0] not in ("/", "/metrics"):
                self.send_error(404)
                return
            body = text().encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    stop()
    _server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
    _server.daemon_threads = True
    threading.Thread(target=_server.serve_forever, name="mobula-metrics", daemon=True).start()
    return int(_server.server_address[1])


def stop() -> None:
    """Ends the server, if there is one."""
    global _server
    server, _server = _server, None
    if server is not None:
        server.shutdown()
        server.server_close()


def forget() -> None:
    """In a forked child: the server is the parent's."""
    global _server
    if _server is not None:
        _server.socket.close()
        _server = None
