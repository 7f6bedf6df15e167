"""Starting and ending the engine of this process: init, shutdown, and the start that the first use makes by
itself."""

from __future__ import annotations

import atexit
import os
import sys

from mobula import _core, _environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Options of Ray's init that mean nothing in an engine without daemons, dashboard or log files. They are
# accepted.
MEANINGLESS = {
    "include_dashboard", "dashboard_host", "dashboard_port", "configure_logging", "logging_level",
    "logging_format", "logging_config", "job_config", "local_mode", "enable_resource_isolation",
    "cgroup_path", "system_reserved_cpu", "system_reserved_memory", "proxy_server_url",
    "_enable_object_reconstruction", "_plasma_directory", "_node_ip_address", "_driver_object_store_memory",
    "_redis_username", "_redis_password", "_temp_dir", "_system_config",
    "_tracing_startup_hook", "_node_name", "storage", "dashboard_agent_listen_port",
}  # fmt: skip
_OWN = {"_memory", "_metrics_export_port", "_spill_folder", "_workers_max", "object_spilling_directory"}


class State:
    """What this process knows of its engine."""

    info: dict[str, Any] | None = None
    namespace = ""
    job: dict[str, Any] = {}
    job_environment: dict[str, Any] = {}
    temporary_folder = ""
    metrics_port = 0


state = State()


class Context(dict[str, object]):
    """What init() gives: facts about the engine; `with init(): ...` ends it at the end of the block."""

    dashboard_url = ""
    python_version = ".".join(map(str, sys.version_info[:3]))
    ray_version = "2.60.0"
    ray_commit = ""

    @property
    def address_info(self) -> dict[str, object]:
        """Node id, address and session, as Ray names them."""
        return dict(self)

    def disconnect(self) -> None:
        """Ends the engine."""
        shutdown()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *error: object) -> None:
        shutdown()


def is_worker() -> bool:
    """True in a process that runs tasks."""
    return "mobula._worker" in sys.modules and sys.modules["mobula._worker"].serving


def namespace() -> str:
    """The namespace of this job."""
    if is_worker():
        return sys.modules["mobula._worker"].namespace()  # type: ignore[no-any-return]
    return state.namespace


def ensure() -> None:
    """Starts an engine if there is none."""
    if not _core.is_open():
        auto_init()


def auto_init() -> None:
    """For the first use without init()."""
    init()


def init(
    address: str | None = None,
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: dict[str, float] | None = None,
    labels: dict[str, str] | None = None,
    object_store_memory: int | None = None,
    ignore_reinit_error: bool = False,
    namespace: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    log_to_driver: bool | None = None,
    **more: Any,
) -> Context:
    """The body of mobula.init()."""
    unknown = sorted(set(more) - MEANINGLESS - _OWN)
    if unknown:
        raise TypeError(f"init() got an unknown option: {', '.join(unknown)}")
    _check_address(address)
    if _core.is_open():
        if ignore_reinit_error or is_worker():
            return _context()
        raise RuntimeError(
            "mobula.init() was called twice: call mobula.shutdown() first, or pass ignore_reinit_error=True "
            "to go on with "
            "the engine that runs"
        )
    amounts = _resources(num_cpus, num_gpus, resources, more.get("_memory"))
    _check_store(object_store_memory)
    state.namespace = namespace or os.urandom(16).hex()
    job = _make_job_config(runtime_env)
    try:
        _open(amounts, object_store_memory, labels, job, log_to_driver is not False, more)
        _serve_metrics(more.get("_metrics_export_port"))
    except BaseException:
        if _core.is_open():
            _core.close()
        _environment.remove_job(state.job)
        raise
    return _context()


def _serve_metrics(port: int | None) -> None:
    port = _environment.metrics_port() if port is None else port
    if port is not None:
        from mobula.util import _metrics_export

        state.metrics_port = _metrics_export.serve(port)


def _open(
    amounts: dict[str, float],
    store: int | None,
    labels: Any,
    job: dict[str, Any],
    log: bool,
    more: dict[str, Any],
) -> None:
    import json

    state.info = _core.open_driver(
        resources=amounts,
        arena_bytes=int(store or 0),
        labels=_labels(labels),
        zygote_command=_zygote_command(),
        zygote_environment=[],
        job_config=json.dumps(job),
        space=state.namespace,
        spill_folder=more.get("_spill_folder") or more.get("object_spilling_directory") or "",
        log_to_driver=log,
        workers_max=more.get("_workers_max") or 0,
    )
    _register_once()
    _environment.record_sites()
    for module in ("asyncio", "concurrent.futures", "traceback", "inspect"):
        _core.preload(module)
    if "numpy" in sys.modules:
        _core.preload("numpy")


def shutdown(_exiting_interpreter: bool = False) -> None:
    """The body of mobula.shutdown()."""
    if is_worker() or not _core.is_open():
        return
    futures = sys.modules.get("mobula._futures")
    if futures is not None:
        futures.end()
    runs = sys.modules.get("mobula.data.exec.run")
    if runs is not None:
        runs.end_all()
    _stop_metrics("stop")
    _core.close()
    state.info = None
    if state.job:
        _environment.remove_job(state.job)
        state.job = {}


