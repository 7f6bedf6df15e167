"""Writers of files, database rows and users' own sinks, on the embedded engine: written, then read back."""

import csv
import datetime
import decimal
import glob
import gzip
import io
import json
import os
import signal
import sqlite3
import tarfile

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.orc
import pyarrow.parquet
import pytest
from PIL import Image

import mobula
import mobula.data
from mobula.data import (
    BlockBasedFileDatasink,
    DataContext,
    Datasink,
    RowBasedFileDatasink,
    SaveMode,
)
from mobula.data.datasource import FilenameProvider

WRITERS = {
    "parquet": mobula.data.read_parquet,
    "csv": mobula.data.read_csv,
    "json": mobula.data.read_json,
    "orc": mobula.data.read_orc,
    "tfrecords": mobula.data.read_tfrecords,
}


@pytest.fixture(scope="module", autouse=True)
def engine():
    mobula.init(num_cpus=3, ignore_reinit_error=True)
    yield
    mobula.shutdown()


@pytest.fixture(autouse=True)
def context():
    DataContext._set_current(DataContext())
    DataContext.get_current().execution_options.preserve_order = True
    yield DataContext.get_current()
    DataContext._set_current(DataContext())


def numbers(rows=100, blocks=4):
    return mobula.data.range(rows, override_num_blocks=blocks).map_batches(
        lambda batch: {"id": batch["id"], "half": batch["id"] / 2}
    )


def write(dataset, kind, path, **options):
    getattr(dataset, f"write_{kind}")(str(path), **options)


# -- all kinds of files ----


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_written_is_read_back(kind, tmp_path):
    write(numbers(), kind, tmp_path / "a")
    assert len(os.listdir(tmp_path / "a")) == 4
    assert all(name.endswith("." + kind) for name in os.listdir(tmp_path / "a"))
    rows = sorted(WRITERS[kind](str(tmp_path / "a")).take_all(), key=lambda row: row["id"])
    assert rows == [{"id": i, "half": i / 2} for i in range(100)]


@pytest.mark.parametrize("kind", WRITERS)
def test_files_have_the_rows_asked_for_and_modes_hold(kind, tmp_path):
    read = WRITERS[kind]
    write(numbers(), kind, tmp_path / "a", min_rows_per_file=50)
    assert len(os.listdir(tmp_path / "a")) == 2
    write(numbers(), kind, tmp_path / "a")
    assert read(str(tmp_path / "a")).count() == 200
    write(numbers(10), kind, tmp_path / "a", mode=SaveMode.OVERWRITE)
    write(numbers(), kind, tmp_path / "a", mode="ignore")
    assert read(str(tmp_path / "a")).count() == 10
    with pytest.raises(ValueError, match="exists"):
        write(numbers(), kind, tmp_path / "a", mode=SaveMode.ERROR)
    with pytest.raises(ValueError, match="is a file"):
        write(numbers(), kind, glob.glob(str(tmp_path / "a" / "*"))[0])


@pytest.mark.parametrize("kind", WRITERS)
def test_nothing_is_written_of_nothing_and_after_a_failure(kind, tmp_path):
    write(numbers().filter(lambda row: False), kind, tmp_path / "none")
    assert os.listdir(tmp_path / "none") == []

    def fail(batch):
        yield batch
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        write(numbers(10, 1).map_batches(fail), kind, tmp_path / "failed")
    assert os.listdir(tmp_path / "failed") == []


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_any_arrow_file_system_will_do(kind, tmp_path):
    system = pa.fs.SubTreeFileSystem(str(tmp_path), pa.fs.LocalFileSystem())
    write(numbers(), kind, "a", filesystem=system)
    assert WRITERS[kind]("a", filesystem=system).count() == 100
    write(numbers(), kind, "file://" + str(tmp_path / "b"))
    assert WRITERS[kind](str(tmp_path / "b")).count() == 100


def test_unknown_options_are_refused(tmp_path):
    for kind in ("csv", "tfrecords", "webdataset"):
        with pytest.raises(TypeError, match="nonsense"):
            write(numbers(), kind, tmp_path / "a", nonsense=1)
    with pytest.raises(NotImplementedError, match="min_bytes_per_file"):
        numbers().write_parquet(str(tmp_path), min_bytes_per_file=1)
    with pytest.raises(KeyError, match="nope"):
        numbers().write_numpy(str(tmp_path), column="nope")


