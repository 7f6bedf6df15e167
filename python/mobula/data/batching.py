"""Batches for consumers: blocks cut and joined to a size, shuffled locally on request, and turned into
tensors.

Tests: tests/contract/test_data_run.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import concat_tables, table_to_batch
from mobula.data.op.stage import rebatched
from mobula.data.optional import optional


def checked_batch_size(batch_size: Any, what: str) -> int | None:
    """A positive number or None."""
    if batch_size is None or (
        isinstance(batch_size, int) and not isinstance(batch_size, bool) and batch_size > 0
    ):
        return batch_size
    raise ValueError(f"{what}: batch_size={batch_size!r}; give a positive int, or None for whole blocks")


def batches(
    blocks: Iterator[pa.Table],
    batch_size: int | None,
    batch_format: str,
    drop_last: bool = False,
    shuffle_rows: int | None = None,
    seed: int | None = None,
) -> Iterator[Any]:
    """The blocks' rows as batches of exactly `batch_size` rows but for the last."""
    if shuffle_rows is not None:
        blocks = shuffled(blocks, shuffle_rows, batch_size or 1, seed)
    for table in rebatched(blocks, batch_size):
        if drop_last and batch_size is not None and table.num_rows < batch_size:
            continue
        yield table_to_batch(table, batch_format)


def shuffled(
    blocks: Iterator[pa.Table], rows_min: int, batch_size: int, seed: int | None
) -> Iterator[pa.Table]:
    """Rows in random order, drawn from a buffer of at least `rows_min` rows while there are so many."""
    if rows_min < 1:
        raise ValueError(f"local_shuffle_buffer_size={rows_min}: give at least 1")
    random = np.random.default_rng(seed)
    waiting: list[pa.Table] = []
    rows = 0
    for block in blocks:
        waiting.append(block)
        rows += block.num_rows
        if rows < 2 * rows_min + batch_size:
            continue
        table = _permuted(waiting, random)
        give = rows - rows_min
        yield table.slice(0, give)
        waiting, rows = [table.slice(give)], rows_min
    if rows:
        yield _permuted(waiting, random)


def _permuted(tables: list[pa.Table], random: np.random.Generator) -> pa.Table:
    table = concat_tables(tables)
    return table.take(pa.array(random.permutation(table.num_rows)))


def torch_batch(batch: dict[str, np.ndarray], dtypes: Any, device: Any) -> dict[str, Any]:
    """A NumPy batch as torch tensors, each with memory of its own, so that it may be changed."""
    torch = optional("torch", "iter_torch_batches")

    out = {}
    for name, values in batch.items():
        if values.dtype.kind not in "biuf":
            raise TypeError(
                f"column {name!r} has type {values.dtype} and cannot become a tensor; leave it out with "
                "select_columns or drop_columns, or pass collate_fn"
            )
        kind = dtypes.get(name) if isinstance(dtypes, dict) else dtypes
        tensor = torch.from_numpy(np.array(values))
        out[name] = tensor.to(device=device, dtype=kind)
    return out


def torch_device(device: Any) -> Any:
    """The device for "auto": the worker's GPU if it has one."""
    torch = optional("torch", "iter_torch_batches")

    if device != "auto":
        return torch.device(device) if device is not None else torch.device("cpu")
    from mobula import _driver

    return torch.device("cuda" if _driver.is_worker() and torch.cuda.is_available() else "cpu")


def torch_batches(
    numpy_batches: Iterator[dict[str, np.ndarray]],
    dtypes: Any,
    device: Any,
    collate_fn: Callable[[dict[str, np.ndarray]], Any] | None,
    pin_memory: bool,
) -> Iterator[Any]:
    """NumPy batches as torch batches."""
    if collate_fn is not None and dtypes is not None:
        raise ValueError("iter_torch_batches: give either dtypes or collate_fn")
    place = torch_device(device)
    for batch in numpy_batches:
        if collate_fn is not None:
            yield _moved(collate_fn(batch), place)
            continue
        tensors = torch_batch(batch, dtypes, "cpu" if pin_memory else place)
        if pin_memory:
            tensors = {
                name: tensor.pin_memory().to(place, non_blocking=True) for name, tensor in tensors.items()
            }
        yield tensors


def _moved(value: Any, device: Any) -> Any:
    """Tensors inside what collate_fn gave, on the device."""
    torch = optional("torch", "iter_torch_batches")

    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _moved(item, device) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(item, device) for item in value)
    return value
