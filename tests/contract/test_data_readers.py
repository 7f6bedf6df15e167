"""Readers of files, databases, other libraries' datasets and users' own sources, on the embedded engine."""

import bz2
import datetime
import decimal
import gzip
import hashlib
import io
import json
import os
import pickle
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

import mobula
import mobula.data
from mobula.data import DataContext, Datasource, ReadTask
from mobula.data.block import BlockAccessor, BlockMetadata
from mobula.data.datasource import (
    FileBasedDatasource,
    Partitioning,
    PartitionStyle,
    PathPartitionFilter,
    RandomIntRowDatasource,
)
from mobula.data.source.tf_example import encode_example
from mobula.data.source.tfrecord import framed


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


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


# -- csv ----


def test_packed_files_are_unpacked_by_their_ending(tmp_path):
    files = [
        put(tmp_path, "a.csv.gz", gzip.compress(b"n,s\n1,x\n")),
        put(tmp_path, "b.csv.bz2", bz2.compress(b"n,s\n2,y\n")),
        put(tmp_path, "c.csv.zst", pa.compress(b"n,s\n3,z\n", codec="zstd", asbytes=True)),
    ]
    assert mobula.data.read_csv(files).take_all() == [
        {"n": 1, "s": "x"},
        {"n": 2, "s": "y"},
        {"n": 3, "s": "z"},
    ]
    lines = put(tmp_path, "d.jsonl.gz", gzip.compress(b'{"n": 4}\n'))
    assert mobula.data.read_json(lines).take_all() == [{"n": 4}]
    assert mobula.data.read_text(put(tmp_path, "e.gz", gzip.compress(b"one\ntwo\n"))).count() == 2
    assert mobula.data.read_binary_files(lines).take(1)[0]["bytes"][:2] == b"\x1f\x8b"
    named = put(tmp_path, "f.data", gzip.compress(b"n\n5\n"))
    dataset = mobula.data.read_csv(named, arrow_open_stream_args={"compression": "gzip"})
    assert dataset.take_all() == [{"n": 5}]


def test_a_large_csv_comes_in_blocks(tmp_path, context):
    context.target_max_block_size = 1 << 20
    path = put(tmp_path, "a.csv", "n,text\n" + "".join(f"{i},{'x' * 90}\n" for i in range(60_000)))
    dataset = mobula.data.read_csv(path, override_num_blocks=1).materialize()
    assert dataset.num_blocks() > 3
    assert [row["n"] for row in dataset.select_columns("n").take(3)] == [0, 1, 2]
    assert dataset.sum("n") == 60_000 * 59_999 // 2


def test_bad_rows_name_file_place_and_what_helps(tmp_path):
    wide = put(tmp_path, "wide.csv", "a,b\n1,2\n1,2,3\n")
    with pytest.raises(
        ValueError, match=r"wide\.csv: after row 0: .*Expected 2 columns.*invalid_row_handler"
    ):
        mobula.data.read_csv(wide).take_all()
    late = put(tmp_path, "late.csv", "a\n" + "1\n" * 1_000_000 + "x\n")
    with pytest.raises(ValueError, match=r"late\.csv: after row \d+: .*column_types"):
        mobula.data.read_csv(late).count()
    options = pa.csv.ParseOptions(invalid_row_handler=lambda row: "skip")
    assert mobula.data.read_csv(wide, parse_options=options).take_all() == [{"a": 1, "b": 2}]
    types = pa.csv.ConvertOptions(column_types={"a": pa.string()})
    assert mobula.data.read_csv(late, convert_options=types).count() == 1_000_001


def test_files_that_cannot_be_read_are_skipped_counted_and_listed(tmp_path, context):
    for i in range(6):
        put(tmp_path, f"{i}.csv", f"n\n{i}\n" if i != 3 else "n\n1,2,3\n")
    put(tmp_path, "7.csv", "")
    put(tmp_path, "8.csv.gz", gzip.compress(b"n\n8\n")[:9])
    context.max_errored_blocks = 2
    dataset = mobula.data.read_csv(str(tmp_path), override_num_blocks=1).materialize()
    assert [row["n"] for row in dataset.take_all()] == [0, 1, 2, 4, 5]
    assert "3.csv" in dataset.stats()
    assert "8.csv.gz" in dataset.stats()
    assert "Skipped after errors: 2" in dataset.stats()
    context.max_errored_blocks = 1
    with pytest.raises((ValueError, OSError), match=r"csv"):
        mobula.data.read_csv(str(tmp_path), override_num_blocks=1).take_all()


