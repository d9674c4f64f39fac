"""The simulator as a program: serve until a signal says stop."""

import asyncio
import signal
from collections.abc import Callable

from pointsman.testing.simulator.server import Simulator
from pointsman.testing.simulator.settings import Settings


async def serve_simulator(settings: Settings, announce: Callable[[str], None] = print) -> None:
    """Serve until SIGINT or SIGTERM; `announce` gets one line when connections are taken.

    Raises OSError when a port is taken, FaultError and RecordingError for settings that cannot be met.
    """
    simulator = Simulator(settings=settings)
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()
    async with simulator:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked_to_stop.set)
        library = simulator.provider.library
        replays = f", {len(library.by_id)} recordings" if library is not None else ""
        steered = f", control at {simulator.control_url}/_sim" if simulator.has_control_port else ""
        announce(f"simulated provider {settings.name} ready at {simulator.base_url}{steered}{replays}")
        await asked_to_stop.wait()
