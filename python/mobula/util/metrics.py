"""Counters, gauges and histograms, in drivers, tasks and actors.

A worker counts in memory that it shares with its driver: nothing is sent, and nothing is lost when the worker
ends. export_text() gives all of it in Prometheus' format; init(_metrics_export_port=...) serves that on this
machine.

>>> requests = Counter("requests", description="answered", tag_keys=("route",))
>>> requests.inc(tags={"route": "/"})
>>> 'ray_requests_total{route="/"} 1' in export_text()
True
"""

from __future__ import annotations

import os
import re
import warnings
from typing import Any

from mobula import _core

__all__ = ["Counter", "Gauge", "Histogram", "export_text"]

COUNTER, GAUGE, HISTOGRAM = 1, 2, 3  # MetricKind of src/base/metric_table.h
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

# What this process raises, by kind, name, description, bounds and tags. A forked child has memory of its own.
_series: dict[tuple[Any, ...], Any] = {}
os.register_at_fork(after_in_child=_series.clear)


class Metric:
    """What the three kinds share: a name, and tags that each record must have a value for."""

    _kind = 0
    _bounds: list[float] = []

    def __init__(self, name: str, description: str = "", tag_keys: tuple[str, ...] | None = None) -> None:
        self._discarded = _is_invalid(name)
        self._name, self._description = name, description
        self._default_tags: dict[str, str] = {}
        self._plain: tuple[Any, ...] | None = None  # the key of records without tags of their own
        self._tag_keys = tag_keys or ()
        if not isinstance(self._tag_keys, tuple):
            raise TypeError(f"tag_keys should be a tuple type, got: {type(self._tag_keys)}")
        for key in self._tag_keys:
            if not isinstance(key, str):
                raise TypeError(f"Tag keys must be str, got {type(key)}.")
        if ":" in name:
            warnings.warn(
                f"Metric name {name} contains a : character, which Prometheus keeps for rules",
                FutureWarning,
                stacklevel=3,
            )

    def set_default_tags(self, default_tags: dict[str, str]) -> Any:
        """Values for tags that a record does not name; gives the metric itself."""
        for key, value in default_tags.items():
            if key not in self._tag_keys:
                raise ValueError(f"Unrecognized tag key {key}.")
            _check_tag(value)
        self._default_tags, self._plain = default_tags, None
        return self

    @property
    def info(self) -> dict[str, Any]:
        """Name, description, tag keys and default tags."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": self._default_tags,
        }

    def _find(self, tags: dict[str, str] | None) -> Any:
        """The series of these tags; None for a metric whose name cannot be, or when there is no room."""
        if self._discarded:
            return None
        if not tags and self._plain is not None and self._plain in _series:
            return _series[self._plain]
        final = {**self._default_tags, **tags} if tags else self._default_tags
        key = (self._kind, self._name, self._description, *self._bounds, *sorted(final.items()))
        series = _series.get(key)
        return series if series is not None else self._make(key, tags, final)

    def _make(self, key: tuple[Any, ...], tags: dict[str, str] | None, final: dict[str, str]) -> Any:
        import json

        for value in (tags or {}).values():
            _check_tag(value)
        missing = [key for key in self._tag_keys if key not in final]
        if missing:
            raise ValueError(f"Missing value for tag key(s): {','.join(missing)}.")
        text = json.dumps([self._name, self._description, sorted(final.items())])
        series = _core.metric_series(self._kind, text, self._bounds)
        if series is None:
            warnings.warn(f"metric {self._name}: no room for another series, {final}", stacklevel=4)
            return None
        _series[key] = series
        if not tags:
            self._plain = key
        return series

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self._arguments(), self._default_tags)

    def _arguments(self) -> tuple[Any, ...]:
        return self._name, self._description, self._tag_keys


def _rebuild(kind: type[Metric], arguments: tuple[Any, ...], default_tags: dict[str, str]) -> Metric:
    made: Metric = kind(*arguments).set_default_tags(default_tags)
    return made


def _is_invalid(name: str) -> bool:
    if not name:
        raise ValueError("Empty name is not allowed. Please provide a metric name.")
    if _NAME.fullmatch(name):
        return False
    warnings.warn(
        f"Invalid metric name: {name}. Metric will be discarded and data will not be collected or "
        "published. Metric names can only contain letters, numbers, _, and :. Metric names cannot start with "
        "numbers.",
        UserWarning,
        stacklevel=4,
    )
    return True


def _check_tag(value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"Tag values must be str, got {type(value)}.")


def _check_value(value: Any) -> None:
    if not isinstance(value, (int, float)):
        raise TypeError(f"value must be int or float, got {type(value)}.")


class Counter(Metric):
    """A sum that only grows, over all processes. Exported as `ray_<name>_total`."""

    _kind = COUNTER

    def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        """Adds `value`, which must be greater than 0."""
        _check_value(value)
        if value <= 0:
            raise ValueError(f"value must be >0, got {value}")
        series = self._find(tags)
        if series is not None:
            series.add(value)


class Gauge(Metric):
    """A value that goes up and down: each process has its own, until it ends. Exported as `ray_<name>` with
    the tag `Pid`."""

    _kind = GAUGE

    def set(self, value: float | None, tags: dict[str, str] | None = None) -> None:
        """Sets this process's value; None leaves it."""
        if value is None:
            return
        _check_value(value)
        series = self._find(tags)
        if series is not None:
            series.set(value)


class Histogram(Metric):
    """How many values fell up to each boundary, and their sum, over all processes. Exported as
    `ray_<name>_bucket`, `_sum` and `_count`."""

    _kind = HISTOGRAM

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: list[float] | None = None,
        tag_keys: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(name, description, tag_keys)
        if boundaries is None or len(boundaries) == 0:
            raise ValueError(
                "boundaries argument should be provided when using the Histogram class. e.g., "
                'Histogram("name", boundaries=[1.0, 2.0])'
            )
        for place, boundary in enumerate(boundaries):
            if boundary <= 0:
                raise ValueError(
                    f"Invalid `boundaries` argument at index {place}, {boundaries}. Use positive values for "
                    "the arguments."
                )
        self.boundaries = boundaries
        self._bounds = sorted(float(boundary) for boundary in boundaries)

    def observe(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Counts `value`."""
        _check_value(value)
        series = self._find(tags)
        if series is not None:
            series.observe(value)

    @property
    def info(self) -> dict[str, Any]:
        """As of every metric, and the boundaries."""
        return {**super().info, "boundaries": self.boundaries}

    def _arguments(self) -> tuple[Any, ...]:
        return self._name, self._description, self.boundaries, self._tag_keys


def export_text() -> str:
    """All metrics of this driver and its workers, and the engine's figures, in Prometheus' text format."""
    from mobula.util import _metrics_export

    return _metrics_export.text()
