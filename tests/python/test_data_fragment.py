"""Fragments run in this process: stages, batching across blocks, records, failures, retries. No engine."""

import struct

import numpy as np
import pyarrow as pa
import pytest

from mobula.data.block import table_from_batch, table_to_rows
from mobula.data.expressions import col
from mobula.data.fragment import BLOCK, FAILURE, RECORD, ROWS_ONLY, STAGE, BlockBuilder, Fragment
from mobula.data.op.columns import FilterExpression, Project, WithColumns
from mobula.data.op.function import UserFunction
from mobula.data.op.stage import MapBatches, RowFunctions, Run, TakeRows, rebatched
from mobula.data.wire import _Wired, read_failure


def header(*groups, literal=False):
    """Groups are (rows to skip, [(offset, length), …])."""
    out = struct.pack("<I", len(groups))
    for skip, slices in groups:
        out += struct.pack("<IIq", len(slices), int(literal), skip)
        for one in slices:
            out += struct.pack("<qq", *one)
    return out


def run(fragment, *inputs, groups=None):
    """[(record as dict, block or None)]"""
    groups = groups or [(0, [(0, -1)])] * len(inputs)
    items = list(fragment(header(*groups), *inputs))
    out = []
    for block, record in zip(items[::2], items[1::2]):
        kind, last, stages, group, rows, size, _, _, _ = RECORD.unpack_from(record)
        block = block.table if isinstance(block, _Wired) else block
        tail = record[RECORD.size + stages * STAGE.size :]
        out.append(
            (
                {"kind": kind, "last": bool(last), "group": group, "rows": rows, "bytes": size, "tail": tail},
                block,
            )
        )
    return out


def rows_of(answers):
    return [row for _, block in answers if block is not None for row in table_to_rows(block)]


def fragment_of(*stages, **options):
    return Fragment(stages, **{"bytes_max": 1 << 27, "bytes_min": 1 << 20, **options})


def batches(fn, batch_size=None, batch_format="numpy"):
    return MapBatches(UserFunction(fn), batch_size, batch_format, True, False)


def table(start, end):
    return table_from_batch({"id": np.arange(start, end)})


def test_each_group_is_a_stream_that_ends_with_its_last_record():
    answers = run(fragment_of(batches(lambda b: b)), table(0, 3), table(3, 5))
    assert [(a["group"], a["rows"], a["last"]) for a, _ in answers] == [(0, 3, True), (1, 2, True)]
    assert [row["id"] for row in rows_of(answers)] == [0, 1, 2, 3, 4]


def test_batches_cross_blocks_within_a_group():
    sizes = []
    stage = batches(lambda b: sizes.append(len(b["id"])) or b, batch_size=4)
    answers = run(fragment_of(stage), table(0, 3), table(3, 9), table(9, 10), groups=[(0, [(0, -1)] * 3)])
    assert sizes == [4, 4, 2]
    assert [row["id"] for row in rows_of(answers)] == list(range(10))


def test_only_the_wanted_part_of_a_block_is_read():
    answers = run(fragment_of(batches(lambda b: b)), table(0, 10), groups=[(0, [(2, 3)])])
    assert [row["id"] for row in rows_of(answers)] == [2, 3, 4]


def test_a_new_attempt_skips_what_was_delivered():
    answers = run(fragment_of(batches(lambda b: b, 2)), table(0, 10), groups=[(5, [(0, -1)])])
    assert [row["id"] for row in rows_of(answers)] == [5, 6, 7, 8, 9]


def test_an_error_ends_its_group_and_the_next_goes_on():
    def picky(batch):
        if 4 in batch["id"]:
            raise ValueError("four")
        return batch

    answers = run(fragment_of(batches(picky)), table(0, 5), table(5, 8))
    assert [a["kind"] for a, _ in answers] == [FAILURE, BLOCK]
    text, error = read_failure(answers[0][0]["tail"])
    assert isinstance(error, ValueError)
    assert "MapBatches(picky), rows 0 to 4" in text


def test_rows_only_sends_no_blocks():
    answers = run(fragment_of(batches(lambda b: b), emits="rows"), table(0, 7))
    assert [(a["kind"], a["rows"]) for a, _ in answers] == [(ROWS_ONLY, 7)]
    assert answers[0][1] is None


def test_a_group_without_rows_still_says_its_columns():
    answers = run(fragment_of(FilterExpression(col("id") > 100)), table(0, 3))
    assert [a["last"] for a, _ in answers] == [True]
    assert answers[0][1].schema.names == ["id"]
    assert answers[0][1].num_rows == 0


def test_generators_give_any_number_of_batches():
    def explode(batch):
        for value in batch["id"]:
            yield {"id": np.full(value % 3, value)}

    answers = run(fragment_of(batches(explode)), table(0, 6))
    assert [row["id"] for row in rows_of(answers)] == [1, 2, 2, 4, 5, 5]


def test_large_output_is_cut_into_blocks():
    stage = batches(lambda b: {"x": np.zeros((100, 1000))})
    answers = run(fragment_of(stage, bytes_max=100_000), table(0, 1))
    assert sum(block is not None for _, block in answers) == 8
    assert answers[-1][0]["last"]
    assert sum(a["rows"] for a, _ in answers) == 100


