"""Dask on tasks: `dask.compute(x, scheduler=ray_dask_get)`, or enable_dask_on_ray() for everything.

Each task of a Dask graph is one task here; what it makes goes to the next one through the object store.
"""

from __future__ import annotations

try:
    import dask
    from dask._task_spec import convert_legacy_graph as convert_legacy_graph
except ImportError as error:
    raise ImportError(
        "mobula.util.dask needs dask 2024.11.0 or newer: pip install 'dask>=2024.11.0' (dask[dataframe], "
        "dask[array] for its collections)"
    ) from error

from mobula.util.dask.callbacks import (
    ProgressBarCallback,
    RayDaskCallback,
    local_ray_callbacks,
    unpack_ray_callbacks,
)
from mobula.util.dask.scheduler import (
    dataframe_optimize,
    disable_dask_on_ray,
    enable_dask_on_ray,
    persist_with,
    ray_dask_get,
    ray_dask_get_sync,
)

__all__ = [
    "ProgressBarCallback", "RayDaskCallback", "dataframe_optimize", "disable_dask_on_ray",
    "enable_dask_on_ray", "local_ray_callbacks", "ray_dask_get", "ray_dask_get_sync", "ray_dask_persist",
    "unpack_ray_callbacks",
]  # fmt: skip

ray_dask_persist = persist_with(dask.base.persist)
# What `dask.persist(x)` and `x.persist()` make is to stay in the object store: only dask can tell its
# scheduler.
dask.persist = dask.base.persist = ray_dask_persist
