"""Every program of examples/ runs to its end and prints what it promises."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOBULA_BUILD_DIR", ROOT / "build" / "dev"))
CPP = sorted(path.stem for path in (ROOT / "examples" / "cpp").glob("*.cc") if path.stem != "video_inference")


sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "examples" / "python")]

from demo import clips_into, tree_rss  # noqa: E402
from faces import model_path  # noqa: E402


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", CPP)
def test_a_cpp_example_runs(name: str, tmp_path: Path) -> None:
    program = BUILD / "examples" / name
    assert program.exists(), f"{program} is not built"
    assert run([str(program)], tmp_path).strip()


def test_the_demo_runs_its_three_programs_and_they_agree(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    output = run([sys.executable, str(ROOT / "examples" / "demo.py"), "--sheet", str(sheet)], tmp_path)
    assert "All three agree" in output
    assert sheet.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    man = next(line for line in output.splitlines() if "carphone_pristine" in line)
    found, frames = (int(word) for word in man.split() if word.isdigit())
    assert found >= 0.95 * frames > 0


def test_the_native_job_skips_a_corrupt_clip_only_when_allowed(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "broken.mp4").write_bytes(b"this is no clip")
    program = ROOT / "examples" / "python" / "video_inference.py"
    command = [sys.executable, str(program), str(clips), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "broken.mp4" in done.stderr


# -- the native job in C++ -------------------------------------------------------------------------------


def cpp_job(folder: Path, *words: str) -> list[str]:
    program = BUILD / "examples" / "video_inference"
    assert program.exists(), f"{program} is not built"
    figures = ["--json", str(folder / "figures.json")]
    return [str(program), str(folder / "clips"), str(folder / "out"), *figures, *words]


def figures_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "figures.json").read_text()))


def outcome(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def workers_of(driver: int) -> list[int]:
    """The processes below the zygote of a driver."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    return [pid for pid, parent in parents.items() if parents.get(parent) == driver]


def kill_workers(driver: int) -> int:
    workers = workers_of(driver)
    for worker in workers:
        try:
            os.kill(worker, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(workers)


def test_the_cpp_job_skips_a_corrupt_clip_only_when_asked(tmp_path: Path) -> None:
    clips_into(tmp_path / "clips")
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"this is no clip")
    command = cpp_job(tmp_path, "--model", model_path())
    done = outcome(command)
    assert done.returncode == 1 and "broken.mp4" in done.stderr
    assert list((tmp_path / "out").iterdir()) == [], "half an output is none"
    done = outcome([*command, "--skip-broken"])
    assert done.returncode == 0, done.stderr
    assert "broken.mp4" in done.stderr and "1 clips are broken" in done.stdout
    figures = figures_of(tmp_path)
    assert (figures["frames"], figures["detections"], figures["skipped"]) == (622, 279, 1)


def test_the_cpp_job_names_an_empty_folder_and_a_missing_model(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    done = outcome(cpp_job(tmp_path, "--model", model_path()))
    assert done.returncode == 1 and "no clips" in done.stderr and str(tmp_path / "clips") in done.stderr
    shutil.rmtree(tmp_path / "clips")
    clips_into(tmp_path / "clips")
    done = outcome(cpp_job(tmp_path, "--model", str(tmp_path / "no.tflite")))
    assert done.returncode == 1 and "no.tflite" in done.stderr
    assert outcome(cpp_job(tmp_path)).stderr.startswith("video_inference: usage: ")


def test_the_cpp_job_gives_the_same_when_its_workers_die(tmp_path: Path) -> None:
    clips_into(tmp_path / "clips")
    with subprocess.Popen(cpp_job(tmp_path, "--model", model_path())) as job:
        while job.poll() is None and len(workers_of(job.pid)) < 3:
            time.sleep(0.01)
        time.sleep(0.3)  # in the middle of it
        assert kill_workers(job.pid) >= 3
        assert job.wait(timeout=60) == 0
    figures = figures_of(tmp_path)
    assert (figures["frames"], figures["detections"]) == (622, 279)


def test_the_cpp_job_ends_when_its_workers_die_again_and_again(tmp_path: Path) -> None:
    clips_into(tmp_path / "clips")
    command = cpp_job(tmp_path, "--model", model_path())
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as job:
        until = time.monotonic() + 60
        while job.poll() is None and time.monotonic() < until:
            kill_workers(job.pid)
            time.sleep(0.05)
        assert job.poll() == 1
        assert job.stderr is not None and "SIGKILL" in job.stderr.read()


def lengthen(clip: Path, longer: Path, times: int) -> None:
    """The clip, again and again, without decoding it."""
    av = pytest.importorskip("av")
    with av.open(str(longer), "w") as out:
        stream, offset = None, 0
        for _ in range(times):
            with av.open(str(clip)) as source:
                stream = stream or out.add_stream_from_template(source.streams.video[0])
                end = offset
                for packet in source.demux(source.streams.video[0]):
                    if packet.dts is None:
                        continue
                    packet.stream = stream
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    end = max(end, packet.pts + packet.duration)
                    out.mux(packet)
                offset = end


def test_memory_of_the_cpp_job_does_not_grow_with_the_length_of_a_clip(tmp_path: Path) -> None:
    clips_into(tmp_path / "all")
    peaks = []
    for times in (4, 16):
        folder = tmp_path / str(times)
        (folder / "clips").mkdir(parents=True)
        lengthen(tmp_path / "all" / "bikes.mp4", folder / "clips" / "long.mp4", times)
        with subprocess.Popen(cpp_job(folder, "--model", model_path())) as job:
            peak = 0
            while job.poll() is None:
                peak = max(peak, tree_rss(job.pid))
                time.sleep(0.03)
        assert job.returncode == 0
        assert figures_of(folder)["frames"] == 250 * times
        peaks.append(peak)
    frame_bytes = 128 * 128 * 3
    assert peaks[1] - peaks[0] < 12 * 250 * frame_bytes / 4, "a quarter of the frames that were added"
