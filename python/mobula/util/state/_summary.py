"""Counts of tasks by function, of actors by class, of objects by where they were made."""

from __future__ import annotations

from typing import Any

Rows = list[dict[str, Any]]


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def of_tasks(rows: Rows) -> dict[str, Any]:
    """By function or method."""
    summary: dict[str, dict[str, Any]] = {}
    types: dict[str, int] = {}
    for row in rows:
        name = row["name"] or row["func_or_class_name"]
        entry = summary.setdefault(
            name, {"func_or_class_name": name, "type": row["type"], "state_counts": {}}
        )
        _count(entry["state_counts"], row["state"])
        _count(types, row["type"])
    return {
        "summary": summary,
        "total_tasks": types.get("NORMAL_TASK", 0),
        "total_actor_tasks": types.get("ACTOR_TASK", 0),
        "total_actor_scheduled": types.get("ACTOR_CREATION_TASK", 0),
        "summary_by": "func_name",
    }


def of_actors(rows: Rows) -> dict[str, Any]:
    """By class."""
    summary: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = row["class_name"]
        _count(
            summary.setdefault(name, {"class_name": name, "state_counts": {}})["state_counts"], row["state"]
        )
    return {"summary": summary, "total_actors": len(rows), "summary_by": "class"}


def of_objects(rows: Rows) -> dict[str, Any]:
    """By the line that made them, where that is recorded."""
    summary: dict[str, dict[str, Any]] = {}
    pids: dict[str, set[int]] = {}
    for row in rows:
        site = row["call_site"]
        entry = summary.setdefault(site, {
            "total_objects": 0, "total_size_mb": 0.0, "total_num_workers": 0, "total_num_nodes": 1,
            "task_state_counts": {}, "task_attempt_number_counts": {}, "ref_type_counts": {},
        })  # fmt: skip
        _count(entry["task_state_counts"], row["task_status"])
        _count(entry["task_attempt_number_counts"], str(row["attempt_number"]))
        _count(entry["ref_type_counts"], row["reference_type"])
        entry["total_objects"] += 1
        entry["total_size_mb"] += max(row["object_size"], 0) / 1024**2
        pids.setdefault(site, set()).add(row["pid"])
        entry["total_num_workers"] = len(pids[site])
    return {
        "summary": summary,
        "total_objects": len(rows),
        "total_size_mb": sum(entry["total_size_mb"] for entry in summary.values()),
        "callsite_enabled": "disabled" not in summary,
        "summary_by": "callsite",
    }


# -- by lineage ----------------------------------------------------------------------------------------------

_FIRST = ("RUNNING", "PENDING", "FAILED")


def of_lineage(rows: Rows, actors: Rows) -> dict[str, Any]:
    """A tree: tasks below the task that started them, calls below their actor, equals side by side in a
    group."""
    classes = {actor["actor_id"]: actor["repr_name"] or actor["class_name"] for actor in actors}
    tasks = {row["task_id"]: row for row in rows}
    starts = {row["actor_id"]: row for row in rows if row["type"] == "ACTOR_CREATION_TASK"}
    made: dict[str, dict[str, Any]] = {}
    top: list[dict[str, Any]] = []

    def place(entry: dict[str, Any], parent: str) -> dict[str, Any]:
        made[entry["key"]] = entry
        above = task_of(parent) if parent in tasks else None
        (above["children"] if above else top).append(entry)
        return entry

    def actor_of(row: dict[str, Any]) -> dict[str, Any]:
        actor = row["actor_id"]
        found = made.get(f"actor:{actor}")
        if found is not None:
            return found
        start = starts.get(actor, row)
        name = classes.get(actor) or start["name"].split(".")[0]
        entry = _entry(name, f"actor:{actor}", "ACTOR", start["creation_time_ms"], ("actor", actor))
        return place(entry, start["parent_task_id"])

    def task_of(task: str) -> dict[str, Any]:
        if task in made:
            return made[task]
        row = tasks[task]
        entry = _entry(row["name"], task, row["type"], row["creation_time_ms"], ("task", task))
        if not row["actor_id"]:
            return place(entry, row["parent_task_id"])
        made[task] = entry
        actor_of(row)["children"].append(entry)
        return entry

    for row in rows:
        _count(task_of(row["task_id"])["state_counts"], row["state"])
    counted = of_tasks(rows)
    return {**counted, "summary": _grouped(top), "summary_by": "lineage"}


def _entry(
    name: str, key: str, kind: str, at: int | None, link: tuple[str, str] | None = None
) -> dict[str, Any]:
    return {
        "name": name, "key": key, "type": kind, "timestamp": at, "state_counts": {}, "children": [],
        "link": {"type": link[0], "id": link[1]} if link else None,
    }  # fmt: skip


def _grouped(siblings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Siblings of one name become a group; each counts what is below it; what runs comes first."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for one in siblings:
        one["children"] = _grouped(one["children"])
        for child in one["children"]:
            for state, count in child["state_counts"].items():
                one["state_counts"][state] = one["state_counts"].get(state, 0) + count
        by_name.setdefault(one["name"], []).append(one)
    out = []
    for name, equal in by_name.items():
        if len(equal) == 1:
            out.append(equal[0])
            continue
        group = _entry(name, name, "GROUP", min((one["timestamp"] or 0) for one in equal))
        group["children"] = equal
        for one in equal:
            for state, count in one["state_counts"].items():
                group["state_counts"][state] = group["state_counts"].get(state, 0) + count
        out.append(group)

    def rank(entry: dict[str, Any]) -> tuple[Any, ...]:
        counts = entry["state_counts"]
        found = [sum(count for state, count in counts.items() if state.startswith(word)) for word in _FIRST]
        return (*[-count for count in found], entry["timestamp"] or 0)

    return sorted(out, key=rank)