def test_many_small_files_with_unlike_columns_are_one_dataset(tmp_path):
    for i in range(200):
        content = f"n,a\n{i},{i}.5\n" if i % 2 else f"n,b\n{i},t{i}\n"
        put(tmp_path, f"{i:03}.csv", content)
    rows = mobula.data.read_csv(str(tmp_path)).to_pandas().sort_values("n")
    assert rows["n"].tolist() == list(range(200))
    assert rows["a"].dropna().tolist() == [i + 0.5 for i in range(1, 200, 2)]
    assert rows["b"].dropna().tolist() == [f"t{i}" for i in range(0, 200, 2)]


# -- partitions ----


def test_folders_become_columns_and_choose_files(tmp_path):
    for year in (2023, 2024):
        for region in ("eu", "a b"):
            put(tmp_path, f"year={year}/region={region.replace(' ', '%20')}/a.csv", f"n\n{year}\n")
    whole = mobula.data.read_csv(str(tmp_path))
    assert sorted({(row["year"], row["region"]) for row in whole.take_all()}) == [
        ("2023", "a b"), ("2023", "eu"), ("2024", "a b"), ("2024", "eu")
    ]  # fmt: skip
    assert mobula.data.read_csv(str(tmp_path), partitioning=None).columns() == ["n"]
    typed = mobula.data.read_csv(
        str(tmp_path),
        partitioning=Partitioning(PartitionStyle.HIVE, field_types={"year": int}),
        partition_filter=PathPartitionFilter.of(lambda parts: parts["year"] == "2024"),
    )
    assert {row["year"] for row in typed.take_all()} == {2024}
    put(tmp_path, "dirs/2020/fr/a.json", '{"n": 1}')
    dirs = Partitioning("dir", base_dir=str(tmp_path / "dirs"), field_names=["year", "region"])
    rows = mobula.data.read_json(str(tmp_path / "dirs"), partitioning=dirs).take_all()
    assert rows == [{"n": 1, "year": "2020", "region": "fr"}]


def test_missing_paths_and_other_endings_are_left_out_on_request(tmp_path):
    path = put(tmp_path, "a.csv", "n\n1\n")
    put(tmp_path, "README.md", "no")
    both = [path, str(tmp_path / "gone.csv")]
    with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
        mobula.data.read_csv(both)
    assert mobula.data.read_csv(both, ignore_missing_paths=True).count() == 1
    only = mobula.data.read_csv(str(tmp_path), file_extensions=["csv"], include_paths=True)
    assert only.take_all() == [{"n": 1, "path": path}]
    assert mobula.data.read_csv([path] * 5, shuffle="files").count() == 5


def test_any_arrow_file_system_will_do(tmp_path):
    put(tmp_path, "in/a.csv", "n\n1\n")
    put(tmp_path, "in/b.csv.gz", gzip.compress(b"n\n2\n"))
    pa.parquet.write_table(pa.table({"n": [3]}), tmp_path / "c.parquet")
    system = pa.fs.SubTreeFileSystem(str(tmp_path), pa.fs.LocalFileSystem())
    assert mobula.data.read_csv("in", filesystem=system).take_all() == [{"n": 1}, {"n": 2}]
    assert mobula.data.read_parquet("c.parquet", filesystem=system).take_all() == [{"n": 3}]


# -- json and text ----


