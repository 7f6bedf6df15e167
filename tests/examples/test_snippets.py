"""Every Python block of README and docs runs, block after block of one page in one process. C++ blocks that
are programs are built and run; the others are compiled, each page's together, after snippets.h.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "mobula"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CPP_BLOCK = re.compile(r"^```cpp\n(.*?)^```", re.MULTILINE | re.DOTALL)
DECLARATION = re.compile(r"struct |class |MOBULA_REMOTE|mobula::Generator<")


def pages(block: re.Pattern[str]) -> list[Path]:
    everything = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [page for page in everything if block.search(page.read_text())]


def succeed(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def compile_cpp(source: Path, *words: str | Path) -> None:
    includes = f"-I{PACKAGE / 'include'}"
    succeed("g++", "-std=c++20", includes, str(source), *words, cwd=source.parent)


@pytest.mark.parametrize("page", pages(CPP_BLOCK), ids=lambda page: page.stem)
def test_the_cpp_programs_of_a_page_run(page: Path, tmp_path: Path) -> None:
    programs = [block for block in CPP_BLOCK.findall(page.read_text()) if "int main(" in block]
    assert programs
    for number, program in enumerate(programs):
        source, binary = tmp_path / f"{number}.cc", tmp_path / str(number)
        source.write_text(program)
        library = PACKAGE / "lib"
        compile_cpp(source, f"-L{library}", "-lmobula", f"-Wl,-rpath,{library}", "-o", binary)
        succeed(binary, cwd=tmp_path)


def test_the_other_cpp_snippets_compile(tmp_path: Path) -> None:
    text = [(Path(__file__).parent / "snippets.h").read_text()]
    for page in pages(CPP_BLOCK):
        for number, block in enumerate(CPP_BLOCK.findall(page.read_text())):
            if "int main(" not in block:
                is_declaration = DECLARATION.match(block)
                text.append(block if is_declaration else f"void {page.stem}{number}() {{\n{block}}}\n")
    source = tmp_path / "snippets.cc"
    source.write_text("\n".join(text))
    compile_cpp(source, "-fsyntax-only")


@pytest.mark.parametrize("page", pages(BLOCK), ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run(page: Path, tmp_path: Path) -> None:
    program = tmp_path / f"{page.stem}_snippets.py"
    program.write_text("\n".join(BLOCK.findall(page.read_text())))
    succeed(sys.executable, program, cwd=tmp_path)
