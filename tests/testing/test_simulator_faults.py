"""Every fault, seen on a raw socket."""

from __future__ import annotations

import email.utils
import json
import socket
import time
from collections.abc import Iterator

import pytest

from pointsman.testing.simulator import FAULTS, FaultError, Latency, RateLimited, SimulatorThread, parse_fault
from tests.testing.wire import CHAT, faulty, request, send


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread() as running:
        yield running


def test_without_faults_it_behaves(sim: SimulatorThread) -> None:
    unary, stream = faulty(sim, ""), faulty(sim, "", stream=True)
    assert (unary.status, unary.ending, unary.json["model"]) == (200, "complete", "m")
    assert (stream.status, stream.ending, stream.done, stream.last_chunk) == (200, "complete", True, True)
    assert stream.text == unary.json["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("fault", "stream", "least"),
    [
        ("latency:60ms", False, 0.06),
        ("latency:60ms", True, 0.06),
        ("first_token_latency:60ms", True, 0.06),
        ("first_token_latency:60ms", False, 0.06),
        ("token_delay:3ms", True, 0.09),
        ("token_delay:3ms", False, 0.09),
        ("latency:30ms;first_token_latency:30ms", False, 0.06),
    ],
)
def test_slowness_lasts_as_long_as_said(sim: SimulatorThread, fault: str, stream: bool, least: float) -> None:
    seen = faulty(sim, fault, stream=stream)
    assert seen.status == 200
    assert seen.ending == "complete"
    assert least <= seen.seconds < least + 2


def test_first_token_latency_lets_the_headers_of_a_stream_go_first(sim: SimulatorThread) -> None:
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as sock:
        sock.sendall(request({**CHAT, "stream": True}, headers={"x-sim-fault": "first_token_latency:100ms"}))
        first = sock.recv(65_536)
        headers_at = time.monotonic()
        sock.recv(65_536)
        assert first.endswith(b"\r\n\r\n")
        assert time.monotonic() - headers_at >= 0.09


@pytest.mark.parametrize("stream", [False, True])
def test_rate_limited_says_when_to_come_back(sim: SimulatorThread, stream: bool) -> None:
    seen = faulty(sim, "rate_limited:7", stream=stream)
    assert (seen.status, seen.headers["retry-after"]) == (429, "7")
    assert seen.json["error"]["code"] == "rate_limit_exceeded"


def test_rate_limited_can_name_a_date_or_nothing(sim: SimulatorThread) -> None:
    date = faulty(sim, "rate_limited:30,form=date").headers["retry-after"]
    assert 25 < email.utils.parsedate_to_datetime(date).timestamp() - time.time() <= 31
    assert "retry-after" not in faulty(sim, "rate_limited:-1").headers


@pytest.mark.parametrize(
    ("fault", "status", "kind", "start"),
    [
        ("server_error", 500, "application/json", b'{"error"'),
        ("server_error:503", 503, "application/json", b'{"error"'),
        ("server_error:502,body=html", 502, "text/html", b"<html>"),
        ("server_error:504,body=empty", 504, None, b""),
        ("denied", 401, "application/json", b'{"error"'),
        ("denied:403", 403, "application/json", b'{"error"'),
        ("error_body:429", 200, "application/json", b'{"error"'),
        ("stream_error", 200, "application/json", b'{"error"'),
    ],
)
def test_refusals_look_as_said(sim: SimulatorThread, fault: str, status: int, kind: str | None, start: bytes) -> None:
    seen = faulty(sim, fault)
    assert (seen.status, seen.headers.get("content-type"), seen.ending) == (status, kind, "complete")
    assert seen.body.startswith(start)
    assert bool(seen.body) == bool(start)


@pytest.mark.parametrize(("fault", "done"), [("stream_error:4", False), ("stream_error:4,done=true", True)])
def test_stream_error_comes_inside_the_stream(sim: SimulatorThread, fault: str, done: bool) -> None:
    seen = faulty(sim, fault, stream=True)
    assert (seen.status, seen.ending, seen.done) == (200, "complete", done)
    assert [("error" in payload) for payload in seen.payloads] == [False] * 4 + [True]


def test_stream_error_can_be_a_named_event(sim: SimulatorThread) -> None:
    assert b'\n\nevent: error\ndata: {"error"' in faulty(sim, "stream_error:named=true", stream=True).body


