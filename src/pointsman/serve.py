"""`pointsman serve`: starts the control process and the gateway workers, and keeps them running.

The supervisor binds the port and holds it: a worker that dies is replaced without a refused connection. Children stop
when the supervisor is gone, however it went, because the pipe they hold then ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pointsman.core.places import Places, WorkerStatus
from pointsman.gateway.settings import SettingError, settings_from

PRIVATE = 0o077
"""Records, key hashes and registry texts are for their owner's eyes only: the mask of every file that is made."""

BACKLOG = 2048
POLL_SECONDS = 0.05
RESTART_SECONDS = 0.2
"""Pause before a dead child is started again; doubled while it keeps dying young, up to `LONGEST_RESTART`."""
LONGEST_RESTART = 10.0
YOUNG_SECONDS = 10.0
FIRST_SECONDS = 30.0
"""Within this time the first process of a child may end everything by refusing to start."""
ORPHANS_SECONDS = 5.0
"""How long the children of a killed predecessor are given to let go of the ports."""
LOCK = "serve.lock"


class ServeError(Exception):
    """Serving cannot begin. The message names what is wrong and the mend."""


class PortTaken(ServeError):  # noqa: N818 (reads as what it says)
    """Another program listens there."""


class Options(msgspec.Struct, frozen=True):
    """What `pointsman serve` is told. Times in seconds."""

    config: Path | None
    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int = 8081
    workers: int = 1
    watch: bool = True
    grace: float = 30.0
    pin: bool = False


class Child:
    """One supervised process. When its first one ends with a code in `fatal`, that is the end of everything.

    What kept it from starting then is for a person to mend, and it has said so: starting it again would only say it
    again. Later ends are not the end: what is left goes on serving.

    It has a process group of its own, so that Ctrl-C reaches the supervisor alone, which knows the order in which to
    stop. It is given the reading end of a pipe (`--parent-fd`) that nothing is ever written to. Each has its own: an
    event loop makes its end non-blocking, and with it that of everybody it shares the pipe with.
    """

    def __init__(self, name: str, command: list[str], fds: list[int], fatal: frozenset[int]) -> None:
        self.name = name
        alive, self._alive = os.pipe()
        self._command = [*command, "--parent-fd", str(alive)]
        self._fds = [*fds, alive]
        self._fatal = fatal
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._first = True
        self._pause = RESTART_SECONDS
        self._restart_at = 0.0

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process."""
        self._started = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 (our own command)
            self._command, pass_fds=self._fds, stdin=subprocess.DEVNULL, process_group=0
        )

    def look(self, say: Callable[[str], None]) -> int | None:
        """Restart the process if it has died. Gives its exit code when that ends everything."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._restart_at:
                self._start_again(now, say)
            return None
        code = self._process.poll()
        if code is None:
            return None
        self._process = None
        if self._first and code in self._fatal and now - self._started < FIRST_SECONDS:
            return code
        self._first = False
        young = now - self._started < YOUNG_SECONDS
        self._pause = min(self._pause * 2, LONGEST_RESTART) if young else RESTART_SECONDS
        self._restart_at = now + self._pause
        say(f"{self.name} ended ({_ending(code)}); starting it again in {self._pause:.1f} s")
        return None

    def _start_again(self, now: float, say: Callable[[str], None]) -> None:
        try:
            self.start()
        except OSError as error:
            # No memory or no process to be had at this moment: what runs goes on running.
            say(f"{self.name} cannot be started now ({error.strerror}); trying again in {LONGEST_RESTART:.0f} s")
            self._restart_at = now + LONGEST_RESTART

    def signal(self, number: int) -> None:
        """Send a signal, if the process runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Whether the process has ended within that time."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def say(text: str) -> None:
    """A line for the operator. One that nobody reads any more (a closed pipe, a full disk) must not end what serves."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"pointsman: {text}\n")
        sys.stderr.flush()


def bind(host: str, port: int, count: int) -> list[socket.socket]:
    """One listening socket per worker, so that the kernel spreads connections evenly. Raises ServeError."""
    sockets: list[socket.socket] = []
    family = _family(host)
    try:
        for _ in range(count):
            one = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if count > 1:
                _refuse_taken(family, host, port if len(sockets) == 1 else 0)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind((host, port))
            port = one.getsockname()[1]
            one.listen(BACKLOG)
            one.set_inheritable(True)
    except OSError as error:
        for one in sockets:
            one.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"{_shown(host, port)} is in use by another program. Choose another --port.") from error
        raise ServeError(f"cannot listen on {_shown(host, port)}: {error.strerror}. Mend --host or --port.") from error
    return sockets


def _admin_is_free(host: str, port: int) -> None:
    """The control process would say the same, but only when gateways are serving already. Raises ServeError."""
    try:
        _refuse_taken(_family(host), host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"{_shown(host, port)} is in use by another program. Choose another --admin-port."
            ) from error
        raise ServeError(
            f"the admin API cannot listen on {_shown(host, port)}: {error.strerror}. Mend --admin-host or --admin-port."
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _refuse_taken(family: socket.AddressFamily, host: str, port: int) -> None:
    """Try a port. With SO_REUSEPORT one that another Pointsman holds would be shared silently. Raises OSError."""
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)


