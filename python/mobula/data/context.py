"""Settings of Data: `DataContext.get_current()`. A dataset takes a copy of them when it is made.

Fields of Ray's context that mean nothing here are kept and ignored, so that programs which set them run; a
name that Ray does not have either is refused. Tests: tests/python/test_data_plan.py.
"""

from __future__ import annotations

import copy
import difflib
import threading
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DataContext", "ExecutionOptions", "ExecutionResources"]

MIB = 1024 * 1024


@dataclass
class ExecutionResources:
    """Amounts of resources; None means no limit.

    >>> ExecutionResources(cpu=2, object_store_memory=64 * 1024 * 1024).cpu
    2
    """

    cpu: float | None = None
    gpu: float | None = None
    object_store_memory: float | None = None
    memory: float | None = None

    def copy(self, **changes: float | None) -> ExecutionResources:
        """A copy, with some amounts changed."""
        return ExecutionResources(**{**vars(self), **changes})

    @classmethod
    def for_limits(
        cls,
        cpu: float | None = None,
        gpu: float | None = None,
        object_store_memory: float | None = None,
        memory: float | None = None,
    ) -> ExecutionResources:
        """Limits: what is not given is unlimited."""
        return cls(cpu, gpu, object_store_memory, memory)


@dataclass
class ExecutionOptions:
    """How plans run: limits, order, verbosity."""

    resource_limits: ExecutionResources = field(default_factory=ExecutionResources)
    exclude_resources: ExecutionResources = field(default_factory=ExecutionResources)
    preserve_order: bool = False
    actor_locality_enabled: bool = True
    locality_with_output: bool | list[str] = False
    verbose_progress: bool = False
    label_selector: dict[str, str] | None = None


# What the code here reads.
_OURS: dict[str, Any] = {
    "target_max_block_size": 128 * MIB,
    "target_min_block_size": 1 * MIB,
    "streaming_read_buffer_size": 32 * MIB,
    "read_op_min_num_blocks": 200,
    "max_errored_blocks": 0,
    "max_tasks_in_flight_per_actor": None,
    "enable_progress_bars": True,
    "override_object_store_memory_limit_fraction": None,
    "actor_task_retry_on_errors": False,
    "raise_original_map_exception": False,
}

# Ray's other fields: accepted, without effect.
_IGNORED = [
    "enable_pandas_block",
    "actor_prefetcher_enabled",
    "autoscaling_config",
    "use_push_based_shuffle",
    "_shuffle_strategy",
    "pipeline_push_based_shuffle_reduce_tasks",
    "default_hash_shuffle_parallelism",
    "shuffle_compression",
    "hash_shuffle_reduce_batch_size",
    "hash_shuffle_reduce_get_timeout_s",
    "shuffle_input_batch_bytes",
    "max_hash_shuffle_aggregators",
    "min_hash_shuffle_aggregator_wait_time_in_s",
    "hash_shuffle_aggregator_health_warning_interval_s",
    "max_hash_shuffle_finalization_batch_size",
    "join_operator_actor_num_cpus_override",
    "hash_shuffle_operator_actor_num_cpus_override",
    "hash_aggregate_operator_actor_num_cpus_override",
    "use_disk_based_hash_shuffle",
    "gpu_shuffle_num_actors",
    "gpu_shuffle_rmm_pool_size",
    "gpu_shuffle_spill_memory_limit",
    "gpu_shuffle_setup_timeout_s",
    "scheduling_strategy",
    "scheduling_strategy_large_args",
    "large_args_threshold",
    "use_polars",
    "use_polars_sort",
    "use_legacy_dataset_ids",
    "decoding_size_estimation",
    "min_parallelism",
    "use_datasource_v2",
    "enable_tensor_extension_casting",
    "arrow_fixed_shape_tensor_format",
    "use_arrow_tensor_v2",
    "enable_fallback_to_arrow_object_ext_type",
    "enable_auto_log_stats",
    "verbose_stats_logs",
    "accurate_map_phase_timing",
    "per_stage_map_timing",
    "trace_allocations",
    "use_ray_tqdm",
    "enable_operator_progress_bars",
    "enable_progress_bar_name_truncation",
    "enable_rich_progress_bars",
    "enable_get_object_locations_for_metrics",
    "write_file_retry_on_errors",
    "warn_on_driver_memory_usage_bytes",
    "actor_init_retry_on_errors",
    "actor_init_max_retries",
    "max_consecutive_actor_init_deaths",
    "retried_map_errors",
    "max_map_retries",
    "op_resource_reservation_enabled",
    "op_resource_reservation_ratio",
    "output_backpressure_guard_release_interval_s",
    "execution_no_progress_timeout_s",
    "log_internal_stack_trace",
    "print_on_execution_start",
    "s3_try_create_dir",
    "wait_for_min_actors_s",
    "retried_io_errors",
    "lance_config",
    "iceberg_config",
    "delta_config",
    "enable_per_node_metrics",
    "enable_stats_summary_collection",
    "memory_usage_poll_interval_s",
    "dataset_logger_id",
    "issue_detectors_config",
    "isolate_read_workers",
    "downstream_capacity_backpressure_ratio",
    "enable_dynamic_output_queue_size_backpressure",
    "enable_lineage_reconstruction_resource_accounting",
    "enforce_schemas",
    "pandas_block_ignore_metadata",
    "enable_arrow_backed_pandas_conversion",
    "batch_to_block_arrow_format",
    "_checkpoint_config",
    "custom_execution_callback_classes",
    "default_map_logical_memory_enabled",
    "_enable_ray_data_reconstruction",
    "object_store_reservation_overshoot_ratio",
    "object_store_memory_pressure_fraction",
    "eager_free",
]


class DataContext:
    """The settings; `get_current()` gives those of this process, which new datasets copy.

    >>> context = DataContext.get_current()
    >>> context.max_errored_blocks
    0
    """

    _current: DataContext | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        values = dict.fromkeys(_IGNORED) | copy.deepcopy(_OURS)
        values["execution_options"] = ExecutionOptions()
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dict__:
            near = difflib.get_close_matches(name, self.__dict__, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise AttributeError(f"DataContext has no field {name!r}{hint}")
        if name == "target_max_block_size" and value is not None and value < 1:
            raise ValueError(
                f"target_max_block_size={value!r}: must be at least one byte, or None for no limit"
            )
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"DataContext has no field {name!r}")

    @classmethod
    def get_current(cls) -> DataContext:
        """The settings of this process."""
        with cls._lock:
            if cls._current is None:
                cls._current = cls()
            return cls._current

    @classmethod
    def _set_current(cls, context: DataContext) -> None:
        with cls._lock:
            cls._current = context

    def copy(self) -> DataContext:
        """The same settings, to change apart from these."""
        other = DataContext()
        other.__dict__.update({name: copy.deepcopy(value) for name, value in self.__dict__.items()})
        return other

    def get_config(self, name: str, default: Any = None) -> Any:
        """A setting of the user's own, kept under a free name by `set_config`."""
        return self.__dict__.get(f"config:{name}", default)

    def set_config(self, name: str, value: Any) -> None:
        """Keeps a setting of the user's own."""
        self.__dict__[f"config:{name}"] = value

    def remove_config(self, name: str) -> None:
        """Forgets what `set_config` kept."""
        self.__dict__.pop(f"config:{name}", None)
