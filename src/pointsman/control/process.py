"""The control process from start to end.

In this order: address, data directory, store, registry published, ingest, and only then the admin API, whose libraries
take longer to load than everything before them. Gateways can serve as soon as the registry is published.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pointsman.control.admin_token import TokenError, admin_token
from pointsman.control.compiling import Compile
from pointsman.control.config_file import ConfigFile
from pointsman.control.lock import AlreadyRunning, hold
from pointsman.control.parts import Control
from pointsman.control.publish import Publisher
from pointsman.control.registry import CurrentRegistry
from pointsman.control.workers import forget_gone
from pointsman.core.places import Places
from pointsman.registry.problem import RegistryInvalid
from pointsman.store.migrate import migrate
from pointsman.store.store import StoreError, StoreUnavailable, connect
from pointsman.telemetry.ingest import Ingest

TRY_LATER = 75
"""Exit code when what keeps the process from starting may pass: the store is locked or out of reach."""

_log = logging.getLogger("pointsman.control")


class Options(msgspec.Struct, frozen=True):
    """What the supervisor says. `parent_fd` is a pipe whose end means that the supervisor is gone."""

    data_dir: Path
    config: Path | None = None
    admin_host: str = "127.0.0.1"
    admin_port: int = 8081
    watch: bool = True
    parent_fd: int | None = None


class CannotStart(Exception):  # noqa: N818 (reads as what it says)
    """The process cannot start. The message is for the operator and says what to do."""


def run(options: Options, environment: Mapping[str, str], make_compiler: Callable[[], Compile]) -> int:
    """Run until SIGTERM or the supervisor's end. Returns the exit code."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    signal.signal(signal.SIGINT, lambda *_: ending.set())
    if options.parent_fd is not None:
        threading.Thread(target=_end_with_parent, args=(options.parent_fd,), daemon=True).start()
    try:
        listener = _listen(options.admin_host, options.admin_port)
        control = start(options, environment, make_compiler())
        token, kept = admin_token(control.places.admin_token, environment)
    except StoreUnavailable as error:
        _log.critical("cannot start now: %s", error)
        return TRY_LATER
    except (CannotStart, AlreadyRunning, StoreError, TokenError, OSError) as error:
        _log.critical("cannot start: %s", error)
        return 1
    if kept is not None:
        _log.info("admin token: %s", kept)
    try:
        if not ending.is_set():
            from pointsman.control.api.serve import serve

            serve(control, token, listener, ending)
    finally:
        stop(control)
    return 0


def start(options: Options, environment: Mapping[str, str], compile_text: Compile) -> Control:
    """Everything but the admin API. Raises CannotStart, AlreadyRunning, StoreError, OSError."""
    places = Places(options.data_dir)
    places.make()
    hold(places.root)
    forget_gone(places)
    store = connect(environment.get("POINTSMAN_DATABASE_URL") or places.database)
    migrate(store)
    publisher = Publisher(store, places, compile_text)
    config = _first_revision(options, publisher)
    ingest = Ingest(store, places.spool)
    ingest.start()
    if config is not None and options.watch:
        config.watch()
    return Control(places, store, publisher, ingest, CurrentRegistry(store), config)


def stop(control: Control) -> None:
    """Store what the spool has, and let go of the store."""
    if control.config is not None:
        control.config.stop()
    control.ingest.stop()
    control.store.close()


def _first_revision(options: Options, publisher: Publisher) -> ConfigFile | None:
    """Publish something to serve: the file, or else the last good revision."""
    good = publisher.latest()
    if options.config is None:
        if publisher.settle() is None:
            _log.warning("there is no registry yet: `pointsman apply FILE` gives this gateway something to serve")
        return None
    config = ConfigFile(options.config, publisher)
    try:
        publication = config.first()
    except (RegistryInvalid, OSError, UnicodeDecodeError) as error:
        if good is None:
            raise CannotStart(_why(options.config, error)) from error
        publisher.settle()
        config.unusable(_why(options.config, error) if not isinstance(error, RegistryInvalid) else "")
        _log.error("%s\nRevision %d, the last good one, is served", _why(options.config, error), good.number)
        return config
    for warning in publication.warnings:
        _log.warning("%s", warning)
    _log.info("serving revision %d (%s)", publication.revision.number, publication.revision.hash[:12])
    return config


def _why(path: Path, error: Exception) -> str:
    if isinstance(error, RegistryInvalid):
        lines = "\n".join(str(problem) for problem in error.problems)
        return f"{path} does not compile:\n{lines}"
    if isinstance(error, UnicodeDecodeError):
        return f"{path} is not UTF-8 text (byte {error.start})"
    return f"{path} cannot be read: {error}"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"the admin address {host}:{port} cannot be used ({error.strerror}); choose another --admin-port"
        ) from error
    return listener


def _end_with_parent(fd: int) -> None:
    """Wait for the supervisor's end of the pipe to close, then end this process in good order."""
    try:
        while os.read(fd, 4096):
            pass
    except OSError:
        _log.warning("--parent-fd %d cannot be read; ending", fd)
    os.kill(os.getpid(), signal.SIGTERM)
