"""Runtime environments: variables for one task or actor; folders, modules and variables for the whole job.

A job's folders are copied when it starts and removed when it ends; what a killed driver left is removed by
the next. A task's environment travels as one JSON string: equal strings may share workers, others never do.
"""

from __future__ import annotations

import os
import sys

from mobula import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIELDS = {
    "working_dir", "py_modules", "py_executable", "pip", "uv", "conda", "env_vars", "excludes", "image_uri",
    "container", "java_jars", "worker_process_setup_hook", "_nsight", "nsight", "_rocprof_sys",
    "rocprof_sys", "config", "_ray_release", "_ray_commit", "_inject_current_ray", "env", "mpi",
}  # fmt: skip
IGNORED = {"config", "excludes", "_ray_release", "_ray_commit", "_inject_current_ray"}
DEFAULT_EXCLUDES = (".git", ".venv", "venv", "__pycache__")
_PREFIX = "mobula-job-"


def _check(environment: dict[str, Any]) -> None:
    if not isinstance(environment, dict):
        raise TypeError(f"runtime_env must be a dict, not {type(environment).__name__}")
    for field, value in environment.items():
        if field not in FIELDS:
            raise ValueError(f"unknown field {field!r} in runtime_env. Known: {', '.join(sorted(FIELDS))}")
        if value and field not in IGNORED and field not in ("env_vars", "working_dir", "py_modules"):
            raise NotImplementedError(
                f"runtime_env field {field!r} is not available yet; env_vars, working_dir and py_modules are"
            )
    variables = environment.get("env_vars") or {}
    if not isinstance(variables, dict):
        raise TypeError(f"runtime_env['env_vars'] must be a dict, not {type(variables).__name__}")
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"runtime_env['env_vars'] maps strings to strings: {name!r}: {value!r}")


def pack(environment: dict[str, Any]) -> str:
    """The environment of one task or actor, over that of this process, as one string."""
    _check(environment)
    for field in ("working_dir", "py_modules"):
        if environment.get(field):
            raise ValueError(
                f"runtime_env[{field!r}] is for the whole job: give it to mobula.init(runtime_env=...), not "
                f"to one task or "
                f"actor (it was {environment[field]!r})"
            )
    import json

    inherited = unpack(_core.runtime_env())
    variables = {**inherited.get("env_vars", {}), **(environment.get("env_vars") or {})}
    return json.dumps({"env_vars": variables}, sort_keys=True) if variables else ""


def unpack(packed: str) -> dict[str, Any]:
    """What pack() made, as a dict."""
    if not packed:
        return {}
    import json

    return dict(json.loads(packed))


def apply(packed: str) -> None:
    """In a worker: sets the variables."""
    os.environ.update(unpack(packed).get("env_vars", {}))


def records_sites() -> bool:
    """Whether the state API is to show where tasks and values are made."""
    names = ("MOBULA_RECORD_REF_CREATION_SITES", "RAY_record_ref_creation_sites")
    return any(os.environ.get(name, "").lower() in ("1", "true") for name in names)


def record_sites() -> None:
    """Has the engine told of it, if so; in the driver and in each worker."""
    if records_sites():
        _core.record_sites(os.path.join(os.path.dirname(os.path.abspath(__file__)), ""))


# -- accelerators --------------------------------------------------------------------------------------------


def visible_devices() -> str | None:
    """The GPUs that this process is allowed to see, as CUDA_VISIBLE_DEVICES says."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def show_devices(visible: str | None) -> None:
    """In a worker: the GPUs that its task may see; None for a variable that is not set."""
    if os.environ.get("RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"):
        return
    if visible is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible


# -- what the machine's operators set ------------------------------------------------------------------------


def metrics_port() -> int | None:
    """The port to serve metrics on, as MOBULA_METRICS_EXPORT_PORT says; None: they are not served."""
    text = os.environ.get("MOBULA_METRICS_EXPORT_PORT", "")
    if not text:
        return None
    if not text.isdigit() or int(text) > 65535:
        raise ValueError(f"MOBULA_METRICS_EXPORT_PORT={text!r} is not a port")
    return int(text)


def cloud_instance_id() -> str:
    """The machine's name in its cloud, as RAY_CLOUD_INSTANCE_ID says."""
    return os.environ.get("RAY_CLOUD_INSTANCE_ID", "")


# -- the job's folders -------------------------------------------------------------------------------------


def _existing_folder(path: Any, field: str) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"runtime_env[{field!r}] must be a path, not {path!r}")
    path = str(os.fspath(path))
    if "://" in path or path.endswith((".zip", ".whl")):
        raise NotImplementedError(
            f"runtime_env[{field!r}]: only local folders are available yet, not {path!r}"
        )
    if not os.path.isdir(path):
        raise ValueError(f"runtime_env[{field!r}]: there is no folder {path!r}")
    return str(os.path.abspath(path))


def _copy(source: str, target: str, excludes: list[str]) -> None:
    import shutil

    ignore = shutil.ignore_patterns(*DEFAULT_EXCLUDES, *excludes)
    shutil.copytree(source, target, ignore=ignore, symlinks=True, ignore_dangling_symlinks=True)


def _module_folder(module: Any) -> str:
    """The folder of an imported package, or the path itself."""
    paths = getattr(module, "__path__", None)
    return str(next(iter(paths)) if paths else module)


def make_job(environment: dict[str, Any] | None) -> dict[str, Any]:
    """Checks a job's environment and copies its folders: what workers have to know of it."""
    if not environment:
        return {}
    _check(environment)
    job: dict[str, Any] = {"env_vars": environment.get("env_vars") or {}}
    excludes = list(environment.get("excludes") or [])
    working_dir = environment.get("working_dir")
    modules = environment.get("py_modules") or []
    working_dir = _existing_folder(working_dir, "working_dir") if working_dir else None
    modules = [_existing_folder(_module_folder(module), "py_modules") for module in modules]
    if working_dir or modules:
        job["folder"] = folder = _new_folder()
        if working_dir:
            job["working_dir"] = os.path.join(folder, "work")
            _copy(working_dir, job["working_dir"], excludes)
        job["paths"] = []
        for place, module in enumerate(modules):
            parent = os.path.join(folder, f"module{place}")
            _copy(module, os.path.join(parent, os.path.basename(module)), excludes)
            job["paths"].append(parent)
    return job


def _new_folder() -> str:
    import tempfile

    remove_left_over(tempfile.gettempdir())
    return tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getuid()}-{os.getpid()}-")


def remove_left_over(parent: str) -> None:
    """Removes the folders of drivers that are gone."""
    import shutil

    own = f"{_PREFIX}{os.getuid()}-"
    for name in os.listdir(parent):
        pid = name.removeprefix(own).split("-")[0]
        if name.startswith(own) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(os.path.join(parent, name), ignore_errors=True)


def remove_job(job: dict[str, Any]) -> None:
    """Removes a job's copies."""
    if job.get("folder"):
        import shutil

        shutil.rmtree(job["folder"], ignore_errors=True)


def enter_job(job: dict[str, Any]) -> None:
    """In a worker: the job's variables, paths and current folder."""
    os.environ.update(job.get("env_vars", {}))
    sys.path[:0] = job.get("paths", [])
    if job.get("working_dir"):
        sys.path.insert(0, job["working_dir"])
        os.chdir(job["working_dir"])