@contextmanager
def _held(places: Places) -> Iterator[None]:
    """The data directory, for one supervisor at a time. Raises ServeError.

    The lock ends with this process, however that ends: its children do not inherit it.
    """
    try:
        fd = os.open(places.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ServeError(f"the data directory {places.root} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise ServeError(
            f"another `pointsman serve` is using the data directory {places.root}. "
            "Stop it, or choose another --data-dir."
        ) from error
    try:
        yield
    finally:
        os.close(fd)


def _listen(options: Options, patience: float) -> list[socket.socket]:
    """The gateway's listening sockets, with the admin address known to be free. Raises ServeError."""
    deadline = time.monotonic() + patience
    while True:
        try:
            _admin_is_free(options.admin_host, options.admin_port)
            return bind(options.host, options.port, options.workers)
        except PortTaken:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_SECONDS)


class Supervisor:
    """The processes of one `pointsman serve`."""

    def __init__(self, options: Options, places: Places, listeners: list[socket.socket]) -> None:
        self._options = options
        self._places = places
        self._port = listeners[0].getsockname()[1]
        self._listeners = listeners
        self._stopping = False
        self._control = Child("the control process", self._control_command(), [], frozenset({1, 2}))
        self._workers = [
            Child(
                f"gateway worker {index}",
                self._worker_command(index, listener.fileno()),
                [listener.fileno()],
                frozenset({2}),
            )
            for index, listener in enumerate(listeners)
        ]
        self._ready = False

    def _control_command(self) -> list[str]:
        options = self._options
        command = [sys.executable, "-m", "pointsman.control"]
        if options.config is not None:
            command += ["--config", str(options.config)]
        command += ["--data-dir", str(options.data_dir), "--admin-host", options.admin_host]
        command += ["--admin-port", str(options.admin_port), "--watch" if options.watch else "--no-watch"]
        return command

    def _worker_command(self, index: int, fd: int) -> list[str]:
        command = [sys.executable, "-m", "pointsman.gateway", "--data-dir", str(self._options.data_dir)]
        command += ["--listen-fd", str(fd), "--index", str(index), "--grace", str(self._options.grace)]
        if self._options.pin:
            # The first core is left to whatever else there is, the control process included, for as long as it can be.
            cores = sorted(os.sched_getaffinity(0))
            command += ["--core", str(cores[(index + 1) % len(cores)])]
        return command

    def run(self) -> int:
        """Run until a signal or a fatal end of a child. Gives the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for status in self._places.workers.glob("*.json"):
            status.unlink(missing_ok=True)
        children = [self._control, *self._workers]
        for child in children:
            child.start()
        code = 0
        while not self._stopping:
            for child in children:
                ended = child.look(say)
                if ended is not None:
                    code = ended
                    self._stopping = True
            if not self._ready:
                self._announce()
            time.sleep(POLL_SECONDS)
        self._end(children)
        return code

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _announce(self) -> None:
        """Say so, once, when every worker serves a revision."""
        revisions = set()
        for index in range(len(self._workers)):
            try:
                text = (self._places.workers / f"w{index}.json").read_bytes()
                revisions.add(msgspec.json.decode(text, type=WorkerStatus).revision)
            except (OSError, msgspec.MsgspecError):
                return
        if 0 in revisions:
            return
        self._ready = True
        options = self._options
        say(
            f"ready: gateway http://{_shown(options.host, self._port)}/v1, "
            f"admin http://{_shown(options.admin_host, options.admin_port)}, revision {max(revisions)}, "
            f"{len(self._workers)} worker{'s' if len(self._workers) > 1 else ''}, data in {options.data_dir}"
        )

    def _end(self, children: list[Child]) -> None:
        """Gateways first, so that the control process still stores their last records.

        The port is let go at once: a connection that nobody will take should be refused, not left waiting.
        """
        for listener in self._listeners:
            listener.close()
        deadline = time.monotonic() + self._options.grace + 5.0
        for group in (self._workers, [self._control]):
            for child in group:
                child.signal(signal.SIGTERM)
            for child in group:
                if not child.wait(deadline - time.monotonic()):
                    say(f"{child.name} did not end in time; killing it")
                    child.signal(signal.SIGKILL)
                    child.wait(5.0)


def _check(options: Options) -> None:
    """Refuse what cannot be used before anything is started. Raises ServeError."""
    if options.workers < 1:
        raise ServeError("--workers takes a whole number above 0.")
    for name, port in (("--port", options.port), ("--admin-port", options.admin_port)):
        if not 0 <= port <= 65535:
            raise ServeError(f"{name} takes a number from 0 to 65535, not {port}.")
    if not (math.isfinite(options.grace) and options.grace >= 0):
        raise ServeError("--grace takes a number of seconds, 0 or more.")
    if options.config is not None and not options.config.is_file():
        raise ServeError(f"there is no file {options.config}. `pointsman init` writes a first one.")
    try:
        settings_from(os.environ)
    except SettingError as error:
        raise ServeError(f"{error}.") from error


def serve(options: Options) -> int:
    """Serve until told to stop. Gives the exit code. Raises ServeError."""
    _check(options)
    places = Places(options.data_dir)
    os.umask(PRIVATE)
    try:
        places.make()
    except OSError as error:
        raise ServeError(f"the data directory {options.data_dir} cannot be made: {error.strerror}.") from error
    with _held(places):
        # Status files that are left here tell that the last supervisor was killed.
        patience = ORPHANS_SECONDS if any(places.workers.glob("*.json")) else 0.0
        listeners = _listen(options, patience)
        try:
            return Supervisor(options, places, listeners).run()
        finally:
            for listener in listeners:
                listener.close()