def _stop_metrics(how: str) -> None:
    export = sys.modules.get("mobula.util._metrics_export")
    if export is not None:
        getattr(export, how)()
    state.metrics_port = 0


_registered = False


def _register_once() -> None:
    global _registered
    if not _registered:
        _registered = True
        atexit.register(shutdown, True)
        os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    """In a forked child the engine is the parent's."""
    if not is_worker():
        _core.forget()
        state.info, state.job = None, {}
        _stop_metrics("forget")
        futures = sys.modules.get("mobula._futures")
        if futures is not None:
            futures.forget()


def _context() -> Context:
    info = state.info or {}
    return Context(
        node_ip_address="127.0.0.1", node_id=info.get("node_id", ""), address="local", gcs_address="local",
        session_dir=state.temporary_folder, webui_url="", session=info.get("session", 0),
        metrics_export_port=state.metrics_port,
    )  # fmt: skip


# -- checks and defaults -------------------------------------------------------------------------------------


def _check_address(address: str | None) -> None:
    if address in (None, "local"):
        return
    if not isinstance(address, str):
        raise TypeError(f"address must be a string or None, not {address!r}")
    if address.startswith("ray://") or ":" in address:
        raise ConnectionError(
            f"init(address={address!r}): running on a Ray cluster is not available yet; leave the address "
            f"out to run on this "
            "machine"
        )
    raise ConnectionError(
        f"init(address={address!r}): attaching to a node that runs already is not available yet; leave the "
        f"address out to "
        "start one in this process"
    )


def _check_store(store: Any) -> None:
    if store is None:
        return
    if isinstance(store, bool) or not isinstance(store, (int, float)):
        raise TypeError(f"object_store_memory must be a number of bytes, not {store!r}")
    if store < 1 << 20:
        raise ValueError(f"object_store_memory must be at least 1 MiB, not {store} bytes")


def cpus() -> int:
    """The CPUs that this process may use: its affinity, and the quota of its control group."""
    count = len(os.sched_getaffinity(0))
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        if quota != "max":
            count = min(count, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return count


def gpus() -> int:
    """The GPUs that this process may see."""
    visible = _environment.visible_devices()
    if visible is not None:
        return len([one for one in visible.split(",") if one and one not in ("-1", "NoDevFiles")])
    try:
        return len(os.listdir("/proc/driver/nvidia/gpus"))
    except OSError:
        return 0


def _resources(
    num_cpus: float | None, num_gpus: float | None, resources: dict[str, float] | None, memory: float | None
) -> dict[str, float]:
    from mobula import _options

    given = {"num_cpus": num_cpus, "num_gpus": num_gpus, "resources": resources, "memory": memory}
    for name, value in given.items():
        if value is not None:
            _options.TASK_OPTIONS[name].validate(name, value)
    amounts = dict(resources or {})
    amounts["CPU"] = cpus() if num_cpus is None else num_cpus
    amounts["GPU"] = gpus() if num_gpus is None else num_gpus
    if memory is not None:
        amounts["memory"] = memory
    amounts.setdefault("node:127.0.0.1", 1.0)
    amounts.setdefault("node:__internal_head__", 1.0)
    return {name: amount for name, amount in amounts.items() if amount or name == "CPU"}


def _labels(labels: dict[str, str] | None) -> dict[str, str]:
    if labels is None:
        return {}
    if not isinstance(labels, dict) or not all(
        isinstance(text, str) for pair in labels.items() for text in pair
    ):
        raise TypeError(f"labels must map strings to strings, not {labels!r}")
    return dict(labels)


def _zygote_command() -> list[str]:
    """The warm process: this interpreter, with this process's path, which is how it finds the package."""
    import json

    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_zygote.py")
    flags = ["-P"] + [
        flag for flag, on in (("-O", sys.flags.optimize == 1), ("-OO", sys.flags.optimize > 1)) if on
    ]
    return [
        sys.executable or "python3",
        *flags,
        script,
        json.dumps([path or os.getcwd() for path in sys.path]),
        state.job.get("folder", ""),
    ]


def _make_job_config(runtime_env: dict[str, Any] | None) -> dict[str, Any]:
    """What each worker is told of this program."""
    state.job, state.job_environment = {}, dict(runtime_env or {})
    if runtime_env:
        state.job = _environment.make_job(runtime_env)
    return {
        "path": [path or os.getcwd() for path in sys.path],
        "as_ray": "mobula.as_ray" in sys.modules and sys.modules["mobula.as_ray"].installed(),
        "environment": state.job,
        "namespace": state.namespace,
        "runtime_env": {
            key: value for key, value in state.job_environment.items() if isinstance(value, (str, dict, list))
        },
        "argv0": sys.argv[0] if sys.argv else "",
    }
