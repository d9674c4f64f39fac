"""A provider and a worker that most tests here share: they change neither."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pointsman.core.capability import ALL_CAPABILITIES, IMAGE_INPUT, Task
from pointsman.core.document import AliasSpec, Document
from pointsman.core.policy import WorkflowSpec
from pointsman.testing.simulator import Settings, SimulatorThread
from tests.gateway.registry import document, policy, provider, target
from tests.gateway.worker import Worker, key, worker

NARROW = "pm-tests-narrow"
EXPIRED = "pm-tests-expired"
TAGGED = "pm-tests-tagged"
ELSEWHERE = "pm-tests-elsewhere"


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    """A provider that behaves, unless a model name asks for a fault (`model#fault`)."""
    with SimulatorThread(settings=Settings(name="premium", dimensions=8)) as running:
        yield running


def shared_document(base_url: str) -> Document:
    """Workflows, aliases, targets and keys of every kind."""
    return document(
        provider("up", base_url),
        provider("other", base_url),
        target("up:good-2024-08-06", tags=("regulated-ok",)),
        target("up:mini", capabilities=ALL_CAPABILITIES & ~IMAGE_INPUT),
        target("up:embed", task=Task.EMBEDDING),
        target("up:org/model:7b"),
        target("up:unpriced", prices=None),
        target("up:broken", "broken#server_error:500"),
        target("up:dead", "dead#server_error:500"),
        target("up:mistaken", "mistaken#stream_error:3"),
        target("up:slow", "slow#latency:80ms"),
        target("up:slow-stream", "slow#token_delay:5ms"),
        AliasSpec("good", "up:good-2024-08-06"),
        AliasSpec("drifting", "up:drifting"),
        target("up:drifting", "drifting#other_model:quite-another"),
        policy("regulated", "up:good-2024-08-06", "up:mini", tags=("regulated-ok",)),
        policy("sturdy", "up:broken", "up:good-2024-08-06"),
        policy("hopeless", "up:mini", tags=("regulated-ok",)),
        WorkflowSpec("support-answer", "regulated", owner="support"),
        WorkflowSpec("sturdy-answer", "sturdy"),
        WorkflowSpec("hopeless-answer", "hopeless"),
        key(),
        key(NARROW, "narrow", allow=0),
        key(EXPIRED, "expired", expires=1_700_000_000),
        key(TAGGED, "tagged", require_tags=("regulated-ok",)),
        key(ELSEWHERE, "elsewhere", providers=("other",)),
        allow_sets=(("support-answer", "good", "up:org/model:7b"),),
    )


@pytest.fixture(scope="module")
def gateway(simulator: SimulatorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker on `shared_document`; at the end it must be sound."""
    with worker(tmp_path_factory.mktemp("gateway"), shared_document(simulator.base_url)) as running:
        yield running
        running.assert_sound()
