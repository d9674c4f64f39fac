"""Outside programs that some tests need: found, else installed by the system's package manager, else said loudly.

A test marked `@pytest.mark.service("node")` runs when every program of that service is on the PATH. Where one is not,
and we are root on a Debian-like system, its packages are installed once, under a lock that all test workers share.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

CACHE = Path(__file__).resolve().parent.parent / ".cache"
INSTALL_SECONDS = 600


class Service(msgspec.Struct, frozen=True):
    """An outside program: the commands that must be there and the Debian packages that bring them."""

    programs: tuple[str, ...]
    packages: tuple[str, ...]


SERVICES: dict[str, Service] = {
    "nginx": Service(programs=("nginx",), packages=("nginx-light",)),
    "node": Service(programs=("node", "npm"), packages=("nodejs", "npm")),
    "wrk": Service(programs=("wrk",), packages=("wrk",)),
    "cc": Service(programs=("cc",), packages=("gcc", "libc6-dev")),
    "make": Service(programs=("make",), packages=("make",)),
}
"""Every service a test may ask for. Tests may ask for no other, so that CI knows what it installs."""


class ServiceMissingError(Exception):
    """A service cannot be had here; the message names it, the reason and the mend."""


Find = Callable[[str], str | None]
Install = Callable[[tuple[str, ...]], None]


def find_program(name: str) -> str | None:
    """Where a program lies; daemons often stand outside a user's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def apt_install(packages: tuple[str, ...]) -> None:
    """Install Debian packages without asking. Raises ServiceMissingError when that is not possible or fails."""
    if os.geteuid() != 0:
        raise ServiceMissingError("not root, so nothing can be installed")
    if shutil.which("apt-get") is None:
        raise ServiceMissingError("apt-get is not on this system")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        try:
            done = subprocess.run(
                ["apt-get", "-o", "DPkg::Lock::Timeout=120", *arguments],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ServiceMissingError(f"apt-get {arguments[0]} took longer than {INSTALL_SECONDS} s") from error
        if done.returncode != 0:
            raise ServiceMissingError(f"apt-get {arguments[0]} failed: {done.stdout.strip()[-400:]}")


def missing_programs(service: Service, find: Find = find_program) -> tuple[str, ...]:
    """The programs of a service that are not there."""
    return tuple(program for program in service.programs if find(program) is None)


def provide(
    name: str,
    *,
    cache: Path = CACHE,
    find: Find = find_program,
    install: Install = apt_install,
) -> None:
    """See to it that a service is there, installing it where that is possible.

    Raises ServiceMissingError with the sentence to show, KeyError for a name that is no service.
    """
    service = SERVICES[name]
    if not missing_programs(service, find):
        return
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "services.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = missing_programs(service, find)
        if not missing:
            return
        try:
            install(service.packages)
        except ServiceMissingError as error:
            raise ServiceMissingError(_sentence(name, missing, str(error))) from error
        missing = missing_programs(service, find)
        if missing:
            raise ServiceMissingError(_sentence(name, missing, "the packages were installed without it"))


def _sentence(name: str, missing: tuple[str, ...], why: str) -> str:
    packages = " ".join(SERVICES[name].packages)
    return (
        f"needs the service '{name}': {', '.join(missing)} not found, and {why}. "
        f"Mend: apt-get install {packages} (or put the program on the PATH)"
    )
