"""The simulator on a thread of its own, for tests and programs that are not asynchronous."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from pointsman.testing.simulator.fault import Fault
from pointsman.testing.simulator.requests import RecordedRequest
from pointsman.testing.simulator.server import Simulator
from pointsman.testing.simulator.settings import Settings

Result = TypeVar("Result")


class SimulatorThread:
    """`with SimulatorThread("latency:50ms") as sim:`; the same names as `Simulator`, callable from any thread."""

    def __init__(self, *faults: Fault | str, settings: Settings | None = None) -> None:
        self.simulator = Simulator(*faults, settings=settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pointsman-simulator", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread and listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.simulator.start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and end the thread."""
        asyncio.run_coroutine_threadsafe(self.simulator.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def call(self, what: Callable[[], Result]) -> Result:
        """Run something on the simulator's thread and return what it returned."""

        async def on_loop() -> Result:
            return what()

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(10)

    @property
    def url(self) -> str:
        """The root, without `/v1`."""
        return self.simulator.url

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return self.simulator.base_url

    @property
    def control_url(self) -> str:
        """The root under which `/_sim/…` is always reachable."""
        return self.simulator.control_url

    @property
    def port(self) -> int:
        """The port of the provider."""
        return self.simulator.port

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests seen so far."""
        return self.call(lambda: list(self.simulator.requests))

    def behave(self, *faults: Fault | str) -> None:
        """Put these faults in force instead of all others."""
        self.call(lambda: self.simulator.behave(*faults))

    def replay(self, recording: str | None) -> None:
        """Answer everything with that recording from now on."""
        self.call(lambda: self.simulator.replay(recording))

    def forget(self) -> None:
        """Forget all requests seen so far."""
        self.call(self.simulator.forget)


@contextmanager
def run_simulator_in_thread(*faults: Fault | str, settings: Settings | None = None) -> Iterator[SimulatorThread]:
    """A running `SimulatorThread` for the length of a `with` block."""
    with SimulatorThread(*faults, settings=settings) as simulator:
        yield simulator
