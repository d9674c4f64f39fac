"""Which path is what: compared raw, as it came."""

from __future__ import annotations

import pytest

from tests.gateway.conftest import NARROW
from tests.gateway.wire import calling, chat, request
from tests.gateway.worker import Worker


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
def test_chat_is_served_with_and_without_v1(gateway: Worker, path: str) -> None:
    assert gateway.ask(chat("good"), path).status == 200


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_embeddings_are_served_with_and_without_v1(gateway: Worker, path: str) -> None:
    assert gateway.ask({"model": "up:embed", "input": "a"}, path).status == 200


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/v1/chat/completions", "/v1 twice"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/v1/embedding", "/v1/embeddings"),
        ("/v1/completions", "/v1/"),
        ("/health", "/healthz"),
    ],
)
def test_an_unknown_path_gets_the_nearest_one(gateway: Worker, path: str, hint: str) -> None:
    reply = gateway.ask(chat("good"), path)
    assert (reply.status, reply.code) == (404, "not_found")
    assert hint in reply.error["message"]
    assert reply.error["call_id"] == ""


TRICKS = [
    "/v1/chat/completions/../embeddings",
    "/v1/chat/../chat/completions",
    "/v1/chat%2fcompletions",
    "/v1/chat%2Fcompletions",
    "/v1/%63hat/completions",
    "/v1//chat/completions",
    "//v1/chat/completions",
    "/v1/chat/completions;x=1",
    "/v1/chat/completions%00",
    "/V1/chat/completions",
    "/v1/chat/completions#fragment",
    "http://elsewhere/v1/chat/completions",
    "/v1/modelsx",
    "/metrics/",
    "/metrics/../v1/chat/completions",
    "/healthz%2f..%2fmetrics",
    "*",
    "/" + "a" * 5000,
    "/\\..\\v1\\chat\\completions",
]


@pytest.mark.parametrize("path", TRICKS, ids=range(len(TRICKS)))
def test_a_path_that_only_looks_like_one_is_none(gateway: Worker, path: str) -> None:
    reply = gateway.ask(chat("up:mini"), path, key=NARROW)
    assert reply.status in (400, 404)
    assert reply.code in ("not_found", "invalid_request")
    assert len(reply.error["message"]) < 400


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/chat/completions", "POST"),
        ("DELETE", "/embeddings", "POST"),
        ("OPTIONS", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/good", "GET"),
        ("POST", "/healthz", "GET"),
        ("POST", "/readyz", "GET"),
        ("DELETE", "/metrics", "GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(gateway: Worker, method: str, path: str, right: str) -> None:
    reply = gateway.ask(method=method, path=path)
    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert f"takes {right}" in reply.error["message"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/models"])
def test_head_says_what_get_would_without_a_body(gateway: Worker, path: str) -> None:
    with calling(gateway.port) as caller:
        caller.send(request(method="HEAD", path=path) + request(method="GET", path="/healthz"))
        head = caller.response("HEAD")
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["content-length"]) > 0
        assert caller.response().body == b"ok\n"


def test_head_of_a_call_is_refused_without_a_body(gateway: Worker) -> None:
    with calling(gateway.port) as caller:
        caller.send(request(method="HEAD") + request(method="GET", path="/healthz"))
        assert caller.response("HEAD").status == 405
        assert caller.response().body == b"ok\n"


def test_health_and_metrics_take_no_key(gateway: Worker) -> None:
    for path, said in (("/healthz", b"ok"), ("/readyz", b"ready"), ("/metrics", b"pointsman_requests_total")):
        reply = gateway.ask(method="GET", path=path, key=None)
        assert reply.status == 200
        assert said in reply.body
