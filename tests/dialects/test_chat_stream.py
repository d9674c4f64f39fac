"""A stream is followed the same way however TCP cuts it, and passes unchanged."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core.policy import FailureKind
from pointsman.core.record import CallRecord
from pointsman.core.usage import Usage
from pointsman.dialects import openai_chat, sse
from tests.dialects.recordings import recorded

ASKED = openai_chat.read(b'{"model":"m","messages":[],"stream":true}')
BROKEN = FailureKind.SERVER_ERROR
NULL_USAGE = ',"usage":null'


class Told(msgspec.Struct):
    """What a stream has told at its end. `failure` is what its reader says of the end, or of an error inside."""

    started: bool = False
    complete: bool = False
    model: str = ""
    finish: str = ""
    usage: Usage | None = None
    failure: FailureKind | None = None


def follow(pieces: Iterable[bytes], *, hide: bool) -> tuple[bytes, Told]:
    """Feed a stream piece by piece, as the gateway does: what the client gets, and what the reader has understood."""
    reader = openai_chat.stream_reader(ASKED, hide_usage=hide)
    out = b""
    for piece in pieces:
        out += reader.feed(piece)
        if reader.failure is not None:
            break
    else:
        out += reader.rest()
    failure = reader.end()
    kind = None if failure is None else failure.kind
    told = Told(reader.started, reader.complete, reader.reported_model, reader.finish_reason, reader.usage, kind)
    return out, told


def read_plainly(stream: bytes, *, hide: bool) -> tuple[bytes, Told]:
    """The same with nothing but the standard library, one whole event after the other."""
    out, told, done = "", Told(), False
    for event in re.findall(r".*?\n\r?\n|data:[^\n]*\[DONE\]\s*\Z", stream.decode(), flags=re.DOTALL):
        lines = [line[5:].removeprefix(" ") for line in re.split(r"\r?\n", event) if line.startswith("data:")]
        data = "\n".join(lines).strip()
        done = done or data == "[DONE]"
        chunk: dict[str, Any] = json.loads(data) if data and data != "[DONE]" else {}
        choices = chunk.get("choices") or []
        if chunk.get("error"):
            return out.encode(), msgspec.structs.replace(told, complete=told.complete or done, failure=BROKEN)
        told.model = told.model or chunk.get("model") or ""
        for choice in choices:
            finish = choice.get("finish_reason") or ""
            told.finish = finish or told.finish
            said = [value for key, value in (choice.get("delta") or {}).items() if key != "role"]
            speaks = any(value not in (None, "", [], {}) for value in said)
            told.complete = bool(finish) or (told.complete and not speaks)
            told.started |= speaks or finish not in ("", "stop")
        told.complete |= done
        wire = chunk.get("usage")
        if wire is not None:
            prompt, total = wire["prompt_tokens"], wire.get("total_tokens", 0)
            told.usage = Usage(prompt, max(wire["completion_tokens"], total - prompt))
        if not (hide and wire is not None and not choices):
            out += event.replace(NULL_USAGE, "") if hide else event
    if not told.complete:
        told.failure = FailureKind.TRUNCATED
    elif not told.started:
        told.failure = FailureKind.EMPTY
    return out.encode(), told


def plain(told: Told) -> Told:
    """Without the parts of usage and the kind of an error inside, which `read_plainly` does not look into."""
    usage = None if told.usage is None else Usage(told.usage.input_tokens, told.usage.output_tokens)
    known = (None, FailureKind.TRUNCATED, FailureKind.EMPTY)
    failure = told.failure if told.failure in known else BROKEN
    return msgspec.structs.replace(told, usage=usage, failure=failure)


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = sorted({0, len(stream), *(place for place in places if 0 < place < len(stream))})
    return [stream[a:b] for a, b in pairwise(bounds)]


def by_event(stream: bytes) -> list[bytes]:
    return cut(stream, [match.end() for match in re.finditer(rb"\r?\n\r?\n", stream)])


def cuts_of(stream: bytes, rng: random.Random) -> list[list[bytes]]:
    """Whole, event by event, byte by byte (where that is bearable), two events a packet, and at random."""
    events = by_event(stream)
    found = [[stream], events, [b"".join(events[n : n + 2]) for n in range(0, len(events), 2)]]
    if len(stream) < 6_000:
        found.append([stream[n : n + 1] for n in range(len(stream))])
    return found + [cut(stream, [rng.randint(0, len(stream)) for _ in range(n)]) for n in (1, 10, 200)]


def same_for_every_cut(stream: bytes) -> Told:
    """Both ways of hiding, every kind of cut: one output, one understanding. Gives back what was understood."""
    rng = random.Random(len(stream))
    told = Told()
    for hide in (False, True):
        expected, told = follow([stream], hide=hide)
        assert (expected, plain(told)) == read_plainly(stream, hide=hide)
        if not hide and told.failure in (None, FailureKind.TRUNCATED, FailureKind.EMPTY):
            assert expected == stream
        for pieces in cuts_of(stream, rng):
            assert follow(pieces, hide=hide) == (expected, told)
    return told


def test_recorded_streams_are_the_same_for_every_cut() -> None:
    for exchange in recorded("openai_chat", streaming=True):
        told = same_for_every_cut(exchange.body)
        if exchange.stream_error:
            assert told.failure not in (None, FailureKind.TRUNCATED, FailureKind.EMPTY), exchange.id
        elif exchange.stream_ends:
            assert told.complete, exchange.id
            assert told.failure in (None, FailureKind.EMPTY), exchange.id


def chunk(delta: Any = None, finish: str | None = None, *, spaced: bool = False, **fields: Any) -> bytes:
    """One event of a stream, as OpenAI writes it."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    value = {"id": "c", "object": "chat.completion.chunk", "model": "m-1", "choices": choices, **fields}
    separators = None if spaced else (",", ":")
    return b"data: " + json.dumps(value, separators=separators, ensure_ascii=False).encode() + b"\n\n"


