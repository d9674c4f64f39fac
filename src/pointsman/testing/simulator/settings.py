"""How a simulated provider is set up."""

from pathlib import Path
from typing import Literal

import msgspec

from pointsman.testing.simulator.fault import Fault

Match = Literal["exact", "relaxed", "exact_then_relaxed"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a simulator is started with.

    `port` 0 takes a free one; `control_port` opens the `/_sim` endpoints on a second listener that stays up when
    the first is down (0: a free port, None: none). `models` maps accepted model names to the name the answer
    reports; empty accepts any. `api_keys` are the bearer tokens accepted; empty accepts any. `tokens` is the length
    of an answer the caller did not limit, `dimensions` of an embedding. `keep` is how many requests are remembered.
    """

    host: str = "127.0.0.1"
    port: int = 0
    control_port: int | None = None
    name: str = "simulator"
    models: dict[str, str] = {}
    api_keys: tuple[str, ...] = ()
    recordings: Path | None = None
    match: Match = "exact_then_relaxed"
    on_miss: Literal["generate", "refuse"] = "generate"
    faults: tuple[Fault | str, ...] = ()
    tokens: int = 32
    dimensions: int = 1536
    seed: int = 0
    keep: int = 10_000
