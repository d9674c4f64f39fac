"""The admin API over a real socket: every route, its lock, its errors, and its reference."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from pointsman.control.api.app import make_routes
from pointsman.control.parts import Control
from pointsman.core.record import Attempt, AttemptKind, Outcome
from pointsman.telemetry.spool import SpoolWriter
from tests.control.making import BACKUP, TOKEN, new_control, sent, served, text_of, with_alias, worker_says
from tests.store.making import ECONOMY, PREMIUM, START_NS, record, refused

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "admin-api.md"
ALL = "since=2020-01-01T00:00:00Z"


class Api:
    """A client that knows nothing but HTTP."""

    def __init__(self, url: str, control: Control) -> None:
        self.address = urlsplit(url).netloc
        self.control = control

    def raw(
        self, method: str, path: str, body: Any = None, token: str | None = TOKEN.value, data: bytes | None = None
    ) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        if body is not None:
            data = msgspec.json.encode(body)
        if data is not None:
            headers["content-type"] = "application/json"
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        said = response.status, response.headers.get("content-type", ""), response.read()
        connection.close()
        return said

    def get(self, path: str) -> Any:
        status, _, body = self.raw("GET", "/api/v1" + path)
        assert status == 200, body
        return msgspec.json.decode(body)

    def refused(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """An answer that has to be in the one shape of all errors."""
        status, kind, said = self.raw(method, "/api/v1" + path, body)
        problem: dict[str, Any] = msgspec.json.decode(said)
        assert kind == "application/problem+json"
        assert problem["status"] == status >= 400
        assert problem["title"]
        assert problem["code"]
        assert problem["detail"]
        return problem


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    control = new_control(tmp_path_factory.mktemp("data"))
    control.publisher.apply(sent(text_of()))
    writer = SpoolWriter(control.places.spool, "w1")
    for n in range(12):
        writer.call(record(n))
    tried = (
        Attempt(PREMIUM, AttemptKind.PRIMARY, 0, 100, status=503, failure="server_error", cost_reason="no_usage"),
        Attempt(BACKUP, AttemptKind.FALLBACK, 200, 300, status=200, cost_nano=3),
    )
    writer.call(record(12, target=BACKUP, attempts=tried, cost_nano=None, cost_reason="no_usage", task="t-1"))
    writer.call(refused(13))
    writer.close()
    while control.ingest.run_once():
        pass
    with served(control) as url:
        yield Api(url, control)
    control.store.close()


def routes(control: Control) -> set[tuple[str, str]]:
    return {
        (method, re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path))
        for route in make_routes(control).routes
        for method in getattr(route, "methods", ())
        if method not in ("OPTIONS", "HEAD") and not route.path.startswith("/api/openapi")
    }


def test_the_reference_lists_every_route_and_no_other(api: Api) -> None:
    said = set(re.findall(r"^\| `(GET|POST|PUT|DELETE) (/\S*)` \|", REFERENCE.read_text(), re.MULTILINE))
    assert said == routes(api.control)


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN.value + "x", TOKEN.value[:-1], TOKEN.value.upper(), "ü"])
def test_no_route_but_healthz_answers_without_the_token(api: Api, token: str | None) -> None:
    paths = [(method, path.replace("{number}", "1")) for method, path in routes(api.control) if path != "/healthz"]
    for method, path in [*paths, ("GET", "/api/openapi/openapi.json"), ("GET", "/"), ("GET", "/nope")]:
        status, kind, body = api.raw(method, path, token=token)
        assert (status, kind) == (401, "application/problem+json"), path
        assert msgspec.json.decode(body)["code"] == "unauthorized"


@pytest.mark.parametrize(
    "path", ["/healthz/", "//healthz", "/healthz%2f..%2fapi%2fv1%2fstatus", "/api/v1/../../healthz"]
)
def test_only_the_exact_path_is_open(api: Api, path: str) -> None:
    assert api.raw("GET", path, token=None)[0] == 401


def test_healthz_is_open(api: Api) -> None:
    assert api.raw("GET", "/healthz", token=None)[0] == 200


def test_two_authorization_headers_are_no_authorization(api: Api) -> None:
    host, _, port = api.address.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"GET /api/v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            b"authorization: Bearer wrong\r\nauthorization: Bearer " + TOKEN.value.encode() + b"\r\n\r\n"
        )
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_the_description_is_openapi_3_1_and_has_every_route(api: Api) -> None:
    status, _, body = api.raw("GET", "/api/openapi/openapi.json")
    described = msgspec.json.decode(body)
    assert status == 200
    assert described["openapi"].startswith("3.1")
    assert {(m.upper(), path) for path, item in described["paths"].items() for m in item} == routes(api.control)


def test_status(api: Api) -> None:
    worker_says(api.control.places, "w1", 0, problem="cannot read it")
    said = api.get("/status")
    assert said["revision"]["number"] >= 1
    assert said["ingest"]["stored"] == 14
    assert said["workers"][0]["live"]
    assert any("cannot read it" in problem for problem in said["problems"])
    (api.control.places.workers / "w1.json").unlink()
    assert "no gateway worker is running" in api.get("/status")["problems"]


def test_apply_publishes_and_says_who_serves_it(api: Api) -> None:
    number = api.get("/status")["revision"]["number"]
    worker_says(api.control.places, "w1", number + 1)
    worker_says(api.control.places, "w2", number, problem="no such file")
    body = {"text": text_of(with_alias("by-api")), "author": "ann", "reason": "try", "based_on": number}
    status, _, said = api.raw("POST", "/api/v1/revisions", body)
    applied = msgspec.json.decode(said)
    assert (status, applied["changed"], applied["revision"]["number"]) == (200, True, number + 1)
    assert applied["served_by"] == ["w1"]
    assert [(w["worker"], w["problem"]) for w in applied["missing"]] == [("w2", "no such file")]
    assert api.get(f"/revisions/{number + 1}")["text"] == body["text"]
    assert api.get("/revisions")["revisions"][0]["author"] == "ann"
    assert api.get("/audit?limit=1")["entries"][0]["detail"] == "try"
    for worker in ("w1", "w2"):
        (api.control.places.workers / f"{worker}.json").unlink()
    stale = api.refused("POST", "/revisions", {**body, "based_on": number})
    assert (stale["status"], stale["code"], stale["current"]) == (409, "stale_base", number + 1)


def test_a_file_that_does_not_compile_is_refused_with_all_its_problems(api: Api) -> None:
    before = api.get("/status")["revision"]
    said = api.refused("POST", "/revisions", {"text": "{"})
    assert (said["status"], said["code"]) == (422, "registry_invalid")
    assert said["problems"][0]["mend"] == "write JSON"
    assert api.get("/status")["revision"] == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nope", None, 404, "not_found"),
        ("DELETE", "/status", None, 405, "method_not_allowed"),
        ("GET", "/revisions/999", None, 404, "not_found"),
        ("GET", "/revisions/x", None, 404, "not_found"),
        ("GET", "/targets/openai:gpt-5", None, 404, "not_found"),
        ("GET", "/calls/none", None, 404, "not_found"),
        ("GET", "/calls/none/explain", None, 404, "not_found"),
        ("GET", "/calls?limit=0", None, 400, "bad_request"),
        ("GET", "/calls?limit=many", None, 400, "bad_request"),
        ("GET", "/calls?since=yesterday", None, 400, "invalid_time"),
        ("GET", "/calls?cursor=1;2", None, 400, "invalid_cursor"),
        ("GET", "/coverage?since=1h&until=2h", None, 400, "invalid_time"),
        ("GET", "/report/targets/openai:nothing", None, 404, "not_found"),
        ("POST", "/revisions", {"txt": ""}, 400, "bad_request"),
        ("POST", "/revisions", {"text": 7}, 400, "bad_request"),
        ("POST", "/revisions", [], 400, "bad_request"),
        ("POST", "/explain", {"request": {"messages": []}}, 400, "invalid_request"),
        ("POST", "/explain", {"request": {"messages": 7}, "model": "x"}, 400, "invalid_request"),
        ("POST", "/explain", {"request": {}, "model": "gpt-4o", "key": "none"}, 400, "invalid_request"),
    ],
)
def test_refusals_have_one_shape(api: Api, method: str, path: str, body: Any, status: int, code: str) -> None:
    said = api.refused(method, path, body)
    assert (said["status"], said["code"]) == (status, code)


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b"[" * 100_000, b""])
def test_bodies_that_are_no_json_are_refused(api: Api, data: bytes) -> None:
    status, kind, _ = api.raw("POST", "/api/v1/revisions", data=data)
    assert (status, kind) == (400, "application/problem+json")


def test_a_bug_of_ours_says_nothing_of_its_inside(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(api.control.registry, "get", fail)
    said = api.refused("GET", "/targets")
    assert (said["status"], said["code"]) == (500, "internal_error")
    assert "canary" not in str(said)
    assert "canary" in caplog.text


def test_targets_policies_and_workflows_in_words(api: Api) -> None:
    target = api.get(f"/targets/{PREMIUM}")
    assert target["capabilities"]["tools"] == "yes"
    assert target["capabilities"]["json_schema"] == "no"
    assert target["usd_per_million"] == {"input": "2.5", "output": "10"}
    assert (target["prices_source"], target["prices_as_of"]) == ("price list", "2026-11-01")
    assert target["facts"]["task"]["source"] == "file"
    assert [t["name"] for t in api.get("/targets")["targets"]][:2] == [PREMIUM, ECONOMY]
    policy = api.get("/policies")["policies"][0]
    assert policy["require"]["tags"] == ["regulated-ok"]
    assert policy["candidates"][0] == {"target": PREMIUM, "weight": 1}
    assert api.get("/workflows")["workflows"][0]["owner"] == "support"


def test_calls_page_by_page(api: Api) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        page = api.get(f"/calls?limit=5&cursor={cursor}")
        seen += [call["call_id"] for call in page["calls"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert seen == [f"call-{n:08d}" for n in reversed(range(14))]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("outcome=refused", 1),
        ("target=" + BACKUP, 1),
        ("task=t-1", 1),
        ("key=nobody", 0),
        ("since=1h", 0),
        ("since=2026-01-01T00:00:00%2B02:00", 14),
        ("until=2026-01-01", 0),
    ],
)
def test_calls_filtered(api: Api, query: str, count: int) -> None:
    assert START_NS < 1_790_000_000 * 10**9
    assert len(api.get("/calls?limit=100&" + query)["calls"]) == count


def test_one_call_and_its_explanation(api: Api) -> None:
    call = api.get("/calls/call-00000012")
    assert [a["kind"] for a in call["attempts"]] == ["primary", "fallback"]
    assert call["dropped"][0]["meaning"]
    assert (call["cost_usd"], call["cost_reason"]) == (None, "no_usage")
    assert call["usage"]["input_tokens"] == 200
    said = api.get("/calls/call-00000012/explain")
    assert said["call"] == call
    assert said["need"][0] == "chat"
    assert said["story"]


def test_a_dry_run(api: Api) -> None:
    body = {"request": {"messages": [{"role": "user", "content": "hi"}]}, "model": "support-answer"}
    status, _, said = api.raw("POST", "/api/v1/explain", body)
    found = msgspec.json.decode(said)
    assert (status, found["order"]) == (200, [PREMIUM, BACKUP])
    assert found["dropped"][0]["reason"] == "missing_tag"
    assert found["revision"] == api.get("/status")["revision"]["number"]


def test_the_report_on_a_target(api: Api) -> None:
    found = api.get(f"/report/targets/{PREMIUM}?{ALL}")
    assert (found["registered"], found["state"]) == (True, "approved")
    assert (found["traffic"]["calls"], found["traffic"]["share"]) == (12, round(12 / 13, 6))
    assert {"kind": "primary", "failure": "server_error", "attempts": 1, "cost_usd": "0"} in found["traffic"][
        "attempts"
    ]
    assert found["cost"]["total_nano"] == 12 * 12345
    assert found["cost"]["per_call_usd"] == "0.000012345"
    assert found["quality"]["evaluations"].startswith("not measured")
    assert found["quality"]["outcomes"] == {"ok": 12}
    assert found["quality"]["latency_ms"]["p50"] == 1.1


def test_the_report_on_a_target_counts_unknown_costs_instead_of_zero(api: Api) -> None:
    cost = api.get(f"/report/targets/{BACKUP}?{ALL}")["cost"]
    assert (cost["unknown_cost_calls"], cost["unknown_cost_reasons"]) == (1, {"no_usage": 1})
    assert (cost["per_call_usd"], cost["per_successful_call_usd"]) == (None, None)


def test_coverage(api: Api) -> None:
    found = api.get(f"/coverage?{ALL}")
    assert (found["calls"], found["share_of_calls"], found["share_of_spend"]) == (14, round(13 / 14, 6), 1.0)
    assert [name["name"] for name in found["unknown_names"]] == ["gtp-4o"]


def test_without_a_registry_the_api_says_so(tmp_path: Path) -> None:
    control = new_control(tmp_path)
    with served(control) as url:
        empty = Api(url, control)
        assert empty.get("/status")["revision"] is None
        for path in ("/targets", "/policies", "/workflows"):
            assert empty.refused("GET", path)["code"] == "no_registry"
        assert empty.get("/coverage")["share_of_calls"] is None
        assert empty.get("/report/targets/a:b")["registered"] is False


def test_a_store_that_cannot_be_used_is_a_503(tmp_path: Path) -> None:
    import sqlite3

    control = new_control(tmp_path)
    control.publisher.apply(sent(text_of()))
    other = sqlite3.connect(control.places.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with served(control) as url:
            said = Api(url, control).refused("POST", "/revisions", {"text": text_of(with_alias("x"))})
    finally:
        other.close()
    assert (said["status"], said["code"]) == (503, "store_unavailable")


def test_outcome_words_are_those_of_the_records() -> None:
    assert [str(outcome) for outcome in Outcome] == ["ok", "refused", "failed", "cancelled", "interrupted"]