# -- names ----


class Names(FilenameProvider):
    def get_filename_for_block(self, block, write_uuid, task_index, block_index):
        return f"part-{block['id'][0].as_py():03}.csv"

    def get_filename_for_row(self, row, write_uuid, task_index, block_index, row_index):
        return f"picture-{row['id']}.png"


def test_a_provider_names_the_files(tmp_path):
    numbers().write_csv(str(tmp_path / "a"), filename_provider=Names())
    assert sorted(os.listdir(tmp_path / "a")) == [f"part-{i:03}.csv" for i in (0, 25, 50, 75)]
    pictures = mobula.data.range(3).map(lambda row: {**row, "image": np.full((4, 5, 3), row["id"], np.uint8)})
    pictures.write_images(str(tmp_path / "b"), "image", filename_provider=Names())
    assert sorted(os.listdir(tmp_path / "b")) == [f"picture-{i}.png" for i in range(3)]
    assert np.asarray(Image.open(tmp_path / "b" / "picture-2.png"))[3, 4].tolist() == [2, 2, 2]


class OneName(FilenameProvider):
    def get_filename_for_block(self, block, write_uuid, task_index, block_index):
        return "always.csv"


def test_names_that_are_not_unlike_are_told(tmp_path):
    numbers(10, 1).write_csv(str(tmp_path / "a"), filename_provider=OneName())
    with pytest.raises(ValueError, match=r"two tasks wrote .*always\.csv"):
        numbers().write_csv(str(tmp_path / "b"), filename_provider=OneName())


# -- each kind ----


def test_csv_quotes_what_needs_it_and_refuses_lists(tmp_path):
    texts = ["", 'a "b"', "c,d", "line\nbreak", "é"]
    mobula.data.from_arrow(pa.table({"n": range(5), "s": texts})).write_csv(
        str(tmp_path / "a"), arrow_open_stream_args={"compression": "gzip"}, filename_provider=None
    )
    with gzip.open(glob.glob(str(tmp_path / "a" / "*"))[0], "rt", newline="") as file:
        assert [row["s"] for row in csv.DictReader(file)] == texts
    options = pa.csv.WriteOptions(include_header=False, delimiter=";")
    numbers(2, 1).write_csv(str(tmp_path / "b"), write_options=options)
    assert open(glob.glob(str(tmp_path / "b" / "*"))[0]).read() == "0;0\n1;0.5\n"
    lists = mobula.data.from_items([{"n": 1, "many": [1, 2]}])
    with pytest.raises(TypeError, match=r"'many' of type list.*write_parquet"):
        lists.write_csv(str(tmp_path / "c"))


def test_json_lines_hold_all_values(tmp_path):
    row = {
        "n": 1, "nan": float("nan"), "s": 'é"\n', "none": None, "many": [1.5, float("inf")], "raw": b"\0\xff",
        "when": datetime.datetime(2024, 1, 2, 3, 4, 5), "money": decimal.Decimal("1.10"), "inner": {"x": [1]},
    }  # fmt: skip
    tensor = mobula.data.from_items([row]).map(lambda row: {**row, "box": np.arange(4.0).reshape(2, 2)})
    tensor.write_json(str(tmp_path / "a"))
    text = open(glob.glob(str(tmp_path / "a" / "*.json"))[0], encoding="utf-8").read()
    assert json.loads(text) == {
        "n": 1, "nan": None, "s": 'é"\n', "none": None, "many": [1.5, None], "raw": "AP8=",
        "when": "2024-01-02T03:04:05", "money": "1.10", "inner": {"x": [1]}, "box": [[0.0, 1.0], [2.0, 3.0]],
    }  # fmt: skip
    numbers(3, 1).write_json(str(tmp_path / "b"), orient="columns")
    found = json.loads(open(glob.glob(str(tmp_path / "b" / "*"))[0]).read())
    assert found["id"] == {"0": 0, "1": 1, "2": 2}


