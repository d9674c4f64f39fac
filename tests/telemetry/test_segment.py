"""Reading segments that grow, are cut off, or are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.telemetry.segment import Rest, SegmentName, list_segments, next_frame, read_piece, split_frames
from pointsman.telemetry.spool import SpoolWriter
from tests.store.making import record


@pytest.fixture
def segment(tmp_path: Path) -> bytes:
    writer = SpoolWriter(tmp_path, "w1")
    for n in range(3):
        writer.call(record(n))
    writer.close()
    return (tmp_path / "w1-000001.spool").read_bytes()


def test_every_cut_gives_the_whole_frames_before_it(segment: bytes) -> None:
    ends = [end for _, end in split_frames(segment, 10).frames]
    for cut in range(len(segment) + 1):
        split = split_frames(segment[:cut], 10)
        assert [end for _, end in split.frames] == [end for end in ends if end <= cut]
        assert split.rest is (Rest.NOTHING if cut in (0, *ends) else Rest.UNFINISHED)


def test_every_damaged_byte_is_noticed_and_the_next_frame_is_found(segment: bytes) -> None:
    first, second, _ = (end for _, end in split_frames(segment, 10).frames)
    for position in range(first, second, 7):
        damaged = segment[:position] + bytes([segment[position] ^ 0xFF]) + segment[position + 1 :]
        split = split_frames(damaged, 10)
        assert split.end == first
        # A damaged length may claim more than there is: that looks unfinished until the segment is known to be.
        assert split.rest is not Rest.NOTHING
        assert next_frame(damaged[first:]) == second - first


def test_nothing_is_found_in_noise() -> None:
    assert next_frame(b"\0" * 300) is None
    assert next_frame(b"CO" * 300) is None
    assert next_frame(b"") is None


def test_a_limit_leaves_the_rest_for_later(segment: bytes) -> None:
    assert len(split_frames(segment, 2).frames) == 2


def test_segments_are_listed_in_the_order_of_their_writers(tmp_path: Path) -> None:
    for name in ("b-000002.spool", "a-1-000010.spool", "a-1-000009.spool", "b-000001.spool", "x.new", "bad"):
        (tmp_path / name).touch()
    assert list_segments(tmp_path) == [
        SegmentName("a-1", 9, "a-1-000009.spool"),
        SegmentName("a-1", 10, "a-1-000010.spool"),
        SegmentName("b", 1, "b-000001.spool"),
        SegmentName("b", 2, "b-000002.spool"),
    ]


def test_a_piece_comes_with_the_length_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    assert read_piece(tmp_path / "f", 2, 3) == (b"234", 10)
    assert read_piece(tmp_path / "f", 10, 3) == (b"", 10)
