"""Recorded answers come back as they were recorded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pointsman.testing.simulator import Library, RecordingError, Settings, SimulatorThread
from tests.testing.wire import CHAT, send

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "recordings"
STREAM = (
    'data: {"id":"1","model":"rec","choices":[{"index":0,"delta":{"content":"Grüße"},"finish_reason":null}]}\n\n'
    'data: {"id":"1","model":"rec","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\r\n\r\n'
    "data: [DONE]\n\n"
)


def recording(name: str, request: Any, text: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "shape": "openai_chat",
        "method": "POST",
        "path": "/v1/chat/completions",
        "request": request,
        "status": 200,
        "response_headers": {"content-type": "application/json", "x-ratelimit-remaining-requests": "9"},
        "response_text": text,
        "streaming": False,
        "a_field_nobody_knows": 1,
        **more,
    }


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    plain = [
        recording("first", CHAT, '{"n": 1}'),
        recording("second", CHAT, '{"n": 2}'),
        recording("azure", {**CHAT, "n": 2}, '{"n": 3}', path="/openai/deployments/x/chat/completions?api-version=1"),
        recording("other shape", CHAT, "{}", shape="anthropic_messages"),
        recording("broken request", None, "{}"),
    ]
    packed = [
        recording("stream", {**CHAT, "stream": True}, STREAM, streaming=True, response_headers={"content-type": "x/y"}),
        recording("limited", {**CHAT, "seed": 1}, '{"error":{}}', status=429, response_headers={"retry-after": "3"}),
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, plain)), encoding="utf-8")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, packed)).encode()))
    return tmp_path


@pytest.fixture
def sim(directory: Path) -> Iterator[SimulatorThread]:
    with SimulatorThread(settings=Settings(recordings=directory, on_miss="refuse")) as running:
        yield running


def test_an_exact_request_gets_its_recordings_in_turn(sim: SimulatorThread) -> None:
    seen = [send(sim) for _ in range(3)]
    assert [answer.headers["x-sim-recording"] for answer in seen] == ["first", "second", "first"]
    assert seen[1].body == b'{"n": 2}'
    assert seen[0].headers["x-ratelimit-remaining-requests"] == "9"
    sim.forget()
    assert send(sim).headers["x-sim-recording"] == "first"


@pytest.mark.parametrize(
    "change", [{"model": "other"}, {"stream_options": {"include_usage": True}}, {"stream": False}], ids=str
)
def test_a_request_that_a_gateway_changed_is_found_all_the_same(sim: SimulatorThread, change: dict[str, Any]) -> None:
    assert send(sim, {**CHAT, **change}).headers["x-sim-recording"] == "first"


def test_exact_matching_can_be_demanded(directory: Path) -> None:
    with SimulatorThread(settings=Settings(recordings=directory, on_miss="refuse", match="exact")) as sim:
        assert send(sim).status == 200
        assert send(sim, {**CHAT, "model": "other"}).json["error"]["code"] == "no_recording"


def test_what_differs_in_substance_is_refused_or_made_up_as_told(sim: SimulatorThread, directory: Path) -> None:
    body = {**CHAT, "temperature": 1}
    assert send(sim, body).json["error"]["code"] == "no_recording"
    with SimulatorThread(settings=Settings(recordings=directory)) as generating:
        seen = send(generating, body)
        assert seen.json["object"] == "chat.completion"
        assert "x-sim-recording" not in seen.headers


def test_paths_of_other_hosts_are_served_too(sim: SimulatorThread) -> None:
    seen = send(sim, {**CHAT, "n": 2}, path="/openai/deployments/x/chat/completions?api-version=1")
    assert seen.headers["x-sim-recording"] == "azure"


@pytest.mark.parametrize("cut", ["event", "byte", "random", "utf8", "pack", "whole", "wire"])
def test_a_stream_is_replayed_byte_for_byte_however_it_is_cut(sim: SimulatorThread, cut: str) -> None:
    seen = send(sim, {**CHAT, "stream": True}, headers={"x-sim-fault": f"cut:{cut}"})
    assert seen.body == STREAM.encode()
    assert seen.headers["content-type"] == "x/y"


def test_status_and_headers_are_replayed(sim: SimulatorThread) -> None:
    seen = send(sim, {**CHAT, "seed": 1})
    assert (seen.status, seen.headers["retry-after"]) == (429, "3")


def test_one_recording_can_be_asked_for_by_its_id(sim: SimulatorThread) -> None:
    assert send(sim, headers={"x-sim-recording": "second"}).json == {"n": 2}
    assert send(sim, headers={"x-sim-recording": "nowhere"}).status == 404
    sim.replay("limited")
    assert send(sim).status == 429
    sim.replay(None)
    assert send(sim).status == 200


def test_faults_befall_recordings_too(sim: SimulatorThread) -> None:
    seen = send(sim, {**CHAT, "stream": True}, headers={"x-sim-fault": "other_model:x"})
    assert [chunk["model"] for chunk in seen.payloads] == ["x", "x"]
    assert seen.text == "Grüße"


def test_a_directory_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="nowhere"):
        Library(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match="no recordings"):
        Library(tmp_path)
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(RecordingError, match=r"bad\.jsonl line 1"):
        Library(tmp_path)


@pytest.fixture(scope="module")
def library() -> Library:
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recordings of real providers at {RECORDINGS}")
    return Library(RECORDINGS)


def test_real_recordings_come_back_byte_for_byte(library: Library) -> None:
    """Every 7th of them: unary, streams and errors of twenty hosts."""
    chosen = list(library.by_id.values())[::7]
    assert len(library.by_id) > 800
    with SimulatorThread(settings=Settings(recordings=RECORDINGS, on_miss="refuse")) as sim:
        for wanted in chosen:
            headers = {"x-sim-recording": wanted.id, "x-sim-fault": "cut:random"}
            seen = send(sim, bytes(wanted.request), path=wanted.path or "", headers=headers)
            assert seen.body == (wanted.response_text or "").encode(), wanted.id
            assert seen.status == wanted.status
            by_request = send(sim, bytes(wanted.request), path=wanted.path or "")
            found = library.by_id[by_request.headers["x-sim-recording"]]
            assert json.loads(bytes(found.request)) == json.loads(bytes(wanted.request))
