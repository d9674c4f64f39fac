"""Streams: as they come, byte for byte, and no faster than the caller reads."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import openai
import pytest

from pointsman.core.record import Outcome
from pointsman.testing.simulator import Settings, SimulatorThread
from tests.gateway import scripted as s
from tests.gateway.registry import cost, document, provider, target
from tests.gateway.wire import KEY, Caller, ask, calling, chat, elapsed, events, request, said
from tests.gateway.worker import Worker, until, worker

CUTS = ["event", "byte", "random", "random,seed=7", "utf8", "pack,n=2", "pack,n=7", "whole", "wire", "wire,seed=3"]
FRAMINGS = ["chunked", "close"]
LARGE = 400
"""Pieces of 100 kB that the large stream has."""


def large(connection: socket.socket, _: bytes) -> None:
    connection.sendall(s.STREAM_HEAD)
    piece = s.chunk(s.event("x" * 100_000))
    for _number in range(LARGE):
        connection.sendall(piece)
    connection.sendall(s.chunk(s.event(finish="stop")) + s.chunk(s.DONE) + s.LAST_CHUNK)


def late_usage(connection: socket.socket, _: bytes) -> None:
    """Usage comes well after the finish reason."""
    connection.sendall(s.STREAM_HEAD + s.chunk(s.event("a")) + s.chunk(s.event(finish="stop")))
    time.sleep(0.6)
    connection.sendall(s.chunk(usage_event()) + s.chunk(s.DONE) + s.LAST_CHUNK)


def never_closing(connection: socket.socket, _: bytes) -> None:
    """Everything is said, and the end is not told."""
    connection.sendall(s.STREAM_HEAD)
    for part in (s.event("a"), s.event(finish="stop"), usage_event(), s.DONE):
        connection.sendall(s.chunk(part))
    connection.recv(1)


def two_choices(connection: socket.socket, _: bytes) -> None:
    """One choice has finished long before the other begins."""
    connection.sendall(s.STREAM_HEAD)
    for index in (0, 1):
        for content, finish in (("a", None), ("b", None), (None, "stop")):
            time.sleep(0.35)
            delta = {"content": content} if content else {}
            choices = [{"index": index, "delta": delta, "finish_reason": finish}]
            connection.sendall(s.chunk(b"data: " + msgspec.json.encode({"model": "m", "choices": choices}) + b"\n\n"))
    connection.sendall(s.chunk(usage_event()) + s.chunk(s.DONE) + s.LAST_CHUNK)


def usage_event() -> bytes:
    return b"data: " + msgspec.json.encode({"model": "m", "choices": [], "usage": s.USAGE}) + b"\n\n"


ODDITIES = (
    b": a comment\n\n",
    b"event: ping\ndata: {}\n\n",
    b"id: 7\nretry: 10\n\n",
    s.event("a", vendor_extra={"x": [1, 2.50, None]}),
    b'data: {"model": "m", "choices": [{"index": 0, "delta": {"content": "\\u00e9\xc3\xa9\xf0\x9f\x9a\x82"}}]}\n\n',
    b'data:{"model":"m","choices":[{"index":0,"delta":{"content":"no space"}}]}\n\n',
    b'data: {"model":"m",\ndata: "choices":[{"index":0,"delta":{"content":"two lines"}}]}\n\n',
    b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"\\"usage\\":null \\"error\\" [DONE] data: "}}]}\n\n',
    b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"crlf"}}]}\r\n\r\n',
    b'data: {"model":"m","choices":[{"index":0,"delta":{}, "finish_reason": "stop"}]}\n\n',
    s.DONE,
)
SCRIPTS: dict[str, s.Script] = {
    "large": large,
    "late-usage": late_usage,
    "never-closing": never_closing,
    "two-choices": two_choices,
    "odd": s.streaming(*ODDITIES),
    "spaced": s.streaming(s.event("a"), ODDITIES[-2], s.DONE),
    "unasked-usage": s.streaming(s.event("a", usage=None), s.event(finish="stop", usage=None), usage_event(), s.DONE),
}


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(settings=Settings(name="Zürich 東京", tokens=50)) as running:
        yield running


@pytest.fixture(scope="module")
def upstream() -> Iterator[s.Scripted]:
    with s.scripted(SCRIPTS) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(sim: SimulatorThread, upstream: s.Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    faults = {f"cut-{place}": f"cut:{cut}" for place, cut in enumerate(CUTS)}
    faults |= {f"framing-{mode}": f"framing:{mode}" for mode in FRAMINGS}
    faults |= {"comments": "preamble:comments,count=5", "blank": "preamble:whitespace,count=5"}
    faults |= {"paced": "token_delay:10ms", "plain": "", "no-usage": "no_usage"}
    parts = document(
        provider("sim", sim.base_url),
        provider("raw", upstream.base_url),
        provider("bare", sim.base_url, stream_usage=False),
        provider("bare-raw", upstream.base_url, stream_usage=False),
        *(target(f"sim:{name}", f"gpt-x#{fault}" if fault else "gpt-x") for name, fault in faults.items()),
        *(target(f"raw:{name}") for name in SCRIPTS),
        target("bare:plain", "gpt-x"),
        target("bare-raw:odd", "odd"),
    )
    with worker(tmp_path_factory.mktemp("streams"), parts) as running:
        yield running
        running.assert_sound()


ASKED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
SAME = [*(f"cut-{place}" for place in range(len(CUTS))), *(f"framing-{mode}" for mode in FRAMINGS), "comments", "blank"]


@pytest.mark.parametrize("name", SAME)
def test_a_stream_passes_byte_for_byte_however_it_is_cut(gateway: Worker, sim: SimulatorThread, name: str) -> None:
    body = chat("x", "Grüße “東京” ✓", **ASKED)
    reply = gateway.ask({**body, "model": f"sim:{name}"})
    plain = ask(sim.port, {**body, "model": "gpt-x"})
    # The simulator's id is made of the request's bytes, and its clock may have turned.
    assert unstamped(reply.body).replace(b": keep-alive\n\n", b"").lstrip() == unstamped(plain.body)
    record = gateway.record(reply.call_id)
    used = events(plain.body)[-2]["usage"]
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens) == (used["prompt_tokens"], 50)
    assert record.cost_nano == cost(used["prompt_tokens"], 50)
    assert (record.outcome, record.finish_reason) == (Outcome.OK, "stop")


def unstamped(stream: bytes) -> bytes:
    return re.sub(rb'"(id|created)":("[^"]*"|\d+)', b'"\\1":0', stream)


def test_keep_alive_comments_survive(gateway: Worker) -> None:
    reply = gateway.ask(chat("sim:comments", stream=True))
    assert reply.body.startswith(b": keep-alive\n\n" * 5)


def test_odd_but_valid_events_pass_untouched(gateway: Worker) -> None:
    reply = gateway.ask(chat("bare-raw:odd", **ASKED))
    assert reply.body == b"".join(ODDITIES)
    record = gateway.record(reply.call_id)
    assert (record.outcome, record.finish_reason) == (Outcome.OK, "stop")


def test_a_finish_reason_is_seen_however_the_json_is_spaced(gateway: Worker) -> None:
    assert gateway.record(gateway.ask(chat("raw:spaced", stream=True)).call_id).finish_reason == "stop"


def test_fifty_pieces_arrive_as_they_are_made(gateway: Worker) -> None:
    moments = []
    with calling(gateway.port) as caller:
        caller.send(request(chat("sim:paced", stream=True)))
        caller.head()
        for _ in caller.chunks():
            moments.append(time.monotonic())
    assert len(moments) >= 45
    assert moments[-1] - moments[0] > 0.4, "they were held back"


def test_usage_is_asked_for_and_hidden_from_a_caller_that_did_not(gateway: Worker, sim: SimulatorThread) -> None:
    reply = gateway.ask(chat("sim:plain", "hidden usage", stream=True))
    sent = next(r for r in reversed(sim.requests) if b"hidden usage" in r.body)
    assert sent.json["stream_options"] == {"include_usage": True}
    assert b'"usage"' not in reply.body
    assert all(part == "[DONE]" or part["choices"] for part in events(reply.body))
    record = gateway.record(reply.call_id)
    assert record.usage is not None
    assert record.usage.output_tokens == 50


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_obfuscation": False}])
def test_what_a_caller_says_about_the_stream_stays(
    gateway: Worker, sim: SimulatorThread, options: dict[str, bool] | None
) -> None:
    text = f"options {options}"
    reply = gateway.ask(chat("sim:plain", text, stream=True, stream_options=options))
    sent = next(r for r in reversed(sim.requests) if text.encode() in r.body)
    assert sent.json["stream_options"] == {**(options or {}), "include_usage": True}
    assert b'"usage"' not in reply.body


def test_a_caller_that_asks_for_usage_gets_it(gateway: Worker) -> None:
    last = events(gateway.ask(chat("sim:plain", **ASKED)).body)[-2]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 50


def test_a_provider_that_knows_no_usage_option_is_not_asked(gateway: Worker, sim: SimulatorThread) -> None:
    reply = gateway.ask(chat("bare:plain", "bare usage", stream=True))
    sent = next(r for r in reversed(sim.requests) if b"bare usage" in r.body)
    assert "stream_options" not in sent.json
    record = gateway.record(reply.call_id)
    assert (record.outcome, record.usage, record.cost_nano, record.cost_reason) == (Outcome.OK, None, None, "no_usage")


def test_a_stream_without_usage_has_no_cost_and_not_zero(gateway: Worker) -> None:
    record = gateway.record(gateway.ask(chat("sim:no-usage", stream=True)).call_id)
    assert (record.outcome, record.cost_nano, record.cost_reason) == (Outcome.OK, None, "no_usage")


def test_nothing_is_injected_where_there_is_no_stream(gateway: Worker, sim: SimulatorThread) -> None:
    body = chat("sim:plain", "untouched", unknown={"a": [1.50, None]}, seed=12345678901234567890)
    gateway.ask(body)
    sent = next(r for r in reversed(sim.requests) if b"untouched" in r.body)
    assert sent.body == msgspec.json.encode({**body, "model": "gpt-x"})
    assert b"x-pointsman" not in msgspec.json.encode(sent.headers)


def test_usage_that_lags_behind_the_finish_reason_is_waited_for(gateway: Worker) -> None:
    reply = gateway.ask(chat("raw:late-usage", stream=True))
    record = gateway.record(reply.call_id)
    assert record.cost_nano == cost(10, 5)
    assert events(reply.body)[-1] == "[DONE]"


def test_a_stream_that_has_said_its_last_word_is_not_waited_for(gateway: Worker) -> None:
    since = time.monotonic()
    reply = gateway.ask(chat("raw:never-closing", stream=True))
    assert elapsed(since) < 2.0
    record = gateway.record(reply.call_id)
    assert (record.outcome, record.cost_nano) == (Outcome.OK, cost(10, 5))
    assert events(reply.body)[-1] == "[DONE]"


def test_one_of_several_choices_may_finish_long_before_the_others(gateway: Worker) -> None:
    since = time.monotonic()
    moments = []
    with calling(gateway.port) as caller:
        caller.send(request(chat("raw:two-choices", stream=True, n=2)))
        _, headers = caller.head()
        body = b""
        for piece in caller.chunks():
            body += piece
            moments.append(elapsed(since))
    deltas = [part["choices"][0] for part in events(body)[:-1]]
    assert [(d["index"], d["delta"].get("content")) for d in deltas] == [
        (0, "a"), (0, "b"), (0, None), (1, "a"), (1, "b"), (1, None),
    ]  # fmt: skip
    assert gateway.record(headers["x-pointsman-call-id"]).cost_nano == cost(10, 5)
    assert len([m for m in moments if m < moments[-1] - 0.25]) >= 3, "the second choice was held back"


def test_a_caller_that_does_not_read_is_waited_for_and_not_buffered_for(gateway: Worker) -> None:
    before = gateway.rss()
    with calling(gateway.port, receive_buffer=4096) as caller:
        caller.send(request(chat("raw:large", stream=True)))
        time.sleep(0.7)
        grown = gateway.rss() - before
        assert grown < (24 << 20), f"{grown} bytes more for a stream of {LARGE * 100_000}"
        assert gateway.metric("pointsman_in_flight") == 1
        received = drain(caller)
    assert received > LARGE * 100_000
    until(lambda: gateway.metric("pointsman_in_flight") == 0)


def drain(caller: Caller) -> int:
    caller.head()
    total, rest = 0, b""
    while not rest.endswith(b"0\r\n\r\n"):
        caller.rest = b""
        data = caller.receive()
        assert data
        total += len(data)
        rest = (rest + data)[-16:]
    return total


def test_the_sdk_streams_and_sees_what_a_direct_call_would_show(gateway: Worker, sim: SimulatorThread) -> None:
    def text(base_url: str, model: str) -> str:
        with openai.OpenAI(base_url=base_url, api_key=KEY) as client:
            stream = client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "SDK"}], stream=True
            )
            return "".join(part.choices[0].delta.content or "" for part in stream)

    assert text(f"{gateway.url}/v1", "sim:cut-4") == text(sim.base_url, "gpt-x")


def test_tool_calls_keep_their_indices_and_ids(gateway: Worker, sim: SimulatorThread) -> None:
    tool = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}
    body = chat("x", "please lookup", tools=[tool], **ASKED)
    through = gateway.ask({**body, "model": "sim:cut-1"})
    direct = ask(sim.port, {**body, "model": "gpt-x"})
    assert unstamped(through.body).count(b"tool_calls") == unstamped(direct.body).count(b"tool_calls") > 1
    calls = [p["choices"][0]["delta"].get("tool_calls") for p in events(through.body)[:-2]]
    assert calls == [p["choices"][0]["delta"].get("tool_calls") for p in events(direct.body)[:-2]]
    assert gateway.record(through.call_id).finish_reason == "tool_calls"
    assert said(events(through.body)) == ""