def test_parquet_takes_partitions_and_limits_together(tmp_path):
    path = tmp_path / "a"
    dataset = mobula.data.range(100, override_num_blocks=2).map(
        lambda row: {"id": row["id"], "k": f"a/{row['id'] % 2}", "flag": row["id"] % 4 == 0}
    )
    dataset.write_parquet(str(path), partition_cols=["k", "flag"], max_rows_per_file=10, compression="zstd")
    assert sorted(os.listdir(path)) == ["k=a%2F0", "k=a%2F1"]
    files = glob.glob(str(path / "*" / "*" / "*.parquet"))
    assert max(pa.parquet.read_metadata(file).num_rows for file in files) == 10
    rows = mobula.data.read_parquet(str(path)).take_all()
    assert sorted(row["id"] for row in rows) == list(range(100))
    assert all(row["k"] == f"a/{row['id'] % 2}" for row in rows)
    first = pa.parquet.read_metadata(files[0])
    assert first.row_group(0).column(0).compression == "ZSTD"


def test_numpy_files_hold_one_column(tmp_path):
    arrays = np.arange(60.0).reshape(10, 3, 2)
    mobula.data.from_numpy([arrays[:5], arrays[5:]]).write_numpy(str(tmp_path / "a"), column="data")
    found = [np.load(file) for file in sorted(glob.glob(str(tmp_path / "a" / "*.npy")))]
    assert np.array_equal(np.concatenate(found), arrays)
    ragged = mobula.data.range(3, override_num_blocks=1).map(lambda row: {"x": np.zeros(row["id"] + 1)})
    with pytest.raises(ValueError, match="'x' are not of one shape"):
        ragged.write_numpy(str(tmp_path / "b"), column="x")


def test_tfrecords_hold_bytes_numbers_and_lists(tmp_path):
    rows = [
        {"i": -i, "f": i / 4, "s": f"é{i}", "raw": bytes([i]), "many": list(range(i)), "box": np.eye(2) * i}
        for i in range(5)
    ]
    mobula.data.from_items(rows, override_num_blocks=1).write_tfrecords(str(tmp_path / "a"))
    found = mobula.data.read_tfrecords(str(tmp_path / "a")).take_all()
    for row, back in zip(rows, found, strict=True):
        assert (back["i"], back["f"], back["s"], back["raw"]) == (
            row["i"], row["f"], row["s"].encode(), row["raw"]
        )  # fmt: skip
        assert list(back["many"]) == row["many"]
        assert list(back["box"]) == row["box"].ravel().tolist()
    with pytest.raises(TypeError, match="'when'"):
        mobula.data.from_items([{"when": datetime.datetime(2024, 1, 1)}]).write_tfrecords(str(tmp_path / "b"))


def test_webdatasets_encode_what_the_ending_says(tmp_path):
    rows = [
        {"__key__": f"k{i}", "cls": i, "txt": f"é{i}", "json": {"a": [i]}, "npy": np.arange(i + 1),
         "png": np.full((3, 4, 3), i, np.uint8), "bin": b"\0\1"}
        for i in range(4)
    ]  # fmt: skip
    dataset = mobula.data.from_items(rows, override_num_blocks=2)
    dataset.write_webdataset(str(tmp_path / "a"))
    files = glob.glob(str(tmp_path / "a" / "*.tar"))
    assert len(files) == 2
    with tarfile.open(files[0]) as archive:
        assert len(archive.getnames()) == 12
    back = sorted(mobula.data.read_webdataset(str(tmp_path / "a")).take_all(), key=lambda row: row["__key__"])
    for row, found in zip(rows, back, strict=True):
        assert (found["cls"], found["txt"], found["bin"]) == (row["cls"], row["txt"], row["bin"])
        assert list(found["json"]["a"]) == row["json"]["a"]
        assert np.array_equal(found["npy"], row["npy"])
        assert np.array_equal(found["png"], row["png"])
    with pytest.raises(TypeError, match=r"'odd' has a value of .*encoder"):
        mobula.data.from_items([{"__key__": "a", "odd": 1.5}]).write_webdataset(str(tmp_path / "b"))
    own = mobula.data.from_items([{"__key__": "a", "odd": 1.5}])
    own.write_webdataset(str(tmp_path / "c"), encoder=lambda row: {**row, "odd": str(row["odd"])})
    assert mobula.data.read_webdataset(str(tmp_path / "c")).take(1)[0]["odd"] == b"1.5"


