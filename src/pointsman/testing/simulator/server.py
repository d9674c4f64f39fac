"""The simulated provider as a server that can be steered while it runs."""

import asyncio
import functools
import itertools
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pointsman.testing.simulator import control
from pointsman.testing.simulator.answer import Answer, Call, Delivery
from pointsman.testing.simulator.behaviour import Behaviour, FaultError, parse_faults
from pointsman.testing.simulator.connection import Connection
from pointsman.testing.simulator.errors import error_answer
from pointsman.testing.simulator.fault import Fault
from pointsman.testing.simulator.faults_wire import Down, Flapping
from pointsman.testing.simulator.listener import Listener
from pointsman.testing.simulator.provider import Provider
from pointsman.testing.simulator.requests import RecordedRequest
from pointsman.testing.simulator.settings import Settings
from pointsman.testing.simulator.steps import Step, steps


class Simulator:
    """A provider that speaks the real wire and misbehaves on demand.

    Use as an async context manager: `async with Simulator("latency:50ms", settings=Settings(name="premium")) as sim`.
    `requests` holds the latest requests (`Settings.keep` of them), `count` all of them. Everything here belongs to
    the event loop it runs on; from other threads use `SimulatorThread`.
    """

    def __init__(self, *faults: Fault | str, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.provider = Provider(self.settings)
        self.behaviour = Behaviour((*self.settings.faults, *faults), seed=self.settings.seed)
        self.requests: deque[RecordedRequest] = deque(maxlen=self.settings.keep)
        self.connections: set[Connection] = set()
        self.count = 0
        self._numbers = itertools.count(1)
        self._listener = Listener(self.settings.host, self.settings.port, functools.partial(self._accept, False))
        self._control = Listener(
            self.settings.host, self.settings.control_port or 0, functools.partial(self._accept, True)
        )

    def _accept(self, control_only: bool) -> Connection:
        return Connection(self, next(self._numbers), control=control_only)

    # -- life

    async def __aenter__(self) -> Self:
        """Start listening."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and drop all connections."""
        await self.stop()

    async def start(self) -> None:
        """Bind and listen. Raises OSError when a port is taken."""
        self._listener.up()
        await self._listener.ready()
        if self.has_control_port:
            self._control.up()
            await self._control.ready()
        self._apply_to_listener()

    async def stop(self) -> None:
        """Close the listeners and reset what is open."""
        self._listener.stop()
        self._control.stop()
        for connection in list(self.connections):
            connection.reset()
        # Closing takes turns of the loop; wait for it, or the transports outlive their loop.
        for _ in range(100):
            if not self.connections:
                break
            await asyncio.sleep(0.001)

    @property
    def port(self) -> int:
        """The port of the provider."""
        return self._listener.port

    @property
    def url(self) -> str:
        """The root, without `/v1`."""
        return f"http://{self.settings.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"

    @property
    def control_url(self) -> str:
        """The root under which `/_sim/…` is always reachable."""
        return f"http://{self.settings.host}:{self._control.port}" if self.has_control_port else self.url

    @property
    def has_control_port(self) -> bool:
        """Whether there is a second listener for control."""
        return self.settings.control_port is not None

    @property
    def is_up(self) -> bool:
        """Whether the provider takes connections."""
        return self._listener.is_up

    # -- steering

    def behave(self, *faults: Fault | str) -> None:
        """Put these faults in force instead of all others; none means to behave well. Raises FaultError."""
        self.behaviour.set(faults)
        self._apply_to_listener()

    def replay(self, recording: str | None) -> None:
        """Answer everything with that recording from now on; None goes back to looking it up by request."""
        self.provider.pinned = recording

    def forget(self) -> None:
        """Forget all requests seen so far; recordings and faults count anew."""
        self.requests.clear()
        self.count = 0
        self.behaviour.recount()
        if self.provider.library is not None:
            self.provider.library.rewind()

    def up(self) -> None:
        """Take connections (again, on the same port)."""
        self._listener.steady()
        self._listener.up()

    def down(self, seconds: float = 0.0) -> None:
        """Refuse new connections and reset the open ones, for so many seconds or (0) until told otherwise."""
        self._listener.steady()
        self._fall()
        if seconds:
            self._listener.up_after(seconds)

    def _fall(self) -> None:
        self._listener.down()
        for connection in list(self.connections):
            if not connection.control:
                connection.reset()

    def _apply_to_listener(self) -> None:
        self._listener.steady()
        match self.behaviour.listener:
            case Down(seconds=seconds):
                self.down(seconds)
            case Flapping() as flapping:
                self._listener.flap(flapping, self._fall)
            case None:
                self._listener.up()

    # -- one request

    def begin(self, call: Call, *, connection: Connection, keep_alive: bool) -> tuple[Iterator[Step], RecordedRequest]:
        """Decide on one request: what to do on its socket, and its record."""
        record = RecordedRequest.of(call, number=self.count + 1, connection=connection.number, now=time.monotonic())
        chunks_allowed = not call.http_1_0
        if connection.control or call.path.startswith("/_sim/"):
            answer = control.answer(self, call, from_control_port=connection.control)
            return steps(answer, Delivery(), keep_alive=keep_alive, chunks_allowed=chunks_allowed), record
        self.count += 1
        self.requests.append(record)
        answer, delivery = self._decide(call, record)
        record.status = answer.status
        if delivery.down_for is not None:
            asyncio.get_running_loop().call_soon(self.down, delivery.down_for)
        return steps(answer, delivery, keep_alive=keep_alive, chunks_allowed=chunks_allowed), record

    def _decide(self, call: Call, record: RecordedRequest) -> tuple[Answer, Delivery]:
        suffix = self.provider.read(call)
        faults = self.behaviour.choose(call)
        wanted = call.headers.get("x-sim-fault")
        delivery = Delivery()
        if suffix or wanted:
            try:
                faults += [self._for_one(fault) for text in (suffix, wanted) for fault in parse_faults(text or "")]
            except FaultError as error:
                return error_answer(400, str(error), code="unknown_fault"), delivery
        answer = self.provider.answer(call)
        for fault in faults:
            answer = fault.change_answer(answer, call)
            fault.change_delivery(delivery)
        record.faults = [fault.name for fault in faults]
        return answer, delivery

    def _for_one(self, fault: Fault) -> Fault:
        if isinstance(fault, Flapping):
            raise FaultError("flapping is not for a single request; put it in force at start or over /_sim/behaviour")
        if isinstance(fault, Down) and not fault.seconds and not self.has_control_port:
            raise FaultError(
                "down without a time could not be undone from outside; write down:5s, or add a control port"
            )
        return fault