def test_malformed_json_does_not_parse_though_the_length_is_right(sim: SimulatorThread) -> None:
    seen = faulty(sim, "malformed_json")
    assert (seen.status, seen.ending) == (200, "complete")
    with pytest.raises(json.JSONDecodeError):
        json.loads(seen.body)
    lines = [line[6:] for line in faulty(sim, "malformed_json:2", stream=True).body.split(b"\n") if line]
    json.loads(lines[1])
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[2])
    json.loads(lines[3])


def test_truncated_ends_cleanly_but_early(sim: SimulatorThread) -> None:
    stream = faulty(sim, "truncated:4", stream=True)
    assert (stream.ending, stream.last_chunk, stream.done, len(stream.payloads)) == ("complete", True, False, 4)
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in stream.payloads)
    unary = faulty(sim, "truncated")
    assert unary.ending == "complete"
    assert len(unary.body) == int(unary.headers["content-length"])
    with pytest.raises(json.JSONDecodeError):
        json.loads(unary.body)


def test_truncated_never_reaches_the_finish_reason(sim: SimulatorThread) -> None:
    seen = send(sim, {**CHAT, "stream": True, "max_tokens": 2}, headers={"x-sim-fault": "truncated:50"})
    assert len(seen.payloads) == 3
    assert not seen.done


def test_other_model_is_named_everywhere(sim: SimulatorThread) -> None:
    assert faulty(sim, "other_model:cheap").json["model"] == "cheap"
    assert {chunk["model"] for chunk in faulty(sim, "other_model:cheap", stream=True).payloads} == {"cheap"}


def test_no_usage_leaves_none(sim: SimulatorThread) -> None:
    assert "usage" not in faulty(sim, "no_usage").json
    body = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    seen = send(sim, body, headers={"x-sim-fault": "no_usage"})
    assert all("usage" not in chunk and chunk["choices"] for chunk in seen.payloads)
    assert seen.done


def test_empty_takes_the_content_out(sim: SimulatorThread) -> None:
    message = faulty(sim, "empty").json["choices"][0]["message"]
    assert message["content"] == ""
    assert faulty(sim, "empty:choices").json["choices"] == []
    assert faulty(sim, "empty:body").body == b""
    stream = faulty(sim, "empty", stream=True)
    assert (stream.text, stream.done) == ("", True)
    assert [chunk["choices"] for chunk in faulty(sim, "empty:choices", stream=True).payloads][:2] == [[], []]
    nothing = faulty(sim, "empty:body", stream=True)
    assert (nothing.status, nothing.body, nothing.last_chunk) == (200, b"", True)


def test_preamble_precedes_the_data(sim: SimulatorThread) -> None:
    assert faulty(sim, "preamble:comments,count=2", stream=True).body.startswith(b": keep-alive\n\n" * 2 + b"data: ")
    assert faulty(sim, "preamble:whitespace,count=2", stream=True).body.startswith(b"\n\ndata: ")
    unary = faulty(sim, "preamble")
    assert unary.body.startswith(b"\n\n\n{")
    assert unary.json["model"] == "m"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "ending"), [("reset", "reset"), ("premature_eof", "closed"), ("hang", "silent")])
@pytest.mark.parametrize("at", ["before_headers", "after_headers", "mid_body"])
def test_broken_off_answers_end_where_and_how_they_should(
    sim: SimulatorThread, fault: str, ending: str, at: str, stream: bool
) -> None:
    seen = faulty(sim, f"{fault}:at={at},events=4", stream=stream, patience=0.3)
    assert seen.ending == ending
    assert seen.status == (0 if at == "before_headers" else 200)
    assert not seen.last_chunk
    if at != "mid_body":
        assert seen.body == b""
    elif stream:
        assert len(seen.payloads) == 4
    else:
        assert 0 < len(seen.body) < int(seen.headers["content-length"])


@pytest.mark.parametrize("mode", ["event", "byte", "random", "utf8", "pack", "whole", "wire"])
@pytest.mark.parametrize("stream", [False, True])
def test_cuts_change_packets_but_not_a_byte_of_what_is_said(sim: SimulatorThread, mode: str, stream: bool) -> None:
    body = {**CHAT, "stream": stream}
    plain = send(sim, body)
    cut = send(sim, body, headers={"x-sim-fault": f"cut:{mode}"})
    assert cut.ending == "complete"
    # Id and text follow from the request; only the second it was answered in may differ.
    assert _timeless(cut.body) == _timeless(plain.body)