def test_json_comes_in_lines_arrays_and_over_several_lines(tmp_path):
    for content, rows in (
        ('{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ('{"a": 1}\n{"a": "x"}', [{"a": 1}, {"a": "x"}]),
        ('\n [{"a": 1},\n\n {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ('{\n  "a": {"b": [1, 2]}\n}\n{\n  "a": {"b": []}\n}', [{"a": {"b": [1, 2]}}, {"a": {"b": []}}]),
        ('\ufeff[{"a": "é"}]', [{"a": "é"}]),
        ("", []),
        ("[]", []),
        (" \n", []),
    ):
        assert mobula.data.read_json(put(tmp_path, "a.json", content)).take_all() == rows, content


def test_text_in_another_encoding_is_told(tmp_path):
    path = put(tmp_path, "a.txt", "é\n\nb\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.txt: after line 0: .*encoding="):
        mobula.data.read_text(path).take_all()
    rows = mobula.data.read_text(path, encoding="latin-1", drop_empty_lines=False).take_all()
    assert [row["text"] for row in rows] == ["é", "", "b"]


def test_a_large_json_array_on_one_line_comes_in_blocks(tmp_path, context):
    context.target_max_block_size = 1 << 20
    rows = [{"n": i, "text": "é" * 50} for i in range(100_000)]
    path = put(tmp_path, "a.json", json.dumps(rows, ensure_ascii=False))
    dataset = mobula.data.read_json(path, override_num_blocks=1).materialize()
    assert dataset.num_blocks() > 3
    assert dataset.sum("n") == sum(range(100_000))
    lines = put(tmp_path, "b.jsonl", "\n".join(json.dumps(row) for row in rows))
    assert mobula.data.read_json(lines, lines=True).sum("n") == sum(range(100_000))


def test_broken_json_is_told_with_its_place(tmp_path):
    for content, text in (
        ('{"a": 1}\n{"a": \n', "line 2"),
        ('[{"a": 1}, {"a":]', "character 16"),
        ('[{"a": 1}', "character 9: the file ends inside an array"),
        ("[1, 2]", "character 1: a row is a JSON object"),
        ('{"a": 1}\n7\n', "line 2: a row is a JSON object"),
    ):
        path = put(tmp_path, "broken.json", content)
        with pytest.raises(ValueError, match=rf"broken\.json: {text}"):
            mobula.data.read_json(path).take_all()
    with pytest.raises(ValueError, match="line 1"):
        mobula.data.read_json(put(tmp_path, "array.json", '[{"a": 1}]'), lines=True).take_all()


# -- avro, orc, tfrecords, webdataset ----


def test_avro_values_are_what_another_library_wrote(tmp_path):
    fastavro = pytest.importorskip("fastavro")
    fields = {
        "i": "long",
        "maybe": ["null", "double"],
        "s": "string",
        "raw": "bytes",
        "kind": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]},
        "many": {"type": "array", "items": "int"},
        "again": "Kind",
        "inner": {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "float"}]},
        "fixed": {"type": "fixed", "name": "Three", "size": 3},
        "when": {"type": "long", "logicalType": "timestamp-micros"},
        "day": {"type": "int", "logicalType": "date"},
        "money": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
    }
    schema = {"type": "record", "name": "Row", "namespace": "n",
              "fields": [{"name": name, "type": kind} for name, kind in fields.items()]}  # fmt: skip
    when = datetime.datetime(2024, 2, 28, 23, 30, 1, 7, tzinfo=datetime.UTC)
    rows = [
        {
            "i": (-1) ** i * i * 10**9, "maybe": None if i % 3 else i / 4, "s": f"é{i}",
            "raw": bytes([i % 256]),
            "kind": "AB"[i % 2], "many": list(range(i % 4)), "again": "B", "inner": {"x": i / 2},
            "fixed": b"abc", "when": when, "day": when.date(), "money": decimal.Decimal("-12.34"),
        }
        for i in range(2000)
    ]  # fmt: skip
    for codec in ("null", "deflate", "bzip2", "xz"):
        out = io.BytesIO()
        fastavro.writer(out, schema, rows, codec=codec, sync_interval=4000)
        assert mobula.data.read_avro(put(tmp_path, "a.avro", out.getvalue())).take_all() == rows, codec
    whole = out.getvalue()
    for content, text in (
        (whole[: len(whole) // 2], r"byte \d+: .*cut off"),
        (b"nope", "no Avro"),
        (whole[:-8] + b"\0" * 8, "marker"),
    ):
        with pytest.raises(ValueError, match=rf"broken\.avro: .*{text}"):
            mobula.data.read_avro(put(tmp_path, "broken.avro", content)).take_all()
    out = io.BytesIO()
    fastavro.writer(out, "long", [1, 2])
    path = put(tmp_path, "b.avro", out.getvalue())
    assert mobula.data.read_avro(path).take_all() == [{"item": 1}, {"item": 2}]


def test_orc_is_read_by_stripes(tmp_path):
    table = pa.table({"n": range(50_000), "s": [f"s{i}" for i in range(50_000)]})
    pa.orc.write_table(table, tmp_path / "a.orc", stripe_size=64 * 1024)
    assert pa.orc.ORCFile(tmp_path / "a.orc").nstripes > 1
    assert mobula.data.read_orc(str(tmp_path)).to_pandas()["n"].tolist() == list(range(50_000))
    pa.orc.write_table(table.slice(0, 0), tmp_path / "b.orc")
    assert mobula.data.read_orc(str(tmp_path / "b.orc")).columns() == ["n", "s"]
    with pytest.raises((ValueError, OSError), match=r"c\.orc"):
        mobula.data.read_orc(put(tmp_path, "c.orc", b"this is not ORC at all")).take_all()


def test_tfrecords_give_scalars_where_all_records_have_one_value(tmp_path):
    examples = [
        {"i": ("int", [i]), "f": ("float", [i / 2] * (i % 3)), "s": ("bytes", [b"x%d" % i])}
        for i in range(50)
    ]
    path = put(tmp_path, "a.tfrecords", framed([encode_example(one) for one in examples]))
    dataset = mobula.data.read_tfrecords(path)
    rows = dataset.take_all()
    assert rows[4] == {"i": 4, "f": [2.0], "s": b"x4"}
    assert [list(row["f"]) for row in rows] == [one["f"][1] for one in examples]
    assert [str(kind) for kind in dataset.schema().types] == ["int64", "list<item: float>", "binary"]
    packed = put(tmp_path, "b.tfrecord.gz", gzip.compress(framed([encode_example(examples[1])])))
    assert mobula.data.read_tfrecords(packed).take_all() == [{"i": 1, "f": 0.5, "s": b"x1"}]
    broken = put(tmp_path, "broken.tfrecords", framed([b"\xff\xff"]))
    with pytest.raises(ValueError, match=r"broken\.tfrecords: record 0: "):
        mobula.data.read_tfrecords(broken).take_all()


class Feature:
    def __init__(self, name, kind):
        self.name, self.type = name, kind


class Schema:
    feature = [Feature("i", 2), Feature("s", 1)]


def test_tfrecords_follow_a_schema(tmp_path):
    path = put(tmp_path, "a.tfrecords", framed([encode_example({"i": ("int", [1]), "s": ("bytes", [])})]))
    assert mobula.data.read_tfrecords(path, tf_schema=Schema()).take_all() == [{"i": [1], "s": []}]
    path = put(tmp_path, "b.tfrecords", framed([encode_example({"i": ("float", [1])})]))
    with pytest.raises(ValueError, match="tf_schema says int"):
        mobula.data.read_tfrecords(path, tf_schema=Schema()).take_all()


def make_tar(folder, name, files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member, content in files:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return put(folder, name, out.getvalue())


def test_webdatasets_are_grouped_and_decoded(tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    saved = io.BytesIO()
    np.save(saved, array)
    files = []
    for i in range(3):
        files += [
            (f"dir/{i}.cls", b"%d" % i), (f"dir/{i}.txt", f"té{i}".encode()),
            (f"dir/{i}.npy", saved.getvalue()),
            (f"dir/{i}.json", b'{"a": %d}' % i), (f"dir/{i}.left.pyd", pickle.dumps(i)),
        ]  # fmt: skip
    path = make_tar(tmp_path, "a.tar", files)
    rows = mobula.data.read_webdataset(path).take_all()
    assert [row["__key__"] for row in rows] == ["dir/0", "dir/1", "dir/2"]
    assert rows[1]["cls"] == 1
    assert rows[1]["txt"] == "té1"
    assert rows[1]["json"] == {"a": 1}
    assert np.array_equal(rows[1]["npy"], array)
    assert rows[1]["left.pyd"] == pickle.dumps(1)
    assert rows[1]["__url__"] == path
    raw = mobula.data.read_webdataset(path, decoder=None, suffixes=["cls", "*.txt"]).take(1)[0]
    assert raw == {"__key__": "dir/0", "__url__": path, "cls": b"0", "txt": "té0".encode()}
    wide = mobula.data.read_webdataset(path, expand_json=True, fileselect=lambda name: "json" in name)
    assert [row["a"] for row in wide.take_all()] == [0, 1, 2]
    own = mobula.data.read_webdataset(path, decoder=[True, lambda row: {"n": row["cls"] * 10}])
    assert own.take_all() == [{"n": 0}, {"n": 10}, {"n": 20}]
    with open(path, "rb") as file:
        cut = put(tmp_path, "cut.tar", file.read()[:1800])
    with pytest.raises(ValueError, match=r"cut\.tar"):
        mobula.data.read_webdataset(cut).take_all()
    bad = make_tar(tmp_path, "bad.tar", [("k.json", b"{")])
    with pytest.raises(ValueError, match=r"bad\.tar[\s\S]*sample 'k'"):
        mobula.data.read_webdataset(bad).take_all()


# -- tables of other libraries: where they are installed ----


def test_delta_tables_have_versions_and_partitions(tmp_path):
    deltalake = pytest.importorskip("deltalake")
    table = pa.table({"id": range(100), "k": ["a", "b"] * 50})
    deltalake.write_deltalake(str(tmp_path), table, partition_by=["k"])
    deltalake.write_deltalake(str(tmp_path), table, mode="append")
    assert mobula.data.read_delta(str(tmp_path)).count() == 200
    assert sorted(mobula.data.read_delta(str(tmp_path), version=0).unique("k")) == ["a", "b"]
    assert mobula.data.read_delta(str(tmp_path), columns=["id"]).columns() == ["id"]


def test_lance_fragments_are_read_apart(tmp_path):
    lance = pytest.importorskip("lance")
    table = pa.table({"id": range(100), "k": ["a", "b"] * 50})
    lance.write_dataset(table, str(tmp_path / "a.lance"), max_rows_per_file=30)
    dataset = mobula.data.read_lance(str(tmp_path / "a.lance"), columns=["id"], filter="k = 'a'")
    assert sorted(row["id"] for row in dataset.take_all()) == list(range(0, 100, 2))


def test_iceberg_scans_are_read_by_files(tmp_path):
    catalogs = pytest.importorskip("pyiceberg.catalog")
    pytest.importorskip("sqlalchemy")
    options = {
        "name": "c",
        "type": "sql",
        "uri": f"sqlite:///{tmp_path}/c.db",
        "warehouse": f"file://{tmp_path}",
    }
    catalog = catalogs.load_catalog(**options)
    catalog.create_namespace("n")
    rows = pa.table({"id": list(range(100))})
    table = catalog.create_table("n.t", schema=rows.schema)
    table.append(rows)
    table.append(rows)
    dataset = mobula.data.read_iceberg(table_identifier="n.t", row_filter="id < 10", catalog_kwargs=options)
    assert sorted(row["id"] for row in dataset.take_all()) == sorted(2 * list(range(10)))


def test_hugging_face_datasets_keep_their_rows():
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_dict({"a": [1, 2, 3], "s": ["x", "y", "z"]})
    assert mobula.data.from_huggingface(whole.select([2, 0])).take_all() == [
        {"a": 3, "s": "z"}, {"a": 1, "s": "x"}
    ]  # fmt: skip
    assert mobula.data.from_huggingface(whole.to_iterable_dataset(num_shards=2)).count() == 3
    with pytest.raises(ValueError, match="train"):
        mobula.data.from_huggingface(datasets.DatasetDict({"train": whole}))


# -- databases ----


def make_database(folder, rows=1000):
    path = str(folder / "a.db")
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t(id INT, s TEXT)")
    connection.executemany(
        "INSERT INTO t VALUES(?, ?)", [(i, f"s{i}" if i % 2 else None) for i in range(rows)]
    )
    connection.commit()
    connection.close()
    return path


def test_a_query_is_read_by_one_task_or_by_shards(tmp_path):
    path = make_database(tmp_path)

    def connect():
        connection = sqlite3.connect(path)
        connection.create_function("H", 1, lambda v: int(hashlib.md5(str(v).encode()).hexdigest()[:8], 16))
        return connection

    whole = mobula.data.read_sql("SELECT * FROM t WHERE id < ? ORDER BY id", connect, sql_params=(900,))
    assert whole.take(2) == [{"id": 0, "s": None}, {"id": 1, "s": "s1"}]
    assert whole.materialize().num_blocks() == 1
    shards = mobula.data.read_sql(
        "SELECT * FROM t", connect, shard_keys=["id"], shard_hash_fn="H", override_num_blocks=4
    ).materialize()
    assert shards.num_blocks() == 4
    assert sorted(row["id"] for row in shards.take_all()) == list(range(1000))
    alone = mobula.data.read_sql("SELECT * FROM t", connect, shard_keys=["id"], shard_hash_fn="NO_SUCH")
    assert alone.count() == 1000
    none = mobula.data.read_sql("SELECT id, s FROM t WHERE id < 0", connect)
    assert none.count() == 0
    assert none.columns() == ["id", "s"]
    with pytest.raises(sqlite3.OperationalError, match=r"SELECT nope FROM t"):
        mobula.data.read_sql("SELECT nope FROM t", connect).take_all()
    with pytest.raises(ValueError, match=r"DB-API"):
        mobula.data.read_sql("SELECT 1", lambda: 7).take_all()


# -- users' own sources ----


class Squares(Datasource):
    def __init__(self, rows):
        self.rows = rows

    def estimate_inmemory_data_size(self):
        return self.rows * 8

    def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
        def make(start, end):
            return lambda: iter([pandas.DataFrame({"n": [i * i for i in range(start, end)]})])

        step = -(-self.rows // parallelism)
        starts = range(0, self.rows, step)
        metadata = BlockMetadata(num_rows=step, size_bytes=8 * step, input_files=None, exec_stats=None)
        return [ReadTask(make(start, min(start + step, self.rows)), metadata) for start in starts]


class Upper(FileBasedDatasource):
    _FILE_EXTENSIONS = ["up"]

    def _read_stream(self, f, path):
        content = f.readall().decode()
        if "bad" in content:
            raise ValueError("a bad word")
        yield {"text": [content.upper()]}


def test_datasources_of_users_are_read(tmp_path, context):
    dataset = mobula.data.read_datasource(Squares(100), override_num_blocks=7)
    assert [row["n"] for row in dataset.take_all()] == [i * i for i in range(100)]
    assert dataset.materialize().num_blocks() == 7
    assert mobula.data.read_datasource(RandomIntRowDatasource(50, 2)).columns() == ["c_0", "c_1"]
    put(tmp_path, "a.up", "one")
    put(tmp_path, "b.up.gz", gzip.compress(b"no"))
    put(tmp_path, "c.up", "bad")
    source = Upper(str(tmp_path), include_paths=True)
    with pytest.raises(ValueError, match=r"c\.up: a bad word"):
        mobula.data.read_datasource(source).take_all()
    context.max_errored_blocks = 1
    dataset = mobula.data.read_datasource(source)
    assert dataset.take_all() == [{"text": "ONE", "path": str(tmp_path / "a.up")}]
    assert dataset.input_files() == [str(tmp_path / "a.up"), str(tmp_path / "c.up")]
    limited = ReadTask(lambda: iter([{"n": [1, 2]}, {"n": [3, 4]}]), BlockMetadata(), per_task_row_limit=3)
    assert sum(BlockAccessor.for_block(block).num_rows() for block in limited()) == 3


# -- other libraries ----


class Numbers:
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, place):
        return place * 10


def test_datasets_of_other_libraries_become_datasets():
    rows = mobula.data.from_torch(Numbers(25)).take_all()
    assert rows == [{"item": i * 10} for i in range(25)]
    frames = pytest.importorskip("dask.dataframe")
    frame = pandas.DataFrame({"n": range(20), "s": list("ab") * 10})
    dataset = mobula.data.from_dask(frames.from_pandas(frame, npartitions=4))
    assert dataset.to_pandas()["n"].tolist() == list(range(20))
    assert dataset.to_dask().compute()["n"].sum() == 190


def test_what_is_not_installed_or_not_there_names_the_package(tmp_path):
    for read, package in (
        (lambda: mobula.data.read_delta(str(tmp_path)), "deltalake"),
        (lambda: mobula.data.read_lance(str(tmp_path)), "pylance"),
        (lambda: mobula.data.read_iceberg(table_identifier="a.b"), "pyiceberg"),
        (lambda: mobula.data.read_mongo("mongodb://x", "a", "b"), "pymongo"),
        (lambda: mobula.data.from_tf(None), "tensorflow"),
        (lambda: mobula.data.from_modin(None), "modin"),
        (lambda: mobula.data.from_daft(None), "daft"),
        (lambda: mobula.data.from_huggingface(None), "datasets"),
    ):
        try:
            read()
        except ModuleNotFoundError as error:
            assert f"pip install {package}" in str(error)
        except Exception:  # it is installed, and refuses what it was given
            continue
    for name in ("read_bigquery", "read_snowflake", "read_databricks_tables", "read_clickhouse", "read_zarr"):
        with pytest.raises(NotImplementedError, match=f"{name} is not part of Mobula; use "):
            getattr(mobula.data, name)("anything")


def test_paths_are_files_of_this_machine(tmp_path):
    path = put(tmp_path, "a.csv", "n\n1\n")
    assert mobula.data.read_csv("file://" + path).take_all() == [{"n": 1}]
    assert mobula.data.read_csv(os.path.relpath(path)).take_all() == [{"n": 1}]
