"""For random registries, requests and outages: no attempt on any path reaches a target that may not serve.

Real calls go through a worker to a provider that answers, breaks and refuses at random. What arrived there, and what is
on record, is judged by `tests.core.oracle`, which shares no code with the decision and knows nothing of retries.
"""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path
from typing import Any

import msgspec

from pointsman.core.document import KeySpec
from pointsman.core.policy import Candidate, FailureKind, OnFailure, PolicySpec, Requirements, Strategy, WorkflowSpec
from pointsman.core.record import AttemptKind, CallRecord
from pointsman.core.target import Flow, TargetSpec, Timeouts
from pointsman.dialects import openai_chat
from tests.core import oracle
from tests.core.making import NOW
from tests.core.test_decision_property import PROVIDERS, Draw
from tests.gateway import scripted as s
from tests.gateway.registry import PRICES, document, provider
from tests.gateway.wire import Reply
from tests.gateway.worker import Worker, worker

ROUNDS = 60
CALLS = 5
QUICK = Timeouts(connect=1.0, first_token=1.0, idle=1.0, total=2.0)
ERROR = {"error": {"message": "no", "type": "server_error", "code": None}}


def stream_of(*parts: bytes) -> bytes:
    return s.STREAM_HEAD + b"".join(s.chunk(part) for part in parts)


def outages(rng: random.Random) -> s.Script:
    """A provider's behaviour for one model: a draw for every call that reaches it."""

    def behave(connection: Any, body: bytes) -> None:
        streamed = bool(msgspec.json.decode(body).get("stream"))
        good = s.answer(200, s.completion())
        if streamed:
            good = stream_of(s.event("a"), s.event(finish="stop"), s.event(usage=s.USAGE), s.DONE) + s.LAST_CHUNK
        broken = stream_of(s.event("a")) if streamed else good[: len(good) // 2]
        failures = (
            s.answer(500, ERROR),
            s.answer(429, ERROR, extra="retry-after: 0\r\n"),
            s.answer(401, ERROR),
            s.answer(200, ERROR),
            broken,
            b"",
        )
        said = good if rng.random() < 0.4 else rng.choice(failures)
        connection.sendall(said)
        if said in (broken, b""):
            connection.close()

    return behave


class Round:
    """One random workflow: its targets, policy, key, and the oracle's case for them."""

    def __init__(self, number: int, now: float) -> None:
        self.number = number
        self.rng = random.Random(number)
        drawn = Draw(self.rng).case(self.rng.randint(1, 4))
        targets = tuple(self._target(target, now) for target in drawn.targets)
        self.case = msgspec.structs.replace(
            drawn,
            targets=targets,
            conditions=(oracle.WELL,) * len(targets),
            secrets=(True,) * len(targets),
            unix_now=now,
        )
        self.secret = f"pm-round-{number}"
        requires = (*self.case.requires, Requirements(), Requirements())
        self.policy = PolicySpec(
            f"policy-{number}",
            tuple(Candidate(t.name, self.rng.choice([1, 1, 5])) for t in targets),
            requires[0],
            self.rng.choice(list(Strategy)),
            OnFailure(self.rng.randrange(3), self.case.fallback, self.rng.choice([OnFailure().on, tuple(FailureKind)])),
        )
        self.workflow = WorkflowSpec(f"workflow-{number}", self.policy.name, require=requires[1])
        self.key = KeySpec(
            f"key-{number}",
            hashlib.sha256(self.secret.encode()).hexdigest(),
            providers=self.case.key_providers,
            require_tags=self.case.key_tags,
        )

    def _target(self, target: TargetSpec, now: float) -> TargetSpec:
        model = f"{target.model}-{self.number}"
        ends = target.retires_at
        return msgspec.structs.replace(
            target,
            name=f"{target.provider}:{model}",
            model=model,
            prices=PRICES,
            timeouts=QUICK,
            # Within an hour or an hour ago: the test must not depend on its own duration.
            retires_at=None if ends is None else int(now) + (3600 if ends > NOW else -3600),
        )

    def body(self, name: str) -> dict[str, Any]:
        """A random request."""
        body: dict[str, Any] = {
            "model": name,
            "messages": [{"role": "user", "content": "x" * self.rng.choice([1, 700])}],
        }
        if self.rng.random() < 0.4:
            body["stream"] = True
        if self.rng.random() < 0.2:
            body["tools"] = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
        if self.rng.random() < 0.2:
            body["max_tokens"] = self.rng.choice([10, 500])
        if self.rng.random() < 0.1:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
        return body


def judge(record: CallRecord, reached: list[str], case: oracle.Case) -> None:
    """Every attempt was allowed, in its place, and nothing arrived anywhere that is not on record."""
    by_name = {target.name: target for target in case.targets}
    attempted = [attempt.target for attempt in record.attempts]
    for target in by_name.values():
        if oracle.breaks(target, True, case) is not None:
            assert target.name not in attempted
            assert target.name not in reached
    assert set(reached) <= set(attempted) <= set(by_name)
    for index, attempt in enumerate(record.attempts):
        flows = by_name[attempt.target].participates
        if attempt.kind is AttemptKind.PRIMARY:
            assert index == 0
            assert Flow.PRIMARY in flows
        elif attempt.kind is AttemptKind.FALLBACK:
            assert case.fallback
            assert Flow.FALLBACK in flows
        else:
            assert attempted[index - 1] == attempt.target
    if not case.fallback:
        assert len(set(attempted)) <= 1


def test_no_attempt_reaches_a_target_that_may_not_serve(tmp_path: Path) -> None:
    now = time.time()
    rounds = [Round(number, now) for number in range(ROUNDS)]
    scripts = {target.model: outages(r.rng) for r in rounds for target in r.case.targets}
    kinds: set[str] = set()
    with s.scripted(scripts) as upstream:
        parts = [provider(name, upstream.base_url) for name in PROVIDERS]
        for r in rounds:
            parts += [*r.case.targets, r.policy, r.workflow, r.key]  # type: ignore[list-item]  # document() sorts them
        with worker(tmp_path, document(*parts)) as gateway:
            for r in rounds:
                for _ in range(CALLS):
                    kinds |= one_call(gateway, upstream, r)
            gateway.assert_sound()
    assert kinds >= {"primary", "retry", "fallback", "refused"}, "the draw must reach every path"


def one_call(gateway: Worker, upstream: s.Scripted, r: Round) -> set[str]:
    """One random call, by the workflow's name or straight at a target; what happened on it."""
    direct = r.rng.random() < 0.2
    case = r.case
    name = r.workflow.name
    if direct:
        only = r.rng.choice(case.targets)
        name = only.name
        case = msgspec.structs.replace(
            case, targets=(only,), conditions=(oracle.WELL,), secrets=(True,), requires=(), fallback=False
        )
    body = r.body(name)
    case = msgspec.structs.replace(case, need=openai_chat.read(msgspec.json.encode(body)).need)
    before = {model: len(bodies) for model, bodies in upstream.seen.items()}
    reply: Reply = gateway.ask(body, key=r.secret)
    record = gateway.record(reply.call_id)
    by_model = {target.model: target.name for target in r.case.targets}
    reached = [by_model[model] for model, bodies in list(upstream.seen.items()) if len(bodies) > before.get(model, 0)]
    judge(record, reached, case)
    if not record.attempts:
        assert reply.status in (422, 503), reply.body
        return {"refused"}
    return {str(attempt.kind) for attempt in record.attempts}
