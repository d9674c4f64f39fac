"""Records and stores for the tests of the control side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from pointsman.core.decision import Dropped, Reason
from pointsman.core.record import Attempt, AttemptKind, CallRecord, Outcome, RouteKind
from pointsman.core.usage import Usage
from pointsman.store.migrate import migrate
from pointsman.store.store import Store, connect

START_NS = 1_780_000_000_000_000_000
PREMIUM = "openai:gpt-4o-2024-08-06"
ECONOMY = "openai:gpt-4o-mini-2024-07-18"


def record(n: int = 0, **fields: Any) -> CallRecord:
    """The record of a good call, the `n`-th millisecond after START_NS."""
    made = CallRecord(
        call_id=f"call-{n:08d}",
        started_ns=START_NS + n * 1_000_000,
        revision=3,
        revision_hash="ab" * 32,
        worker="w1",
        key="support-bot",
        team="support",
        endpoint="/v1/chat/completions",
        requested="support-answer",
        route_kind=RouteKind.WORKFLOW,
        workflow="support-answer",
        policy="regulated-final",
        target=PREMIUM,
        reported_model="gpt-4o-2024-08-06",
        status=200,
        need_input_tokens=200,
        order=(PREMIUM,),
        dropped=(Dropped(ECONOMY, Reason.MISSING_TAG, "regulated-ok"),),
        attempts=(Attempt(PREMIUM, AttemptKind.PRIMARY, 50, 1000, None, 200, usage=Usage(200, 100), cost_nano=12345),),
        usage=Usage(200, 100, cache_read_tokens=10, reasoning_tokens=5),
        cost_nano=12345,
        duration_us=1100,
        finish_reason="stop",
    )
    return msgspec.structs.replace(made, **fields) if fields else made


def refused(n: int, requested: str = "gtp-4o") -> CallRecord:
    """A call for a name that nobody registered."""
    return record(
        n,
        requested=requested,
        route_kind=RouteKind.UNKNOWN,
        workflow="",
        policy="",
        target="",
        reported_model="",
        outcome=Outcome.REFUSED,
        status=404,
        error="model_not_found",
        order=(),
        dropped=(),
        attempts=(),
        usage=None,
        cost_nano=0,
        finish_reason="",
    )


def new_store(folder: Path) -> Store:
    """A migrated store in `folder`."""
    store = connect(folder / "pointsman.db")
    migrate(store)
    return store
