"""The parts of a running control process, as the admin API uses them."""

from __future__ import annotations

import msgspec

from pointsman.control.config_file import ConfigFile
from pointsman.control.publish import Publisher
from pointsman.control.registry import CurrentRegistry
from pointsman.core.places import Places
from pointsman.store.store import Store
from pointsman.telemetry.ingest import Ingest


class Control(msgspec.Struct, frozen=True):
    """Everything that lives as long as the process does."""

    places: Places
    store: Store
    publisher: Publisher
    ingest: Ingest
    registry: CurrentRegistry
    config: ConfigFile | None = None
