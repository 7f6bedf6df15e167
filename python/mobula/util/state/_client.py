"""The client behind the functions of the state API: it takes rows, filters them and makes states of them."""

from __future__ import annotations

import warnings
from typing import Any

from mobula import __version__, _core
from mobula.util.state import _rows, _summary
from mobula.util.state.common import (
    RAY_MAX_LIMIT_FROM_API_SERVER,
    SCHEMAS,
    Filter,
    GetApiOptions,
    ListApiOptions,
    StateResource,
    StateSchema,
    SummaryApiOptions,
    SummaryResource,
    check_filters,
)
from mobula.util.state.exception import RayStateApiException

_ID_COLUMNS = {
    StateResource.NODES: ("node_id",),
    StateResource.ACTORS: ("actor_id",),
    StateResource.PLACEMENT_GROUPS: ("placement_group_id",),
    StateResource.WORKERS: ("worker_id",),
    StateResource.TASKS: ("task_id",),
    StateResource.OBJECTS: ("object_id",),
    StateResource.JOBS: ("submission_id", "job_id"),
}


def _matches(have: Any, predicate: str, wanted: Any) -> bool:
    """Texts are compared without regard to case; numbers and truths may be given as text."""
    if isinstance(wanted, str):
        if isinstance(have, str):
            have, wanted = have.lower(), wanted.lower()
        elif isinstance(have, bool):
            wanted = wanted.lower() in ("true", "1")
        elif isinstance(have, (int, float)):
            try:
                wanted = type(have)(wanted)
            except ValueError:
                raise RayStateApiException(f"{wanted!r} is not a number: the column holds {have!r}") from None
    return bool(have == wanted) == (predicate == "=")


def _select(rows: _rows.Rows, filters: list[Filter], schema: type[StateSchema]) -> _rows.Rows:
    known = schema.filterable_columns()
    for column, _, _ in filters:
        if column.lower() not in known:
            raise RayStateApiException(
                f"{schema.__name__} cannot be filtered by {column!r}; columns for filters: "
                f"{', '.join(sorted(known))}"
            )
    return [
        row
        for row in rows
        if all(_matches(row.get(column.lower()), predicate, wanted) for column, predicate, wanted in filters)
    ]


def _check_missing(what: str, shown: int, total: int, raises: bool) -> None:
    if total <= shown:
        return
    missing = f"{shown} of {total} {what} are shown: the engine keeps and shows at most 10,000 of a kind"
    if raises:
        raise RayStateApiException(f"{missing}; pass raise_on_missing_output=False to get those")
    warnings.warn(f"The returned data may contain incomplete result. {missing}.", stacklevel=4)


class StateApiClient:
    """Asks the engine of this process. `cookies` and `headers` are Ray's, for a server that is not there."""

    def __init__(
        self,
        address: str | None = None,
        cookies: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
    ) -> None:
        if address not in (None, "auto", "local"):
            raise ConnectionError(
                f"address={address!r}: the state of nodes elsewhere is not available yet; leave the address "
                "out to ask the engine of this program"
            )
        if not _core.is_open():
            raise ConnectionError("there is no engine to ask: call mobula.init() first")

    def get_address(self) -> str:
        """Where the engine is: in this process."""
        return "local"

    def get_version(self) -> str:
        """Mobula's version."""
        return __version__

    def get(
        self, resource: StateResource, id: str, options: GetApiOptions | None = None, _explain: bool = False
    ) -> Any:
        """The row with this id, with all columns; None if there is none. A list of rows for objects, and for
        a task that has had several attempts."""
        if resource not in _ID_COLUMNS:
            raise ValueError(f"Can't get {resource.name} by id.")
        schema = SCHEMAS[resource]
        rows, _ = _rows.rows_of(resource)
        columns = _ID_COLUMNS[resource]
        found = [schema(**row) for row in rows if id in [row.get(column) for column in columns]]
        if not found:
            return None
        if resource is StateResource.OBJECTS or len(found) > 1:
            return found
        return found[0]

    def list(
        self,
        resource: StateResource,
        options: ListApiOptions,
        raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> list[Any]:
        """The rows that pass all filters, at most `options.limit`."""
        if options.limit > RAY_MAX_LIMIT_FROM_API_SERVER:
            raise RayStateApiException(
                f"limit={options.limit} is above {RAY_MAX_LIMIT_FROM_API_SERVER}, the most that are shown"
            )
        schema = SCHEMAS[resource]
        rows, total = _rows.rows_of(resource)
        _check_missing(resource.value, len(rows), total, raise_on_missing_output)
        chosen = _select(rows, options.filters or [], schema)
        if len(chosen) > options.limit:
            warnings.warn(
                f"{options.limit} of {len(chosen)} {resource.value} are shown; filter, or raise the limit",
                stacklevel=3,
            )
        columns = schema.list_columns(options.detail)
        return [
            schema(**{name: row[name] for name in columns if name in row})
            for row in chosen[: max(options.limit, 0)]
        ]

    def summary(
        self,
        resource: SummaryResource,
        *,
        options: SummaryApiOptions | None = None,
        raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> dict[str, Any]:
        """Counts, below the one key "cluster"."""
        options = options or SummaryApiOptions()
        listed = StateResource(resource.value)
        rows, total = _rows.rows_of(listed)
        _check_missing(resource.value, len(rows), total, raise_on_missing_output)
        chosen = _select(rows, check_filters(options.filters), SCHEMAS[listed])
        if resource is SummaryResource.ACTORS:
            return {"cluster": _summary.of_actors(chosen)}
        if resource is SummaryResource.OBJECTS:
            return {"cluster": _summary.of_objects(chosen)}
        if options.summary_by not in (None, "func_name", "lineage"):
            raise ValueError(f"tasks are summarized by func_name or lineage, not by {options.summary_by!r}")
        if options.summary_by == "lineage":
            return {"cluster": _summary.of_lineage(chosen, _rows.actors())}
        return {"cluster": _summary.of_tasks(chosen)}
