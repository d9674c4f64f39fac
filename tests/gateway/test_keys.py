"""Who may call what: keys, the names they are for, and the list of models they see."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from pointsman.core.record import RouteKind
from pointsman.testing.simulator import SimulatorThread
from tests.gateway.conftest import ELSEWHERE, NARROW
from tests.gateway.registry import document, provider, target
from tests.gateway.wire import KEY, chat
from tests.gateway.worker import Worker, key, worker


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer   {KEY} "},
        {"AUTHORIZATION": f"BEARER {KEY}"},
        {"x-api-key": KEY},
        {"authorization": "Basic Zm9vOmJhcg==", "x-api-key": KEY},
        {"x-api-key": "nobody", "authorization": f"Bearer {KEY}"},
    ],
)
def test_a_key_comes_as_a_bearer_token_or_as_x_api_key(gateway: Worker, headers: dict[str, str]) -> None:
    assert gateway.ask(chat("good"), key=None, headers=headers).status == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_api_key"),
        ({"authorization": "Bearer"}, "missing_api_key"),
        ({"authorization": "Bearer  "}, "missing_api_key"),
        ({"authorization": KEY}, "missing_api_key"),
        ({"authorization": f"Basic {KEY}"}, "missing_api_key"),
        ({"authorization": f"Token {KEY}"}, "missing_api_key"),
        ({"authorization": f"Bearer {KEY}x"}, "invalid_api_key"),
        ({"authorization": f"Bearer {KEY.upper()}"}, "invalid_api_key"),
        ({"authorization": f"Bearer {KEY} {KEY}"}, "invalid_api_key"),
        ({"x-api-key": "ключ"}, "invalid_api_key"),
        ({"authorization": "Bearer nobody", "x-api-key": KEY}, "invalid_api_key"),
    ],
)
def test_anything_else_is_refused_before_the_body_is_read(gateway: Worker, headers: dict[str, str], code: str) -> None:
    reply = gateway.ask(b"not even JSON", key=None, headers=headers)
    assert (reply.status, reply.code) == (401, code)
    assert KEY not in reply.error["message"]


def test_a_query_cannot_change_what_the_body_asks_for(gateway: Worker) -> None:
    reply = gateway.ask(chat("support-answer"), "/v1/chat/completions?model=up:mini&key=x", key=NARROW)
    assert reply.headers["x-pointsman-target"] == "up:good-2024-08-06"


def test_of_two_models_in_one_body_the_one_that_is_checked_is_the_one_that_is_called(
    gateway: Worker, simulator: SimulatorThread
) -> None:
    body = b'{"model":"up:mini","messages":[{"role":"user","content":"twice"}],"model":"good"}'
    reply = gateway.ask(body, key=NARROW)
    assert reply.headers["x-pointsman-target"] == "up:good-2024-08-06"
    sent = next(r for r in reversed(simulator.requests) if b"twice" in r.body)
    assert sent.body.count(b'"model"') == 1
    assert sent.json["model"] == "good-2024-08-06"


def test_a_key_with_names_gets_near_matches_among_them_only(gateway: Worker) -> None:
    near = gateway.ask(chat("support-answr"), key=NARROW)
    assert (near.status, near.code) == (404, "model_not_found")
    assert "'support-answer'" in near.error["message"]
    secret = gateway.ask(chat("sturdy-answr"), key=NARROW).error["message"]
    assert "sturdy-answer'" not in secret
    assert "'sturdy-answer'" in gateway.ask(chat("sturdy-answr")).error["message"]


def test_a_forbidden_name_is_told_from_an_unknown_one_and_the_allowed_ones_are_named(gateway: Worker) -> None:
    reply = gateway.ask(chat("sturdy-answer"), key=NARROW)
    assert (reply.status, reply.code) == (403, "model_not_allowed")
    assert "support-answer" in reply.error["message"]


def test_a_key_bound_to_a_provider_is_served_by_no_other(gateway: Worker) -> None:
    reply = gateway.ask(chat("good"), key=ELSEWHERE)
    assert (reply.status, reply.code) == (422, "no_eligible_target")
    assert "key_provider" in reply.error["message"]


def test_the_list_of_models_is_what_the_key_may_use(gateway: Worker) -> None:
    def names(secret: str) -> list[str]:
        return [model["id"] for model in gateway.ask(method="GET", path="/v1/models", key=secret).json["data"]]

    assert names(NARROW) == ["good", "support-answer", "up:org/model:7b"]
    everything = names(KEY)
    assert everything == sorted(everything)
    assert {"sturdy-answer", "good", "up:mini"} <= set(everything)


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/v1/models/", "/v1/models?limit=1"])
def test_the_list_is_in_openais_shape(gateway: Worker, path: str) -> None:
    listed = gateway.ask(method="GET", path=path, key=NARROW).json
    assert listed["object"] == "list"
    assert listed["data"][0] == {"id": "good", "object": "model", "created": 0, "owned_by": "up"}


@pytest.mark.parametrize("secret", [None, "nobody", "pm-tests-expired"])
def test_the_list_takes_a_key(gateway: Worker, secret: str | None) -> None:
    assert gateway.ask(method="GET", path="/v1/models", key=secret).status == 401


@pytest.mark.parametrize("written", ["up:org/model:7b", quote("up:org/model:7b", safe=""), "up%3Aorg/model:7b"])
def test_a_model_is_found_however_its_name_is_written_in_the_path(gateway: Worker, written: str) -> None:
    reply = gateway.ask(method="GET", path=f"/v1/models/{written}", key=NARROW)
    assert (reply.status, reply.json["id"]) == (200, "up:org/model:7b")


@pytest.mark.parametrize("name", ["sturdy-answer", "good%00", "nothing", "%ff%fe", "good/../up:mini", "GOOD"])
def test_a_model_outside_the_list_is_not_found_by_its_name_either(gateway: Worker, name: str) -> None:
    reply = gateway.ask(method="GET", path=f"/v1/models/{name}", key=NARROW)
    assert (reply.status, reply.code) == (404, "model_not_found")


@pytest.fixture(scope="module")
def observing(simulator: SimulatorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker that lets unregistered names through to `up`."""
    parts = document(
        provider("up", simulator.base_url),
        target("up:known"),
        key(),
        key(NARROW, "narrow", allow=0),
        allow_sets=(("up:known",),),
        unregistered="up",
    )
    with worker(tmp_path_factory.mktemp("observing"), parts) as running:
        yield running
        running.assert_sound()


def test_an_unregistered_name_is_observed_and_marked(observing: Worker) -> None:
    reply = observing.ask(chat("gpt-new/one:2"))
    record = observing.record(reply.call_id)
    assert reply.status == 200
    assert reply.headers["x-pointsman-target"] == "up:gpt-new/one:2"
    assert "x-pointsman-cost-usd" not in reply.headers
    assert (record.route_kind, record.reported_model) == (RouteKind.UNREGISTERED, "gpt-new/one:2")
    assert (record.cost_nano, record.cost_reason) == (None, "unregistered")


def test_an_unregistered_name_is_never_for_a_key_with_a_list(observing: Worker, simulator: SimulatorThread) -> None:
    reply = observing.ask(chat("gpt-secret"), key=NARROW)
    assert (reply.status, reply.code) == (404, "model_not_found")
    assert not [r for r in simulator.requests if b"gpt-secret" in r.body]


@pytest.mark.parametrize("name", ["", "../etc", "a\nb", "x" * 300, "a b", "ä"])
def test_what_is_no_model_id_is_not_forwarded(observing: Worker, name: str) -> None:
    reply = observing.ask(chat(name))
    assert (reply.status, reply.code) == (404, "model_not_found")