def test_rows_go_into_a_database(tmp_path):
    path = str(tmp_path / "a.db")
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t(id INT, half REAL)")
    numbers().write_sql("INSERT INTO t VALUES(?, ?)", lambda: sqlite3.connect(path), concurrency=1)
    assert connection.execute("SELECT COUNT(*), SUM(id), SUM(half) FROM t").fetchone() == (100, 4950, 2475.0)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        numbers().write_sql("INSERT INTO u VALUES(?, ?)", lambda: sqlite3.connect(path))


# -- users' own sinks ----


class Counting(Datasink):
    def __init__(self, path):
        self.path = path

    def tell(self, text):
        with open(self.path, "a") as file:
            file.write(text + "\n")

    def on_write_start(self, schema=None):
        self.tell("start")

    def write(self, blocks, ctx):
        total = sum(sum(block["id"].to_pylist()) for block in blocks)
        if total >= 10_000:
            raise ValueError("too much")
        return total

    def on_write_complete(self, write_result):
        self.tell(f"{write_result.num_rows} {sum(write_result.write_returns)}")

    def on_write_failed(self, error):
        self.tell(f"failed {'too much' in str(error)}")


class Pictures(RowBasedFileDatasink):
    def write_row_to_file(self, row, file):
        out = io.BytesIO()
        Image.fromarray(row["image"]).save(out, format="PNG")
        file.write(out.getvalue())


class Frames(BlockBasedFileDatasink):
    def write_block_to_file(self, block, file):
        file.write(block.to_pandas().to_csv(index=False).encode())


def test_datasinks_of_users_are_called(tmp_path):
    log = tmp_path / "log"
    numbers().write_datasink(Counting(str(log)))
    assert log.read_text().splitlines() == ["start", "100 4950"]
    with pytest.raises(ValueError, match="too much"):
        numbers(1000, 2).write_datasink(Counting(str(log)))
    assert log.read_text().splitlines()[2:] == ["start", "failed True"]
    pictures = mobula.data.range(3).map(lambda row: {"image": np.full((4, 5, 3), row["id"], np.uint8)})
    pictures.write_datasink(Pictures(str(tmp_path / "a"), file_format="png"))
    assert mobula.data.read_images(str(tmp_path / "a")).count() == 3
    numbers().write_datasink(Frames(str(tmp_path / "b"), file_format="csv", min_rows_per_file=100))
    assert len(os.listdir(tmp_path / "b")) == 1
    assert mobula.data.read_csv(str(tmp_path / "b")).count() == 100
    numbers().write_datasink(Frames(str(tmp_path / "b"), file_format="csv", mode=SaveMode.IGNORE))
    assert mobula.data.read_csv(str(tmp_path / "b")).count() == 100


def test_a_killed_worker_leaves_no_row_out_and_none_twice(tmp_path):
    flag = tmp_path / "flag"

    def die_once(batch):
        if batch["id"][0] >= 50 and not flag.exists():
            flag.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return batch

    path = tmp_path / "a"
    mobula.data.range(100, override_num_blocks=10).map_batches(die_once).write_csv(str(path))
    assert flag.exists()
    assert sorted(row["id"] for row in mobula.data.read_csv(str(path)).take_all()) == list(range(100))
    assert not [name for name in os.listdir(path) if name.startswith(".")]


class Keep:
    def __call__(self, batch):
        return batch


def test_actors_write_files_of_unlike_names(tmp_path):
    dataset = mobula.data.range(120, override_num_blocks=12).map_batches(Keep, concurrency=2)
    dataset.write_csv(str(tmp_path))
    assert sorted(row["id"] for row in mobula.data.read_csv(str(tmp_path)).take_all()) == list(range(120))


def test_datasets_leave_as_references_and_frames():
    dataset = numbers(20, 2)
    frames = mobula.get(dataset.to_pandas_refs())
    assert pandas.concat(frames)["id"].tolist() == list(range(20))
    assert sum(table.num_rows for table in mobula.get(dataset.to_arrow_refs())) == 20
    assert np.concatenate(mobula.get(dataset.to_numpy_refs(column="half"))).sum() == 95
    for name in ("write_bigquery", "write_snowflake", "write_mongo", "to_spark"):
        with pytest.raises(NotImplementedError, match=f"{name} is not part of Mobula; use "):
            getattr(dataset, name)("anything")
