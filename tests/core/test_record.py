"""Call records travel between versions: fields are only appended, and each side reads what the other wrote."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pointsman.core.decision import Dropped, Reason
from pointsman.core.record import Attempt, AttemptKind, CallRecord, Opened, Outcome, RouteKind
from pointsman.core.usage import Usage

FULL = CallRecord(
    call_id="c1",
    started_ns=1_800_000_000_000_000_000,
    revision=3,
    revision_hash="ab",
    worker="w0",
    key="k",
    route_kind=RouteKind.WORKFLOW,
    outcome=Outcome.INTERRUPTED,
    order=("sim:a", "sim:b"),
    dropped=(Dropped("sim:c", Reason.MISSING_TAG, "eu"),),
    attempts=(
        Attempt("sim:a", AttemptKind.PRIMARY, 5, 10, None, 503, "overloaded", "busy", cost_nano=0),
        Attempt("sim:b", AttemptKind.FALLBACK, 20, 30, 4, 200, "", "", "b-1", Usage(1, 2, 3, 4, 5, 6, 7), 99),
    ),
    usage=Usage(1, 2),
    cost_nano=None,
    cost_reason="no_price",
    traceparent="00-x",
)

encode = msgspec.msgpack.encode


def as_array(value: Any) -> list[Any]:
    """What stands on disk."""
    decoded: list[Any] = msgspec.msgpack.decode(encode(value))
    return decoded


@pytest.mark.parametrize("record", [FULL, CallRecord("c", 1, 0, "", "w")], ids=["full", "least"])
def test_what_is_written_is_read_again(record: CallRecord) -> None:
    assert msgspec.msgpack.decode(encode(record), type=CallRecord) == record
    assert msgspec.msgpack.decode(encode(Opened(record)), type=Opened) == Opened(record)


@pytest.mark.parametrize("fields", range(5, len(CallRecord.__struct_fields__)))
def test_a_record_of_an_older_version_is_read(fields: int) -> None:
    """Whatever number of fields it knew: those are kept, and the rest have their defaults."""
    read = msgspec.msgpack.decode(encode(as_array(FULL)[:fields]), type=CallRecord)
    defaults = CallRecord("c", 1, 0, "", "w")
    for index, name in enumerate(CallRecord.__struct_fields__):
        assert getattr(read, name) == getattr(FULL if index < fields else defaults, name)


def test_a_record_of_a_newer_version_is_read() -> None:
    """Fields that this version does not know are passed over, in attempts, usage and reasons too."""
    newer = as_array(FULL)
    names = CallRecord.__struct_fields__
    newer[names.index("usage")] += [8, {"a": 1}]
    for attempt in newer[names.index("attempts")]:
        attempt.append("new")
    newer[names.index("dropped")][0].append("new")
    newer += ["new", 5, {"more": [1]}]
    assert msgspec.msgpack.decode(encode(newer), type=CallRecord) == FULL


def test_an_attempt_of_an_older_version_is_read() -> None:
    older = as_array(FULL)
    place = CallRecord.__struct_fields__.index("attempts")
    older[place] = [attempt[:3] for attempt in older[place]]
    read = msgspec.msgpack.decode(encode(older), type=CallRecord)
    assert [attempt.target for attempt in read.attempts] == ["sim:a", "sim:b"]


FIRST_FIELDS = ("call_id", "started_ns", "revision", "revision_hash", "worker", "key", "team", "endpoint", "requested")


def test_fields_keep_their_places() -> None:
    """A field that moves would be read as another by a process of the other version."""
    assert CallRecord.__struct_fields__[: len(FIRST_FIELDS)] == FIRST_FIELDS
    assert CallRecord.__struct_fields__[-2:] == ("task", "traceparent")
    assert Attempt.__struct_fields__[:4] == ("target", "kind", "started_us", "duration_us")
    assert Usage.__struct_fields__ == (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "audio_input_tokens",
        "audio_output_tokens",
    )


def test_a_record_cut_below_what_every_version_had_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(encode(as_array(FULL)[:4]), type=CallRecord)
