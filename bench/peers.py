"""Other gateways, on request (PEERS=1): each in an environment of its own under `.bench/`."""

from __future__ import annotations

from collections.abc import Callable

from bench.rows import Bed, Row

CONTENDERS: dict[str, Callable[[Bed], Row]] = {}