HELLO = chunk({"role": "assistant", "content": ""})
DONE = b"data: [DONE]\n\n"
COUNT = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
BILL = chunk(None, usage=COUNT)
STOP = chunk({}, "stop")


def word(text: str) -> bytes:
    return chunk({"content": text})


STREAMS: dict[str, tuple[bytes, Told]] = {
    "plain": (HELLO + word("a") + word("b") + STOP + DONE, Told(True, True, "m-1", "stop")),
    "with usage": (HELLO + word("a") + STOP + BILL + DONE, Told(True, True, "m-1", "stop", Usage(5, 2))),
    "usage null in every chunk": (
        chunk({"role": "assistant"}, usage=None)
        + chunk({"content": "a"}, usage=None)
        + chunk({"content": "b"}, usage=None)
        + chunk({}, "stop", usage=None)
        + BILL
        + DONE,
        Told(True, True, "m-1", "stop", Usage(5, 2)),
    ),
    "usage grows in every chunk": (
        HELLO
        + chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": 1})
        + chunk({"content": "b"}, "stop", usage=COUNT)
        + DONE,
        Told(True, True, "m-1", "stop", Usage(5, 2)),
    ),
    "usage beside the finish": (
        HELLO + word("a") + word("b") + chunk({}, "length", usage=COUNT) + DONE,
        Told(True, True, "m-1", "length", Usage(5, 2)),
    ),
    "spaces in the JSON": (
        b"".join(
            [
                chunk({"content": "a"}, spaced=True, usage=None),
                chunk({"content": "b"}, spaced=True, usage=None),
                chunk({}, "stop", spaced=True, usage=None),
                chunk(None, spaced=True, usage=COUNT),
            ]
        ),
        Told(True, True, "m-1", "stop", Usage(5, 2)),
    ),
    "tool calls": (
        HELLO
        + chunk({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": ""}}]})
        + chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"usage":null,"x":"'}}]})
        + chunk({}, "tool_calls")
        + DONE,
        Told(True, True, "m-1", "tool_calls"),
    ),
    "reasoning first": (
        HELLO + chunk({"reasoning_content": "hm", "content": None}) + word("a") + STOP + DONE,
        Told(True, True, "m-1", "stop"),
    ),
    "many alphabets": (
        HELLO + word("żółć") + word("日本語") + word("🙂👍🏽") + STOP + DONE,
        Told(True, True, "m-1", "stop"),
    ),
    "text that looks like the protocol": (
        HELLO
        + word('data: [DONE]\n\ndata: {"error":"x"}')
        + word('"usage":null,"finish_reason":"stop"')
        + word('"usage":{"prompt_tokens":1,"completion_tokens":9}')
        + word("[DONE]")
        + word("error")
        + word("usage")
        + word(',"usage":null')
        + word("\\")
        + STOP
        + DONE,
        Told(True, True, "m-1", "stop"),
    ),
    "comments, pings and other lines": (
        b": OPENROUTER PROCESSING\n\n"
        + HELLO
        + b'event: ping\ndata: {"type":"ping"}\n\n'
        + word("a")
        + b": keep-alive\n\n\n"
        + b"id: 7\nretry: 100\nevent: message\n"
        + word("b")
        + b"\n\n"
        + STOP
        + DONE,
        Told(True, True, "m-1", "stop"),
    ),
    "data in two lines": (
        HELLO + word("a") + STOP.replace(b'"choices"', b'\ndata: "choices"') + DONE,
        Told(True, True, "m-1", "stop"),
    ),
    "no space behind data:": (
        (HELLO + word("a") + STOP + BILL + DONE).replace(b"data: ", b"data:"),
        Told(True, True, "m-1", "stop", Usage(5, 2)),
    ),
    "spaces around the end": (HELLO + word("a") + b"data:  [DONE] \n\n", Told(True, True, "m-1")),
    "no [DONE]": (HELLO + word("a") + STOP, Told(True, True, "m-1", "stop")),
    "no finish reason": (HELLO + word("a") + DONE, Told(True, True, "m-1")),
    "broken off": (
        HELLO + word("a") + word("b"),
        Told(True, False, "m-1", failure=FailureKind.TRUNCATED),
    ),
    "nothing at all": (b"", Told(failure=FailureKind.TRUNCATED)),
    "nothing said": (HELLO + STOP + DONE, Told(False, True, "m-1", "stop", failure=FailureKind.EMPTY)),
    "only filtered": (
        HELLO + chunk({}, "content_filter") + DONE,
        Told(True, True, "m-1", "content_filter"),
    ),
    "the model is named late": (
        chunk({"content": "a"}, model=None) + chunk({"content": "b"}, model="") + word("c") + STOP + DONE,
        Told(True, True, "m-1", "stop"),
    ),
    "the model is named in the middle alone": (
        chunk({"content": "a"}, model=None) + word("b") + word("c") + chunk({}, "stop", model=None) + DONE,
        Told(True, True, "m-1", "stop"),
    ),
    "something follows [DONE]": (HELLO + word("a") + DONE + word("b"), Told(True, True, "m-1")),
    "another model later": (
        HELLO + word("a") + chunk({"content": "b"}, model="m-2") + STOP + DONE,
        Told(True, True, "m-1", "stop"),
    ),
    "Azure begins with its filters": (
        chunk(None, prompt_filter_results=[{"prompt_index": 0}], model="") + HELLO + word("a") + STOP + DONE,
        Told(True, True, "m-1", "stop"),
    ),
    "a choice goes on after another has finished": (
        HELLO + word("a") + STOP + chunk(None, choices=[{"index": 1, "delta": {"content": "b"}}]),
        Told(True, False, "m-1", "stop", failure=FailureKind.TRUNCATED),
    ),
    "the last line has no end": (HELLO + word("a") + DONE.strip(), Told(True, True, "m-1")),
    "two choices": (
        HELLO
        + chunk(None, choices=[{"index": 1, "delta": {"content": "b"}, "finish_reason": None}])
        + chunk(None, choices=[{"index": 1, "delta": {}, "finish_reason": "length"}])
        + STOP
        + DONE,
        Told(True, True, "m-1", "stop"),
    ),
    "an error at once": (
        b'data: {"error":{"message":"busy"}}\n\n',
        Told(failure=FailureKind.SERVER_ERROR),
    ),
    "an error in the middle": (
        HELLO + word("a") + b'event: error\ndata: {"error":{"message":"x"},"choices":[],"usage":null}\n\n' + DONE,
        Told(True, False, "m-1", failure=FailureKind.SERVER_ERROR),
    ),
}


@pytest.mark.parametrize(("stream", "expected"), STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("ends", ["lf", "crlf"])
def test_a_stream_is_the_same_for_every_cut(stream: bytes, expected: Told, ends: str) -> None:
    if ends == "crlf":
        stream = stream.replace(b"\n", b"\r\n")
    assert same_for_every_cut(stream) == expected


def test_hidden_usage_is_all_that_is_missing() -> None:
    stream = STREAMS["usage null in every chunk"][0]
    out, told = follow([stream], hide=True)
    assert out == stream.replace(BILL, b"").replace(NULL_USAGE.encode(), b"")
    assert told.usage == Usage(5, 2)


events = st.sampled_from(
    [
        HELLO,
        *(word(text) for text in ("a", "ż🙂", '"error"', "[DONE]", ',"usage":null', '"finish_reason":"x"', "\n\n")),
        chunk({"content": "n"}, usage=None),
        chunk({"content": "n"}, spaced=True, usage=None),
        chunk({"content": "u"}, usage=COUNT),
        chunk({"content": "f"}, "length", spaced=True),
        chunk({"content": "m"}, model="m-2"),
        chunk({"content": "m"}, model=None),
        BILL,
        STOP,
        DONE,
        b": comment\n\n",
        b"\n\n",
        b"event: x\ndata: {}\n\n",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=12), st.lists(st.integers(1, 2500), max_size=30), st.booleans(), st.booleans())
def test_any_stream_cut_anywhere_is_read_as_if_it_came_event_by_event(
    parts: list[bytes], places: list[int], hide: bool, crlf: bool
) -> None:
    """The quick path, which only searches, agrees with the one that parses."""
    stream = b"".join(parts).replace(b"\n", b"\r\n" if crlf else b"\n")
    expected, expected_told = read_plainly(stream, hide=hide)
    for pieces in (cut(stream, places), by_event(stream), [stream]):
        out, told = follow(pieces, hide=hide)
        assert out == expected
        assert plain(told) == expected_told


def test_content_passes_without_being_parsed_once_it_flows() -> None:
    """Where parsing is skipped, even what is no JSON passes if it ends like it: nothing is copied, nothing decoded."""
    reader = openai_chat.stream_reader(ASKED, hide_usage=False)
    reader.feed(word("a"))
    packet = b"data: {not json}\n\n" + word("b")
    assert reader.feed(packet) is packet


@pytest.mark.parametrize("data", [b"{", b"[]", b"5", b'"x"', b"null", b"\xff", b"[" * 100_000, b'{"choices":5}'])
def test_what_is_no_chunk_is_a_failure(data: bytes) -> None:
    reader = openai_chat.stream_reader(ASKED, hide_usage=False)
    reader.feed(b"data: " + data + b"\n\n")
    failure = reader.end()
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_OUTPUT


def test_an_event_without_end_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT", 1000)
    reader = openai_chat.stream_reader(ASKED, hide_usage=False)
    assert reader.feed(b"data: " + b"x" * 2000) == b""
    failure = reader.end()
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_OUTPUT


@pytest.mark.parametrize("usage", ["much", -1, {}, {"prompt_tokens": -1}, {"prompt_tokens": 10**30}, []])
def test_a_usage_that_makes_no_sense_does_not_break_a_stream(usage: Any) -> None:
    stream = HELLO + word("a") + STOP + BILL + chunk(None, usage=usage) + DONE
    out, told = follow([stream], hide=False)
    assert (out, told) == (stream, Told(True, True, "m-1", "stop", Usage(5, 2)))
    msgspec.msgpack.encode(CallRecord("c", 1, 1, "", "", usage=told.usage))


def test_a_model_that_breaks_off_with_an_error_has_failed() -> None:
    _, told = follow([HELLO + word("a") + chunk({}, "error") + DONE], hide=False)
    assert told.failure is FailureKind.SERVER_ERROR


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "x", "type": "invalid_request_error", "code": "tool_use_failed"}, FailureKind.INVALID_REQUEST),
        ({"message": "x", "code": 502}, FailureKind.SERVER_ERROR),
        ({"message": "x", "code": 429}, FailureKind.RATE_LIMITED),
        ({"message": "x", "type": "overloaded_error"}, FailureKind.OVERLOADED),
        ("boom", FailureKind.SERVER_ERROR),
    ],
)
def test_an_error_inside_a_stream_tells_its_kind(error: Any, kind: FailureKind) -> None:
    _, told = follow([HELLO + word("a") + b"data: " + json.dumps({"error": error}).encode() + b"\n\n"], hide=False)
    assert told.failure is kind


def test_started_is_told_with_the_first_token_and_not_before() -> None:
    reader = openai_chat.stream_reader(ASKED, hide_usage=False)
    reader.feed(b": wait\n\n" + HELLO + word("a")[:-1])
    assert not reader.started
    reader.feed(b"\n")
    assert reader.started
