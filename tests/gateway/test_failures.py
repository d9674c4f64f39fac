"""Every way in which a provider fails: what the caller sees, what is tried, what is on record."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec
import openai
import pytest

from pointsman.core.policy import FailureKind as F
from pointsman.core.policy import OnFailure, WorkflowSpec
from pointsman.core.record import Outcome
from pointsman.core.target import Timeouts
from pointsman.testing.simulator import Settings, SimulatorThread
from tests.gateway import scripted as s
from tests.gateway.registry import cost, document, policy, provider, target
from tests.gateway.wire import KEY, chat, events, said
from tests.gateway.worker import Worker, worker

GOOD = "sim:good"
SHORT = Timeouts(connect=0.3, first_token=0.25, idle=0.25, total=0.6)


class Case(msgspec.Struct, frozen=True):
    """A fault and what must come of it when no other target may serve.

    `kind` and `status` are what the attempt is recorded as, `code` and `seen` what the caller gets, `tries` how often
    the same target is asked.
    """

    kind: F
    status: int
    code: str
    seen: int
    tries: int = 2
    sdk: type[openai.APIStatusError] = openai.InternalServerError
    free: bool = False
    detail: str = ""


RATE = Case(F.RATE_LIMITED, 429, "upstream_rate_limited", 429, sdk=openai.RateLimitError, free=True)
AUTH = Case(F.AUTH, 401, "upstream_auth", 502, tries=1, free=True)
ERROR = Case(F.SERVER_ERROR, 500, "upstream_error", 502, free=True)
BUSY = Case(F.OVERLOADED, 503, "upstream_error", 502, free=True)
NETWORK = Case(F.NETWORK, 0, "upstream_error", 502)
LATE = Case(F.TIMEOUT, 0, "upstream_timeout", 504)
CUT = Case(F.TRUNCATED, 200, "upstream_invalid", 502)
INVALID = Case(F.INVALID_OUTPUT, 200, "upstream_invalid", 502)
EMPTY = Case(F.EMPTY, 200, "upstream_invalid", 502)
DISGUISED = Case(F.SERVER_ERROR, 200, "upstream_error", 502)


def like(case: Case, **changes: object) -> Case:
    return msgspec.structs.replace(case, **changes)


BOTH: dict[str, Case] = {
    "rate_limited:0.05": RATE,
    "rate_limited:-1": RATE,
    "rate_limited:30": like(RATE, tries=1),
    "rate_limited:30,form=date": like(RATE, tries=1),
    "server_error:500": ERROR,
    "server_error:500,body=html": like(ERROR, detail="status 500"),
    "server_error:500,body=empty": ERROR,
    "server_error:502": like(ERROR, status=502),
    "server_error:503": BUSY,
    "server_error:503,body=html": BUSY,
    "server_error:504": like(LATE, status=504, free=True),
    "server_error:529": like(BUSY, status=529),
    "denied:401": AUTH,
    "denied:403": like(AUTH, status=403),
    "error_body:500": like(DISGUISED),
    "empty:choices": EMPTY,
    "empty:body": like(INVALID),
    "empty:content": EMPTY,
    "reset:before_headers": NETWORK,
    "reset:after_headers": like(NETWORK, status=200),
    "premature_eof:before_headers": NETWORK,
    "premature_eof:after_headers": CUT,
    "hang:before_headers": LATE,
    "hang:after_headers": like(LATE, status=200),
}
"""Faults that are the same to a call whether it streams or not."""

UNARY: dict[str, Case] = {
    **BOTH,
    # Only the total time can tell that a whole answer is late, and then there is none left to try again in.
    "hang:before_headers": like(LATE, tries=1),
    "hang:after_headers": like(LATE, status=200, tries=1),
    "malformed_json": INVALID,
    "truncated": INVALID,
    "stream_error:0": DISGUISED,
    "reset:mid_body": like(NETWORK, status=200),
    "premature_eof:mid_body": CUT,
    "hang:mid_body": like(LATE, status=200),
}
STREAM: dict[str, Case] = {
    **BOTH,
    "empty:body": CUT,
    "malformed_json:0": INVALID,
    "truncated:0": CUT,
    "truncated:1": CUT,
    "stream_error:0": DISGUISED,
    "stream_error:1": DISGUISED,
    "stream_error:1,done=true": DISGUISED,
    "stream_error:0,named=true": DISGUISED,
    "reset:mid_body,events=1": like(NETWORK, status=200),
    "premature_eof:mid_body,events=1": CUT,
    "hang:mid_body,events=1": like(LATE, status=200),
    "preamble:comments,count=3;hang:mid_body,events=3": like(LATE, status=200),
}
"""Faults before the first content token (the simulator's first event is the role)."""

LATE_FAULTS: dict[str, tuple[F, str]] = {
    "malformed_json:3": (F.INVALID_OUTPUT, "is not a chunk"),
    "truncated:3": (F.TRUNCATED, "without a finish reason"),
    "malformed_json:3;cut:pack,n=4": (F.INVALID_OUTPUT, "is not a chunk"),
    "malformed_json:3;cut:whole": (F.INVALID_OUTPUT, "is not a chunk"),
    "stream_error:3": (F.SERVER_ERROR, "the stream broke off"),
    "stream_error:3,done=true": (F.SERVER_ERROR, "the stream broke off"),
    "stream_error:3,named=true": (F.SERVER_ERROR, "the stream broke off"),
    "stream_error:3,done=true;cut:whole": (F.SERVER_ERROR, "the stream broke off"),
    "reset:mid_body,events=3": (F.NETWORK, "broke the connection"),
    "premature_eof:mid_body,events=3": (F.TRUNCATED, "in the middle of its body"),
    "hang:mid_body,events=3": (F.TIMEOUT, "stopped sending"),
}
"""Faults after content has reached the caller: three events are the role and two tokens."""

ALL = sorted({*UNARY, *STREAM, *LATE_FAULTS})
NAMES = {fault: f"sim:f{place}" for place, fault in enumerate(ALL)}


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(settings=Settings(name="sim")) as running:
        yield running


@pytest.fixture(scope="module")
def failing(sim: SimulatorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker with a target for every fault, alone and with a healthy one to fall back on."""
    targets = [target(name, f"f#{fault}", timeouts=SHORT) for fault, name in NAMES.items()]
    # Each test has its own target, so that the breaker of one does not open under another.
    twins = [target(f"{name}{x}", f"f#{fault}", timeouts=SHORT) for fault, name in NAMES.items() for x in "bcde"]
    patient = OnFailure(retry=0, on=tuple(F))
    plans = [policy(f"{name}{x}", f"{name}{x}", GOOD, on_failure=patient) for name in NAMES.values() for x in "bcd"]
    flows = [WorkflowSpec(f"{name[4:]}{x}-flow", f"{name}{x}") for name in NAMES.values() for x in "bcd"]
    parts = document(provider("sim", sim.base_url), target(GOOD), *targets, *twins, *plans, *flows)
    with worker(tmp_path_factory.mktemp("failing"), parts) as running:
        yield running
        running.assert_sound()


def check_failure(gateway: Worker, fault: str, case: Case, stream: bool) -> None:
    reply = gateway.ask(chat(NAMES[fault], stream=stream))
    record = gateway.record(reply.call_id)
    assert (reply.status, reply.code) == (case.seen, case.code)
    assert [(a.kind, a.failure, a.status) for a in record.attempts] == [
        ("retry" if place else "primary", case.kind, case.status) for place in range(case.tries)
    ]
    assert case.detail in reply.error["message"]
    assert (record.outcome, record.error, record.status) == (Outcome.FAILED, case.code, case.seen)
    assert reply.headers["x-pointsman-attempts"] == str(case.tries)
    assert record.cost_nano == (0 if case.free else record.cost_nano)
    assert (record.cost_nano is None) == bool(record.cost_reason)


@pytest.mark.parametrize("fault", UNARY)
def test_a_failing_provider_is_tried_again_where_that_helps_and_then_named(failing: Worker, fault: str) -> None:
    check_failure(failing, fault, UNARY[fault], stream=False)


@pytest.mark.parametrize("fault", STREAM)
def test_a_stream_that_fails_before_its_first_token_is_like_any_failure(failing: Worker, fault: str) -> None:
    check_failure(failing, fault, STREAM[fault], stream=True)


@pytest.mark.parametrize("fault", [fault for fault, case in UNARY.items() if case.kind is not F.TIMEOUT or case.free])
def test_a_caller_does_not_notice_that_another_target_took_over(failing: Worker, fault: str) -> None:
    reply = failing.ask(chat(f"{NAMES[fault][4:]}b-flow"))
    record = failing.record(reply.call_id)
    assert reply.status == 200
    assert reply.headers["x-pointsman-target"] == GOOD
    assert [(a.kind, a.failure) for a in record.attempts] == [("primary", UNARY[fault].kind), ("fallback", "")]
    assert (record.outcome, record.target, record.order) == (Outcome.OK, GOOD, (f"{NAMES[fault]}b", GOOD))
    if UNARY[fault].free:
        assert record.usage is not None
        assert record.cost_nano == cost(record.usage.input_tokens, 32)


@pytest.mark.parametrize("fault", STREAM)
def test_a_stream_fails_over_before_its_first_token_and_the_caller_sees_one_stream(failing: Worker, fault: str) -> None:
    asked = chat(f"{NAMES[fault][4:]}c-flow", stream=True)
    reply = failing.ask(asked)
    record = failing.record(reply.call_id)
    whole = failing.ask({**asked, "model": GOOD})
    assert reply.headers["x-pointsman-target"] == GOOD
    assert [(a.kind, a.failure) for a in record.attempts] == [("primary", STREAM[fault].kind), ("fallback", "")]
    assert said(events(reply.body)) == said(events(whole.body))
    assert len(events(reply.body)) == len(events(whole.body))
    assert events(reply.body)[-1] == "[DONE]"
    assert record.outcome is Outcome.OK


@pytest.mark.parametrize("fault", LATE_FAULTS)
def test_a_stream_that_fails_after_content_gives_every_token_once_and_then_a_typed_error(
    failing: Worker, fault: str
) -> None:
    kind, detail = LATE_FAULTS[fault]
    asked = chat(f"{NAMES[fault][4:]}d-flow", "one two three", stream=True)
    reply = failing.ask(asked)
    record = failing.record(reply.call_id)
    *before, last = events(reply.body)
    assert said(before) == "This is"
    assert last["error"]["code"] == "stream_interrupted"
    assert last["error"]["call_id"] == record.call_id
    assert detail in last["error"]["message"]
    assert reply.headers["x-pointsman-target"] == f"{NAMES[fault]}d"
    assert [(a.kind, a.failure, a.status) for a in record.attempts] == [("primary", kind, 200)]
    assert (record.outcome, record.status, record.error) == (Outcome.FAILED, 200, "stream_interrupted")
    assert record.cost_nano is None, "nobody knows what half a stream costs"
    assert record.response_bytes == len(reply.body)


@pytest.mark.parametrize("fault", ["rate_limited:30", "server_error:500", "denied:401", "hang:before_headers"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_raises_the_class_that_goes_with_the_status(failing: Worker, fault: str, stream: bool) -> None:
    case = BOTH[fault]
    with (
        openai.OpenAI(base_url=f"{failing.url}/v1", api_key=KEY, max_retries=0) as client,
        pytest.raises(case.sdk) as caught,
    ):
        client.chat.completions.create(
            model=f"{NAMES[fault]}e", messages=[{"role": "user", "content": "x"}], stream=stream
        )
    assert caught.value.status_code == case.seen
    assert caught.value.code == case.code


def test_the_sdk_gives_the_tokens_and_then_raises(failing: Worker) -> None:
    got = ""
    with openai.OpenAI(base_url=f"{failing.url}/v1", api_key=KEY, max_retries=0) as client:
        stream = client.chat.completions.create(
            model=NAMES["stream_error:3"], messages=[{"role": "user", "content": "x"}], stream=True
        )
        with pytest.raises(openai.APIError) as caught:  # noqa: PT012 (what came before the error counts)
            for part in stream:
                got += part.choices[0].delta.content or ""
    assert got == "This is"
    assert caught.value.code == "stream_interrupted"


def test_a_retry_after_reaches_the_caller(failing: Worker) -> None:
    reply = failing.ask(chat(NAMES["rate_limited:30"]))
    assert int(reply.headers["retry-after"]) in (29, 30)
    assert reply.headers["x-should-retry"] == "true"


def test_the_gateways_own_credential_is_not_the_callers_mistake(failing: Worker) -> None:
    reply = failing.ask(chat(NAMES["denied:403"]))
    assert "Your key is fine" in reply.error["message"]
    assert reply.headers["x-should-retry"] == "false"


MISTAKE = b'{"error":{"message":"no such parameter: top_z","type":"invalid_request_error","param":"top_z","code":null}}'
TOO_LONG = b'{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}'


def drip(connection: object, _: bytes) -> None:
    """Headers that never end."""
    assert isinstance(connection, socket.socket)
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"x-drip: " + b"a" * 100_000)


RAW: dict[str, s.Script] = {
    "mistake": s.saying(s.answer(400, MISTAKE, extra="x-request-id: req_7\r\nset-cookie: a=b\r\n")),
    "odd-status": s.saying(s.answer(430, MISTAKE)),
    "html-mistake": s.saying(s.answer(400, b"<h1>Bad</h1>", "text/html")),
    "too-long": s.saying(s.answer(400, TOO_LONG)),
    "missing": s.saying(s.answer(404, b'{"detail":"no such model"}')),
    "moved": s.saying(s.answer(301, b"", extra="location: http://127.0.0.1:1/\r\n")),
    "nothing": s.saying(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "garbage": s.saying(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "drip": drip,
    "bad-date": s.saying(s.answer(429, b"{}", extra="retry-after: Wed, 99 Nov 99999 99:99:99 GMT\r\n")),
    "array": s.saying(s.answer(200, [1, 2])),
    "plain": s.saying(s.answer(200, b"hello", "text/plain")),
    "json-for-stream": s.saying(s.answer(200, s.completion())),
    "silly-usage": s.saying(s.answer(200, s.completion(usage={"prompt_tokens": 10**30, "completion_tokens": -4}))),
    "no-usage": s.saying(s.answer(200, s.completion(usage=None))),
    "long-name": s.saying(s.answer(200, s.completion(model="m" * 100_000))),
    "odd-name": s.saying(s.answer(200, s.completion(model="m\r\nx-evil: 1\u00e9\u0000"))),
    "shouting-done": lambda connection, _: connection.sendall(
        s.STREAM_HEAD.replace(b"text/event-stream", b"Text/Event-Stream;charset=UTF-8")
        + b"".join(s.chunk(part) for part in (s.event("a"), s.event(finish="stop"), s.DONE))
        + s.LAST_CHUNK
    ),
    "crlf-done": s.streaming(*(p.replace(b"\n", b"\r\n") for p in (s.event("a"), s.event(finish="stop"), s.DONE))),
    "finishes-without-done": s.streaming(s.event("a"), s.event(finish="stop"), s.event(usage=s.USAGE)),
    "done-without-blank-line": s.streaming(s.event("a"), s.event(finish="stop"), b"data: [DONE]"),
    "done-only": s.streaming(s.event("a"), s.DONE),
    "done-only-without-blank-line": s.streaming(s.event("a"), b"data: [DONE]\n"),
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker in front of scripted answers."""
    with s.scripted(RAW) as upstream:
        targets = [target(f"raw:{name}", timeouts=SHORT) for name in RAW]
        parts = document(
            provider("raw", upstream.base_url),
            *targets,
            policy("choosy", "raw:mistake", "raw:no-usage"),
            WorkflowSpec("choosy-flow", "choosy"),
        )
        with worker(tmp_path_factory.mktemp("raw"), parts) as running:
            yield running
            running.assert_sound()


@pytest.mark.parametrize(
    ("model", "status", "body", "kind"),
    [
        ("mistake", 400, MISTAKE, F.INVALID_REQUEST),
        ("too-long", 400, TOO_LONG, F.CONTEXT_EXCEEDED),
        ("odd-status", 430, MISTAKE, F.INVALID_REQUEST),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_callers_own_mistake_is_told_in_the_providers_words(
    raw: Worker, model: str, status: int, body: bytes, kind: F, stream: bool
) -> None:
    reply = raw.ask(chat(f"raw:{model}", stream=stream))
    record = raw.record(reply.call_id)
    assert (reply.status, reply.body) == (status, body)
    assert "set-cookie" not in reply.headers
    assert (record.outcome, record.status, record.error) == (Outcome.FAILED, status, kind)
    assert [(a.failure, a.status) for a in record.attempts] == [(kind, status)]
    assert record.cost_nano == 0


def test_a_page_in_place_of_an_error_is_not_passed_on(raw: Worker) -> None:
    """What some proxy says in HTML is no error that a client of this API can read."""
    reply = raw.ask(chat("raw:html-mistake"))
    assert (reply.status, reply.code) == (400, "invalid_request")
    record = raw.record(reply.call_id)
    assert (record.outcome, [a.failure for a in record.attempts]) == (Outcome.FAILED, [F.INVALID_REQUEST])


def test_a_callers_mistake_is_not_repeated_at_another_target(raw: Worker) -> None:
    reply = raw.ask(chat("choosy-flow"))
    assert (reply.status, reply.headers["x-request-id"]) == (400, "req_7")
    assert len(raw.record(reply.call_id).attempts) == 1


@pytest.mark.parametrize(
    ("model", "status", "code", "kind"),
    [
        ("missing", 502, "upstream_error", F.NOT_FOUND),
        ("moved", 502, "upstream_error", F.SERVER_ERROR),
        ("nothing", 502, "upstream_error", F.SERVER_ERROR),
        ("garbage", 502, "upstream_invalid", F.INVALID_OUTPUT),
        ("drip", 502, "upstream_invalid", F.INVALID_OUTPUT),
        ("bad-date", 429, "upstream_rate_limited", F.RATE_LIMITED),
        ("array", 502, "upstream_invalid", F.INVALID_OUTPUT),
        ("plain", 502, "upstream_invalid", F.INVALID_OUTPUT),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_odd_answers_are_failures(raw: Worker, model: str, status: int, code: str, kind: F, stream: bool) -> None:
    reply = raw.ask(chat(f"raw:{model}", stream=stream))
    record = raw.record(reply.call_id)
    assert (reply.status, reply.code) == (status, code)
    assert {a.failure for a in record.attempts} == {kind}


def test_a_whole_answer_where_a_stream_was_asked_for_is_a_failure(raw: Worker) -> None:
    reply = raw.ask(chat("raw:json-for-stream", stream=True))
    assert (reply.status, reply.code) == (502, "upstream_invalid")
    assert "a stream was asked for" in reply.error["message"]


@pytest.mark.parametrize("model", ["silly-usage", "no-usage"])
def test_usage_that_cannot_be_right_or_is_missing_makes_the_cost_unknown_and_not_zero(raw: Worker, model: str) -> None:
    reply = raw.ask(chat(f"raw:{model}"))
    record = raw.record(reply.call_id)
    assert (reply.status, reply.text) == (200, "Track 4.")
    assert "x-pointsman-cost-usd" not in reply.headers
    assert (record.outcome, record.cost_nano, record.cost_reason) == (Outcome.OK, None, "no_usage")


@pytest.mark.parametrize("model", ["long-name", "odd-name"])
def test_a_name_that_no_header_can_hold_breaks_neither_answer_nor_record(raw: Worker, model: str) -> None:
    reply = raw.ask(chat(f"raw:{model}"))
    record = raw.record(reply.call_id)
    assert reply.status == 200
    assert "x-evil" not in reply.headers
    assert len(reply.headers["x-pointsman-served-model"]) <= 256
    assert len(record.reported_model) <= 256
    assert record.drift


@pytest.mark.parametrize(
    "model",
    [
        "finishes-without-done",
        "done-without-blank-line",
        "done-only",
        "done-only-without-blank-line",
        "shouting-done",
        "crlf-done",
    ],
)
def test_a_stream_that_says_it_is_finished_in_any_way_is_an_answer(raw: Worker, model: str) -> None:
    reply = raw.ask(chat(f"raw:{model}", stream=True))
    record = raw.record(reply.call_id)
    assert record.outcome is Outcome.OK
    assert said(events(reply.body)) == "a"
    assert (events(reply.body)[-1] == "[DONE]") == (model != "finishes-without-done")
