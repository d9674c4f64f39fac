"""Events come out whole, however their bytes came in."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.dialects import sse
from pointsman.dialects.sse import EventSplitter, EventTooLongError, event_data

pieces = st.sampled_from(
    [
        b"data: a\n\n",
        b"data: b\r\n\r\n",
        b": c\n\n",
        b"event: e\ndata: {}\n\n",
        b"\n",
        b"\r\n",
        b"x",
        b"\n\n",
        b"\r\n\r\n",
    ]
)


def split_at(data: bytes, places: list[int]) -> list[bytes]:
    """`data` cut at the given places."""
    cuts = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(cuts)]


@given(st.lists(pieces, max_size=12).map(b"".join), st.lists(st.integers(0, 120), max_size=12))
def test_events_are_the_same_for_every_cut(stream: bytes, places: list[int]) -> None:
    whole = EventSplitter()
    expected = whole.split(stream)
    cut = EventSplitter()
    events = [event for piece in split_at(stream, places) for event in cut.split(piece)]
    assert events == expected
    assert cut.tail == whole.tail
    assert b"".join(events) + cut.tail == stream
    assert all(event.endswith((b"\n\n", b"\n\r\n")) for event in events)
    assert all(b"\n\n" not in event[:-2] and b"\n\r\n" not in event[:-3] for event in events)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"data:  x\n\n", b" x"),
        (b"data: x\r\n\r\n", b"x"),
        (b"event: e\ndata: x\nid: 1\n\n", b"x"),
        (b"event: e\r\ndata: x\r\n\r\n", b"x"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data\n\n", b""),
        (b"data:\n\n", b""),
        (b": comment\n\n", b""),
        (b": data: x\n\n", b""),
        (b"event: ping\n\n", b""),
        (b"\ndata: x\n\n", b"x"),
        (b"retry: 5\n\n", b""),
        (b"\n\n", b""),
        (b"data: [DONE]\n\n", b"[DONE]"),
        (b"data: caf\xc3\xa9 \x0b\x85\n\n", b"caf\xc3\xa9 \x0b\x85"),
    ],
)
def test_data_of_an_event(event: bytes, data: bytes) -> None:
    assert event_data(event) == data


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT", 1000)
    splitter = EventSplitter()
    splitter.split(b"data: " + b"x" * 900)
    with pytest.raises(EventTooLongError, match="1000 bytes"):
        splitter.split(b"x" * 100)


def test_many_events_in_one_piece_are_split_in_one_pass() -> None:
    """Looking for CRLF to the end of the piece for every event would be quadratic: seconds for this one."""
    stream = b"data: 12345678901234567890\n\n" * 60_000
    start = time.perf_counter()
    assert len(EventSplitter().split(stream)) == 60_000
    assert time.perf_counter() - start < 0.5


def test_one_long_event_in_small_pieces_is_not_searched_again_and_again() -> None:
    splitter = EventSplitter()
    start = time.perf_counter()
    for _ in range(500):
        splitter.split(b"x" * 4096)
    assert splitter.split(b"\n\n") == [b"x" * 4096 * 500 + b"\n\n"]
    assert time.perf_counter() - start < 1.0
