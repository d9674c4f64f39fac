"""Recorded answers, found again by what was asked."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pointsman.testing.simulator import sse
from pointsman.testing.simulator.answer import Answer, Call, Kind
from pointsman.testing.simulator.settings import Match

# A further wire format is a line here and a path in `provider.kind_of`.
SHAPES: dict[str, Kind] = {"openai_chat": "chat", "openai_embeddings": "embeddings"}
# What belongs to the connection, not to the answer, is written anew.
_NOT_SENT = ("content-length", "transfer-encoding", "content-encoding", "connection")


class RecordingError(ValueError):
    """A directory of recordings that cannot be read."""


class Recording(msgspec.Struct):
    """One recorded exchange; fields that replay does not need are skipped."""

    id: str
    shape: str | None = None
    method: str | None = None
    path: str | None = None
    request: msgspec.Raw = msgspec.Raw(b"null")
    status: int | None = None
    response_headers: dict[str, str] | None = None
    response_text: str | None = None
    streaming: bool = False

    def answer(self) -> Answer:
        """The recorded answer; a stream becomes one frame an event, every byte kept."""
        headers = [
            (name, value) for name, value in (self.response_headers or {}).items() if name.lower() not in _NOT_SENT
        ]
        headers.append(("x-sim-recording", self.id))
        text = (self.response_text or "").encode()
        if self.streaming:
            return Answer(self.status or 200, headers, events=sse.split_events(text))
        return Answer(self.status or 200, headers, text)


class Library:
    """All recordings of a directory that can be replayed over HTTP, looked up by request or by id."""

    def __init__(self, directory: Path, match: Match = "exact_then_relaxed") -> None:
        if not directory.is_dir():
            raise RecordingError(f"no directory of recordings at {directory}")
        self._match = match
        self.by_id: dict[str, Recording] = {}
        self._exact: dict[tuple[str, str, bytes], list[Recording]] = {}
        self._relaxed: dict[tuple[str, bytes], list[Recording]] = {}
        self._turns: dict[int, int] = {}
        for file in sorted([*directory.glob("*.jsonl"), *directory.glob("*.jsonl.gz")]):
            for recording in read_recordings(file):
                self._add(recording)
        if not self.by_id:
            raise RecordingError(f"no recordings of {', '.join(SHAPES)} in {directory} (*.jsonl, *.jsonl.gz)")

    def _add(self, recording: Recording) -> None:
        kind = SHAPES.get(recording.shape or "")
        request = msgspec.json.decode(recording.request) if kind is not None else None
        if kind is None or not isinstance(request, dict) or recording.response_text is None:
            return
        self.by_id[recording.id] = recording
        path = (recording.path or "").partition("?")[0]
        self._exact.setdefault((kind, path, canonical(request)), []).append(recording)
        self._relaxed.setdefault((kind, relaxed(request)), []).append(recording)

    def find(self, call: Call) -> Recording | None:
        """The recording that answers this call; several with one key take turns, in the order of the files."""
        if call.json is None:
            return None
        if self._match != "relaxed":
            found = self._exact.get((call.kind, call.path, canonical(call.json)))
            if found:
                return self._next(found)
        if self._match != "exact":
            found = self._relaxed.get((call.kind, relaxed(call.json)))
            if found:
                return self._next(found)
        return None

    def _next(self, found: list[Recording]) -> Recording:
        turn = self._turns.get(id(found), 0)
        self._turns[id(found)] = turn + 1
        return found[turn % len(found)]

    def rewind(self) -> None:
        """Let every turn begin anew."""
        self._turns.clear()


def read_recordings(file: Path) -> Iterator[Recording]:
    """All exchanges of one file, gzipped or not. Raises RecordingError with file and line."""
    decoder = msgspec.json.Decoder(Recording)
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise RecordingError(f"{file.name} line {number}: {error}") from None


def canonical(request: dict[str, Any]) -> bytes:
    """The request as JSON with sorted keys."""
    return msgspec.json.encode(request, order="sorted")


def relaxed(request: dict[str, Any]) -> bytes:
    """The same without what a gateway may change: the model's name, `stream_options`, a needless `stream: false`."""
    kept = {key: value for key, value in request.items() if key not in ("model", "stream_options")}
    if kept.get("stream") is False:
        del kept["stream"]
    return canonical(kept)