def _timeless(body: bytes) -> list[bytes]:
    return [part.lstrip(b"0123456789") for part in body.split(b'"created":')]


def test_cut_sizes_are_as_said(sim: SimulatorThread) -> None:
    def chunks(fault: str) -> list[bytes]:
        rest = faulty(sim, fault, stream=True).raw.partition(b"\r\n\r\n")[2]
        found = []
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            found.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        return found[:-1]

    assert {len(chunk) for chunk in chunks("cut:byte")} == {1}
    assert len(chunks("cut:whole")) == 1
    assert [chunk.count(b"data: ") for chunk in chunks("cut:pack,n=5")][:3] == [5, 5, 5]
    assert chunks("cut:random,seed=1") != chunks("cut:random,seed=2")
    halves = chunks("cut:utf8")
    assert len(halves) > 1
    for chunk in halves[:-1]:
        with pytest.raises(UnicodeDecodeError):
            chunk.decode()


def test_a_pause_between_packets_makes_them_separate_reads(sim: SimulatorThread) -> None:
    assert faulty(sim, "cut:pack,n=10,pause=5ms", stream=True).reads >= 4


def test_framing_tells_the_end_another_way(sim: SimulatorThread) -> None:
    chunked = faulty(sim, "framing:chunked")
    assert (chunked.headers["transfer-encoding"], chunked.json["model"]) == ("chunked", "m")
    for stream in (False, True):
        closing = faulty(sim, "framing:close", stream=stream)
        assert closing.ending == "closed"
        assert not {"content-length", "transfer-encoding"} & set(closing.headers)
        assert closing.done or closing.json["model"] == "m"


def test_faults_compose(sim: SimulatorThread) -> None:
    seen = faulty(sim, "latency:50ms;other_model:x;cut:byte;reset:mid_body,events=4", stream=True)
    assert (seen.ending, [chunk["model"] for chunk in seen.payloads]) == ("reset", ["x"] * 4)
    assert seen.raw.count(b"\r\n1\r\n") > 400
    assert seen.seconds >= 0.05


def test_a_model_name_can_carry_a_fault_and_is_reported_without_it(sim: SimulatorThread) -> None:
    seen = send(sim, {**CHAT, "model": "gpt-x#latency:10ms;no_usage"})
    assert seen.json["model"] == "gpt-x"
    assert "usage" not in seen.json


@pytest.mark.parametrize(
    "fault", ["nonsense", "latency:soon", "latency:hue=3", "reset:at=lunch", "flapping", "flapping:p=0.5", "down"]
)
def test_a_fault_that_cannot_be_is_refused_with_a_reason(sim: SimulatorThread, fault: str) -> None:
    seen = faulty(sim, fault)
    assert (seen.status, seen.json["error"]["code"]) == (400, "unknown_fault")
    assert fault.partition(":")[0] in seen.json["error"]["message"]


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ("server_error:first=2", [500, 500, 200, 200, 200, 200]),
        ("server_error:after=4", [200, 200, 200, 200, 500, 500]),
        ("server_error:every=3", [200, 200, 500, 200, 200, 500]),
        ("server_error:after=1,first=2", [200, 500, 500, 200, 200, 200]),
        ("server_error:on=stream", [200] * 6),
        ("server_error:on=chat,p=0", [200] * 6),
        ("server_error:on=unary", [500] * 6),
    ],
)
def test_a_rule_chooses_the_requests(fault: str, statuses: list[int]) -> None:
    with SimulatorThread(fault) as sim:
        assert [send(sim).status for _ in range(6)] == statuses


def test_a_probability_is_met_and_repeats_with_the_seed() -> None:
    with SimulatorThread("server_error:p=0.3") as sim:
        first = [send(sim).status for _ in range(60)]
        sim.forget()
        assert [send(sim).status for _ in range(60)] == first
    assert 5 < first.count(500) < 35


def test_every_fault_can_be_written_bare_and_durations_have_units() -> None:
    assert {parse_fault(name).name for name in FAULTS} == set(FAULTS)
    assert parse_fault("latency:1.5s") == parse_fault("latency:1500ms") == Latency(seconds=1.5)
    assert parse_fault("rate_limited:2m,first=3") == RateLimited(retry_after=120, first=3)
    with pytest.raises(FaultError, match="latency"):
        parse_fault("latncy:1s")
