"""Simulated providers for the system tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pointsman.testing.simulator import Settings, SimulatorThread


@pytest.fixture(scope="module")
def slow_streams() -> Iterator[SimulatorThread]:
    """A provider whose streams take about a second and whose other answers come at once."""
    settings = Settings(name="main", tokens=20, keep=10, dimensions=8)
    with SimulatorThread("token_delay:50ms,on=stream", settings=settings) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def broken() -> Iterator[SimulatorThread]:
    """A provider that fails always."""
    with SimulatorThread("server_error:500", settings=Settings(name="broken", keep=10)) as simulator:
        yield simulator
