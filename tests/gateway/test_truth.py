"""Headers and record of a call tell the same story, in every outcome, and once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pointsman.core.record import CallRecord, Outcome, RouteKind
from tests.gateway.conftest import EXPIRED, NARROW, TAGGED
from tests.gateway.registry import cost, usd
from tests.gateway.wire import Reply, chat, events
from tests.gateway.worker import Worker

IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
GOOD = "up:good-2024-08-06"


def told(gateway: Worker, reply: Reply) -> CallRecord:
    """The record of a call, after comparing it with what the headers said."""
    record = gateway.record(reply.call_id)
    headers = reply.headers
    assert int(headers["x-pointsman-revision"]) == record.revision == 1
    assert headers.get("x-pointsman-target", "") == record.target
    assert headers.get("x-pointsman-policy", "") == (record.policy if record.order else "")
    assert int(headers.get("x-pointsman-attempts", "0")) == len(record.attempts)
    assert headers.get("x-pointsman-served-model", "") == record.reported_model
    assert reply.status == record.status
    assert record.started_ns > 0
    assert record.duration_us > 0
    assert record.revision_hash
    assert len(record.revision_hash) == 64
    return record


@pytest.mark.parametrize(
    ("asked", "kind", "workflow", "policy"),
    [
        ("support-answer", RouteKind.WORKFLOW, "support-answer", "regulated"),
        ("good", RouteKind.ALIAS, "", ""),
        (GOOD, RouteKind.TARGET, "", ""),
    ],
)
def test_an_answer_says_what_served_it_and_what_it_cost(
    gateway: Worker, asked: str, kind: RouteKind, workflow: str, policy: str
) -> None:
    body = chat(asked, max_tokens=7)
    reply = gateway.ask(body)
    record = told(gateway, reply)
    used = reply.json["usage"]
    nano = cost(used["prompt_tokens"], 7)
    assert (reply.status, used["completion_tokens"]) == (200, 7)
    assert (record.outcome, record.error) == (Outcome.OK, "")
    assert (record.requested, record.route_kind, record.workflow, record.policy) == (asked, kind, workflow, policy)
    assert (record.key, record.team, record.endpoint) == ("everything", "tests", "chat_completions")
    assert (record.target, record.order) == (GOOD, (GOOD,))
    assert record.reported_model == "good-2024-08-06"
    assert not record.drift
    assert not record.stream
    assert record.finish_reason == "length"
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens) == (used["prompt_tokens"], 7)
    assert record.cost_nano == nano
    assert reply.headers["x-pointsman-cost-usd"] == usd(nano)
    assert record.request_bytes == len(msgspec.json.encode(body))
    assert record.response_bytes == len(reply.body)
    (attempt,) = record.attempts
    assert (attempt.target, attempt.kind, attempt.status, attempt.failure) == (GOOD, "primary", 200, "")
    assert (attempt.usage, attempt.cost_nano) == (record.usage, nano)
    assert 0 < attempt.duration_us <= record.duration_us


def test_a_dropped_candidate_is_on_record_with_its_reason(gateway: Worker) -> None:
    record = told(gateway, gateway.ask(chat("support-answer")))
    assert [(d.target, d.reason, d.detail) for d in record.dropped] == [("up:mini", "missing_tag", "regulated-ok")]


def test_a_stream_is_opened_on_record_before_its_first_byte_and_closed_once(gateway: Worker) -> None:
    reply = gateway.ask(chat("good", stream=True, max_tokens=7))
    record = told(gateway, reply)
    marks = [(r.outcome, r.status) for r, opened in gateway.frames() if opened and r.call_id == reply.call_id]
    assert marks == [(Outcome.OK, 200)]
    assert record.outcome is Outcome.OK
    assert record.stream
    assert record.finish_reason == "length"
    assert record.usage is not None
    assert record.usage.output_tokens == 7
    assert record.cost_nano == cost(record.usage.input_tokens, 7)
    assert record.first_token_us is not None
    assert 0 < record.first_token_us <= record.duration_us
    assert record.response_bytes == len(reply.body)
    assert "x-pointsman-cost-usd" not in reply.headers, "the cost of a stream is not known when its headers leave"
    assert events(reply.body)[-1] == "[DONE]"


def test_embeddings_are_recorded_like_any_call(gateway: Worker) -> None:
    reply = gateway.ask({"model": "up:embed", "input": ["a", "b"]}, "/v1/embeddings")
    record = told(gateway, reply)
    used = reply.json["usage"]["prompt_tokens"]
    assert (record.endpoint, record.outcome) == ("embeddings", Outcome.OK)
    assert record.cost_nano == cost(used, 0)
    assert reply.headers["x-pointsman-cost-usd"] == usd(cost(used, 0))


def test_another_model_in_the_answer_is_drift(gateway: Worker) -> None:
    reply = gateway.ask(chat("drifting"))
    record = told(gateway, reply)
    assert reply.headers["x-pointsman-served-model"] == "quite-another"
    assert record.drift
    assert record.requested == "drifting"
    assert record.target == "up:drifting"


def test_an_unknown_price_is_no_price_and_not_zero(gateway: Worker) -> None:
    reply = gateway.ask(chat("up:unpriced"))
    record = told(gateway, reply)
    assert "x-pointsman-cost-usd" not in reply.headers
    assert (record.cost_nano, record.cost_reason) == (None, "no_price")


REFUSALS: list[tuple[str, object, dict[str, Any], int, str, str | None]] = [
    ("no key", chat("good"), {"key": None}, 401, "missing_api_key", None),
    ("wrong key", chat("good"), {"key": "nobody"}, 401, "invalid_api_key", None),
    ("expired key", chat("good"), {"key": EXPIRED}, 401, "expired_api_key", None),
    ("not JSON", b"{", {}, 400, "invalid_json", None),
    ("no messages", {"model": "good"}, {}, 400, "invalid_request", "messages"),
    ("unknown name", chat("goood"), {}, 404, "model_not_found", "model"),
    ("forbidden name", chat("up:mini"), {"key": NARROW}, 403, "model_not_allowed", "model"),
    ("nobody eligible", chat("hopeless-answer"), {}, 422, "no_eligible_target", "model"),
    ("key's tags", chat("up:mini"), {"key": TAGGED}, 422, "no_eligible_target", "model"),
    ("lacking", chat("up:mini", IMAGE), {}, 422, "no_eligible_target", "model"),  # type: ignore[arg-type]  # parts
    ("wrong task", chat("up:embed"), {}, 422, "no_eligible_target", "model"),
    ("gzip", b"x", {"headers": {"content-encoding": "gzip"}}, 415, "unsupported_content_encoding", None),
]


@pytest.mark.parametrize(
    ("body", "options", "status", "code", "param"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_a_refusal_has_one_record_without_attempts_and_costs_nothing(
    gateway: Worker, body: object, options: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    reply = gateway.ask(body, **options)
    record = told(gateway, reply)
    error = reply.error
    assert (reply.status, error["code"], error["param"]) == (status, code, param)
    assert error["call_id"] == record.call_id
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-should-retry"] == "false"
    assert (record.outcome, record.error, record.attempts) == (Outcome.REFUSED, code, ())
    assert record.cost_nano == 0
    assert reply.headers["x-pointsman-cost-usd"] == "0"


def test_a_failed_call_says_what_was_tried(gateway: Worker) -> None:
    reply = gateway.ask(chat("up:dead"))
    record = told(gateway, reply)
    assert (reply.status, reply.code) == (502, "upstream_error")
    assert (record.outcome, record.error) == (Outcome.FAILED, "upstream_error")
    assert [(a.kind, a.status, a.failure) for a in record.attempts] == [
        ("primary", 500, "server_error"),
        ("retry", 500, "server_error"),
    ]
    assert "simulated" not in record.attempts[0].detail
    assert record.attempts[0].detail.startswith("status 5")
    assert record.cost_nano == 0, "a provider does not bill its own errors"


def test_a_fallback_is_told_by_the_headers(gateway: Worker) -> None:
    reply = gateway.ask(chat("sturdy-answer"))
    record = told(gateway, reply)
    assert reply.headers["x-pointsman-target"] == GOOD
    assert record.order == ("up:broken", GOOD)
    assert [a.kind for a in record.attempts][-1] == "fallback"


def test_every_call_has_an_id_of_its_own_and_they_ascend(gateway: Worker) -> None:
    before = {record.call_id for record in gateway.records()}
    said = [gateway.ask(chat("good", max_tokens=1)).call_id for _ in range(20)]
    assert said == sorted(said)
    assert len(set(said) - before) == 20


def test_a_callers_task_and_trace_are_kept_within_bounds(gateway: Worker) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    reply = gateway.ask(chat("good"), headers={"x-pointsman-task": "ä" * 300, "traceparent": trace})
    record = told(gateway, reply)
    assert record.task == "ä" * 100
    assert record.traceparent == trace


@pytest.mark.parametrize("huge", [2**63, 2**70, 10**300], ids=["2**63", "2**70", "10**300"])
def test_a_limit_beyond_all_machines_is_answered_and_recorded(gateway: Worker, huge: int) -> None:
    reply = gateway.ask(chat("support-answer", max_tokens=huge))
    assert told(gateway, reply).outcome is Outcome.REFUSED
    assert reply.status in (400, 422)
