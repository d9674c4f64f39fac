"""Real provider traffic, where this machine has it: one recorded HTTP exchange at a time."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.house.source import ROOT

FOLDER = ROOT.parent / "shared" / "recordings"


class Exchange(msgspec.Struct):
    """A recorded answer and what it answers."""

    id: str
    shape: str | None
    provider: str
    status: int
    request: Any = None
    response_text: str | None = None
    streaming: bool = False
    stream_ends: bool | None = None
    stream_error: Any = None

    @property
    def body(self) -> bytes:
        """The answer's bytes."""
        return (self.response_text or "").encode()


_DECODE = msgspec.json.Decoder(Exchange)


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        yield from lines


@cache
def _all() -> tuple[Exchange, ...]:
    paths = sorted(FOLDER.glob("*.jsonl*"))
    wanted = (b'"openai_chat"', b'"openai_embeddings"')
    return tuple(
        _DECODE.decode(line) for path in paths for line in _lines(path) if any(shape in line for shape in wanted)
    )


def recorded(shape: str, *, streaming: bool = False, ok: bool = True) -> list[Exchange]:
    """Recorded exchanges of one wire format: answers of status 200, or errors. Skips the test where there are none."""
    if not FOLDER.is_dir():
        pytest.skip("no recordings of provider traffic on this machine (../shared/recordings)")
    found = [e for e in _all() if e.shape == shape and e.streaming is streaming and (e.status == 200) is ok]
    assert found
    return found
