"""A simulated provider that speaks the real wire, replays recordings or makes up answers, and fails on demand."""

from pointsman.testing.simulator.behaviour import FAULTS, FaultError, parse_fault, seconds
from pointsman.testing.simulator.fault import Fault
from pointsman.testing.simulator.faults_said import (
    Denied,
    Empty,
    ErrorBody,
    MalformedJson,
    NoUsage,
    OtherModel,
    Preamble,
    RateLimited,
    ServerError,
    StreamError,
    Truncated,
)
from pointsman.testing.simulator.faults_wire import (
    CutPackets,
    Down,
    FirstTokenLatency,
    Flapping,
    Hang,
    Latency,
    OtherFraming,
    PrematureEof,
    Reset,
    TokenDelay,
)
from pointsman.testing.simulator.replay import Library, Recording, RecordingError
from pointsman.testing.simulator.requests import RecordedRequest
from pointsman.testing.simulator.serve import serve_simulator
from pointsman.testing.simulator.server import Simulator
from pointsman.testing.simulator.settings import Settings
from pointsman.testing.simulator.thread import SimulatorThread, run_simulator_in_thread

__all__ = [
    "FAULTS",
    "CutPackets",
    "Denied",
    "Down",
    "Empty",
    "ErrorBody",
    "Fault",
    "FaultError",
    "FirstTokenLatency",
    "Flapping",
    "Hang",
    "Latency",
    "Library",
    "MalformedJson",
    "NoUsage",
    "OtherFraming",
    "OtherModel",
    "Preamble",
    "PrematureEof",
    "RateLimited",
    "RecordedRequest",
    "Recording",
    "RecordingError",
    "Reset",
    "ServerError",
    "Settings",
    "Simulator",
    "SimulatorThread",
    "StreamError",
    "TokenDelay",
    "Truncated",
    "parse_fault",
    "run_simulator_in_thread",
    "seconds",
    "serve_simulator",
]
