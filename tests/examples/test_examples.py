"""Every program of examples/ runs to its end and prints what it promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOBULA_BUILD_DIR", ROOT / "build" / "dev"))
CPP = sorted(path.stem for path in (ROOT / "examples" / "cpp").glob("*.cc") if path.stem != "video_inference")


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
