"""The schedulers for Dask: a graph is rewritten so that each of its tasks submits one of ours and gives a
reference; Dask's own synchronous scheduler then walks it, which takes no time, and drops each reference when
its last user is submitted. Tests: tests/contract/util/test_util_dask.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import dask
from dask._task_spec import Alias, DataNode, Task, TaskRef, convert_legacy_graph
from dask.local import get_sync

import mobula
from mobula.util.dask.callbacks import RayCallbacks, local_ray_callbacks, refs_in, unpack_ray_callbacks

_RESOURCES = 'Use ray_remote_args={"resources": {...}} instead of resources={...} to say what tasks need'


def enable_dask_on_ray(shuffle: str | None = "tasks", use_shuffle_optimization: bool | None = True) -> Any:
    """Makes ray_dask_get Dask's scheduler, and `shuffle` the way dataframes are shuffled; as a context
    manager, inside of it. `use_shuffle_optimization` is accepted: newer Dask has no use for it."""
    return dask.config.set({"scheduler": ray_dask_get, "dataframe.shuffle.method": shuffle})


def disable_dask_on_ray() -> Any:
    """Undoes enable_dask_on_ray()."""
    return dask.config.set({"scheduler": None, "dataframe.shuffle.method": None})


def dataframe_optimize(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    """The graph as it is: Dask's own optimisation has been done."""
    return dsk


def persist_with(persist: Callable[..., Any]) -> Callable[..., Any]:
    """dask.persist, whose results stay in the object store when the scheduler is one of ours."""

    def ray_dask_persist(*args: Any, **kwargs: Any) -> Any:
        """dask.persist(): the collections' parts become objects, computed in the background."""
        scheduler = kwargs.get("scheduler") or dask.config.get("scheduler", None)
        if scheduler in (ray_dask_get, ray_dask_get_sync):
            kwargs["ray_persist"] = True
        return persist(*args, **kwargs)

    return ray_dask_persist


def ray_dask_get(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    """The values of `keys` of a Dask graph, computed by tasks.

    Args:
        ray_callbacks: RayDaskCallbacks for this computation; by default the active ones.
        ray_remote_args: options of all its tasks; dask.annotate(ray_remote_args=...) gives them to some.
        ray_persist: give references instead of values, at once.
        num_workers, pool: accepted; submitting needs no threads.
    """
    for name in ("num_workers", "pool", "_ray_enable_progress_bar"):
        kwargs.pop(name, None)
    callbacks, persist = kwargs.pop("ray_callbacks", None), kwargs.pop("ray_persist", False)
    annotations = dask.get_annotations()
    if "resources" in kwargs or "resources" in annotations:
        raise ValueError(_RESOURCES)
    remote_args = kwargs.pop("ray_remote_args", {})
    options = _options_by_key(dsk, annotations, remote_args)
    if not isinstance(dsk, Mapping):  # an expression
        dsk = dsk.__dask_graph__()
    with local_ray_callbacks(callbacks) as active:
        hooks = unpack_ray_callbacks(active)
        graph = convert_legacy_graph(dsk)
        submitting = {key: _submitting(key, node, hooks, options(key)) for key, node in graph.items()}
        refs = get_sync(submitting, keys, **kwargs)
        for hook in hooks.ray_postsubmit_all_cbs or ():
            hook(refs, dsk)
        del dsk, graph, submitting
        result = refs if persist else _values(refs)
        for hook in hooks.ray_finish_cbs or ():
            hook(result)
    return result


def ray_dask_get_sync(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    """As ray_dask_get(), which submits on the calling thread too."""
    return ray_dask_get(dsk, keys, **kwargs)


# -- a graph that submits ----------------------------------------------------------------------------------


def _submitting(key: Any, node: Any, hooks: RayCallbacks, options: dict[str, Any]) -> Any:
    if not isinstance(node, Task) or isinstance(node, (Alias, DataNode)):
        return node
    names = sorted(node.dependencies, key=str)
    submit = partial(_submit, key, node, names, hooks, options)
    return Task(key, submit, *(TaskRef(name) for name in names))


def _submit(
    key: Any, node: Any, names: list[Any], hooks: RayCallbacks, options: dict[str, Any], *values: Any
) -> Any:
    deps = dict(zip(names, values, strict=True))
    answers = [hook(node, key, deps) for hook in hooks.ray_presubmit_cbs or ()]
    for answer in answers:
        if answer is not None:
            return answer
    run: Any = _run_node
    ref = run.options(name=f"dask:{key!s}", **options).remote(
        node, key, names, hooks.ray_pretask_cbs, hooks.ray_posttask_cbs, *values
    )
    for hook in hooks.ray_postsubmit_cbs or ():
        hook(node, key, deps, ref)
    return ref


@mobula.remote
def _run_node(node: Any, key: Any, names: list[Any], pretask: Any, posttask: Any, *values: Any) -> Any:
    states = [hook(key, list(values)) if hook else None for hook in pretask or ()]
    result = _with_values(node)(dict(zip(names, values, strict=True)))
    for place, hook in enumerate(posttask or ()):
        if hook:
            hook(key, result, states[place] if states else None)
    return result


def _with_values(part: Any) -> Any:
    """A task's parts, with the references that it carries (of persisted collections) replaced by values."""
    if isinstance(part, mobula.ObjectRef):
        return mobula.get(part)
    if isinstance(part, DataNode):
        return (
            DataNode(part.key, mobula.get(part.value)) if isinstance(part.value, mobula.ObjectRef) else part
        )
    if isinstance(part, Task):
        part.args = _with_values(part.args)
        return part
    if type(part) in (list, tuple):
        return type(part)(_with_values(one) for one in part)
    if type(part) is dict:
        return {name: _with_values(one) for name, one in part.items()}
    return part


def _values(refs: Any) -> Any:
    """Nested lists and tuples with the references replaced by their values, all got at once."""
    found = refs_in(refs)
    values = iter(mobula.get(found))

    def replaced(part: Any) -> Any:
        if isinstance(part, mobula.ObjectRef):
            return next(values)
        return type(part)(map(replaced, part)) if type(part) in (list, tuple) else part

    return replaced(refs)


def _options_by_key(
    dsk: Any, annotations: dict[str, Any], remote_args: dict[str, Any]
) -> Callable[[Any], dict[str, Any]]:
    """Options of the tasks: the call's, over them those annotated around it, over them the layer's."""
    common = {**remote_args, **annotations.get("ray_remote_args", {})}
    own: dict[Any, dict[str, Any]] = {}
    if hasattr(dsk, "__dask_annotations__"):  # an expression: values by name and key
        noted = dsk.__dask_annotations__()
        own = noted.get("ray_remote_args", {})
    else:
        noted = {}
        for layer in getattr(dsk, "layers", {}).values():
            noted |= layer.annotations or {}
            if "ray_remote_args" in (layer.annotations or {}):
                own.update(dict.fromkeys(layer.get_output_keys(), layer.annotations["ray_remote_args"]))
    if "resources" in noted:
        raise ValueError(_RESOURCES)
    return lambda key: {**common, **own.get(key, {})}