def test_row_functions_pass_rows_without_making_blocks_between():
    chain = RowFunctions([("map", UserFunction(lambda r: {"n": object(), "id": r["id"]}))])
    chain = chain.joined(RowFunctions([("flat_map", UserFunction(lambda r: [{"id": r["id"]}] * 2))]))
    chain = chain.joined(RowFunctions([("filter", UserFunction(lambda r: r["id"] != 1))]))
    assert [row["id"] for row in rows_of(run(fragment_of(chain), table(0, 3)))] == [0, 0, 2, 2]


def test_errors_of_row_functions_say_which_row():
    def inverse(row):
        return {"x": 1 / (row["id"] - 2)}

    answers = run(fragment_of(RowFunctions([("map", UserFunction(inverse))])), table(0, 5))
    assert "(in Map(inverse), row 2 of the task's input)" in read_failure(answers[0][0]["tail"])[0]


@pytest.mark.parametrize("wrong", [5, "row", [1]])
def test_rows_must_be_dicts(wrong):
    answers = run(fragment_of(RowFunctions([("map", UserFunction(lambda r: wrong))])), table(0, 1))
    assert "a row is a dict" in read_failure(answers[0][0]["tail"])[0]


def test_filters_keep_the_columns_of_their_input():
    block = table_from_batch({"id": np.arange(4), "t": [np.ones((i + 1, 2)) for i in range(4)]})
    stage = RowFunctions([("filter", UserFunction(lambda r: r["id"] % 2 == 1))])
    out = run(fragment_of(stage), block)[0][1]
    assert out.schema == block.schema
    assert [row["t"].shape for row in table_to_rows(out)] == [(2, 2), (4, 2)]


def test_classes_are_made_once_for_many_inputs():
    class Counter:
        def __init__(self, start):
            self.next = start

        def __call__(self, batch):
            self.next += 1
            return {"n": [self.next]}

    stage = MapBatches(UserFunction(Counter, constructor_args=(10,)), None, "numpy", True, False)
    assert [row["n"] for row in rows_of(run(fragment_of(stage), table(0, 1), table(1, 2)))] == [11, 12]


def test_async_functions_overlap_and_keep_their_order():
    import asyncio

    busy = []

    async def slow(batch):
        busy.append(len(busy))
        await asyncio.sleep(0.01 if batch["id"][0] % 2 else 0.0)
        return batch

    answers = run(fragment_of(batches(slow, 1)), table(0, 9))
    assert [row["id"] for row in rows_of(answers)] == list(range(9))


def test_columns_are_computed_chosen_and_renamed():
    stages = [
        WithColumns([("y", col("id") * 2), ("half", col("id") / 2)]),
        Project(drop=["id"]),
        Project(rename={"y": "z"}),
    ]
    assert rows_of(run(fragment_of(*stages), table(0, 2))) == [{"z": 0, "half": 0.0}, {"z": 2, "half": 0.5}]


def test_a_missing_column_is_named():
    answers = run(fragment_of(Project(select=["nope"])), table(0, 2))
    assert "nope" in read_failure(answers[0][0]["tail"])[0]


def test_take_rows_stops_what_comes_before():
    seen = []
    stage = batches(lambda b: seen.append(len(b["id"])) or b, 2)
    answers = run(fragment_of(stage, TakeRows(3)), table(0, 100))
    assert [row["id"] for row in rows_of(answers)] == [0, 1, 2]
    assert len(seen) <= 3


def test_tolerated_errors_are_reported_beside_the_output():
    from mobula.data.source.files import FileOptions
    from mobula.data.source.plain import BinaryReader
    from mobula.data.source.source import ReadStage

    fragment = fragment_of(ReadStage("ReadBinary", BinaryReader(FileOptions())), tolerant=True)
    items = list(fragment(header((0, [(0, -1)]), literal=True), ["/no/such/file", __file__]))
    records = [RECORD.unpack_from(record)[:2] for record in items[1::2]]
    assert records == [(FAILURE, 0), (BLOCK, 1)]


def test_rebatching_leaves_whole_blocks_alone():
    block = table(0, 4)
    assert list(rebatched(iter([block, block]), 4)) == [block, block]
    assert [t.num_rows for t in rebatched(iter([block.slice(0, 0), block]), None)] == [4]


def test_a_builder_lets_no_block_wait_long():
    now = [0]
    builder = BlockBuilder(1 << 27, 1000, clock=lambda: now[0])
    builder.add(table(0, 10))
    assert builder.ready() == []
    now[0] = 250_000_000
    assert [t.num_rows for t, _ in builder.ready()] == [10]
    builder.add(table(0, 1000))
    now[0] += 60_000_000
    assert [t.num_rows for t, _ in builder.ready()] == [1000]
    assert builder.finish() == []


def test_stages_must_not_see_a_stop_iteration_of_the_users():
    def leaks(batch):
        raise StopIteration("inner")

    answers = run(fragment_of(batches(leaks)), table(0, 2))
    assert answers[0][0]["kind"] == FAILURE


def test_zero_copy_batches_are_read_only_and_copies_are_not():
    block = pa.table({"id": pa.array([1, 2, 3])})
    flags = []
    for zero_copy in (True, False):
        stage = MapBatches(
            UserFunction(lambda b: flags.append(b["id"].flags.writeable) or b),
            None,
            "numpy",
            zero_copy,
            False,
        )
        run(fragment_of(stage), block)
    assert flags == [False, True]


def test_explanations_name_the_source():
    error = ValueError("x")
    position = Run()
    position.source = "/data/a.bin"
    position.explain(error, "Map(f)", 3, 2)
    assert error.__notes__ == ["(in Map(f), rows 3 to 4 of /data/a.bin)"]
