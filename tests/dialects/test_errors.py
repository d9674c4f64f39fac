"""Errors: the upstream's on the way in, ours on the way out."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import openai
import pytest

from pointsman.core.errors import ERRORS, GatewayError
from pointsman.core.policy import FailureKind
from pointsman.dialects import openai_chat, openai_embeddings
from tests.dialects.recordings import recorded

K = FailureKind


@pytest.mark.parametrize(
    ("status", "kind", "client"),
    [
        (400, K.INVALID_REQUEST, True),
        (401, K.AUTH, False),
        (402, K.AUTH, False),
        (403, K.AUTH, False),
        (404, K.NOT_FOUND, False),
        (405, K.NOT_FOUND, False),
        (408, K.TIMEOUT, False),
        (409, K.SERVER_ERROR, False),
        (413, K.INVALID_REQUEST, True),
        (418, K.INVALID_REQUEST, True),
        (422, K.INVALID_REQUEST, True),
        (425, K.OVERLOADED, False),
        (429, K.RATE_LIMITED, False),
        (498, K.OVERLOADED, False),
        (500, K.SERVER_ERROR, False),
        (502, K.SERVER_ERROR, False),
        (503, K.OVERLOADED, False),
        (504, K.TIMEOUT, False),
        (529, K.OVERLOADED, False),
        (302, K.SERVER_ERROR, False),
        (204, K.SERVER_ERROR, False),
        (599, K.SERVER_ERROR, False),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>x</html>", b'{"error":{"message":"m"}}'], ids=["none", "html", "json"])
def test_a_status_tells_the_kind(status: int, kind: FailureKind, client: bool, body: bytes) -> None:
    failure = openai_chat.failure(status, body, 3.0)
    assert (failure.kind, failure.client_error, failure.retry_after) == (kind, client, 3.0)
    assert openai_embeddings.failure(status, body, 3.0) == failure


@pytest.mark.parametrize(
    ("status", "error", "kind", "client", "detail"),
    [
        (
            400,
            {"code": "context_length_exceeded", "message": "m"},
            K.CONTEXT_EXCEEDED,
            True,
            "context_length_exceeded",
        ),
        (400, {"code": "content_filter", "message": "m"}, K.CONTENT_FILTERED, True, "content_filter"),
        (400, {"code": "content_policy_violation"}, K.CONTENT_FILTERED, True, "content_policy_violation"),
        (400, {"type": "invalid_request_error", "message": "m"}, K.INVALID_REQUEST, True, "invalid_request_error"),
        (401, {"code": "invalid_api_key", "message": "m"}, K.AUTH, False, "invalid_api_key"),
        (404, {"code": "model_not_found", "message": "m"}, K.NOT_FOUND, False, "model_not_found"),
        (429, {"code": "insufficient_quota", "message": "m"}, K.RATE_LIMITED, False, "insufficient_quota"),
        (429, {"code": 429, "message": "m"}, K.RATE_LIMITED, False, "429"),
        (500, {"type": "server_error", "message": "m"}, K.SERVER_ERROR, False, "server_error"),
        (500, {"type": "overloaded_error", "message": "m"}, K.OVERLOADED, False, "overloaded_error"),
        (500, {"message": None, "code": None, "type": None}, K.SERVER_ERROR, False, ""),
        (500, "in words", K.SERVER_ERROR, False, ""),
    ],
)
def test_a_code_tells_more(
    status: int, error: str | dict[str, Any], kind: FailureKind, client: bool, detail: str
) -> None:
    failure = openai_chat.failure(status, json.dumps({"error": error}).encode(), None)
    expected = f"status {status}, {detail}" if detail else f"status {status}"
    assert (failure.kind, failure.client_error, failure.detail) == (kind, client, expected)
    assert failure.said == (error if isinstance(error, str) else (error.get("message") or ""))


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"message":"top level"}', "top level"),
        (b'{"detail":"voyage"}', '"voyage"'),
        (b'{"detail":[{"loc":["body"]}]}', '[{"loc":["body"]}]'),
        (b'[{"error":{"message":"google"}}]', '[{"error":{"message":"google"}}]'),
        (b"<html><body>502 Bad Gateway</body></html>\n", "<html><body>502 Bad Gateway</body></html>"),
        (b"\xff\xfe", "��"),
        (b'{"error":5}', '{"error":5}'),
        (b'{"error":{"message":{"deep":1}}}', '{"error":{"message":{"deep":1}}}'),
        (b"{}", ""),
        (b"", ""),
    ],
)
def test_other_shapes_are_told_as_they_are(body: bytes, detail: str) -> None:
    """The words go to the caller; on record is only the status, for the words may quote what was asked."""
    failure = openai_chat.failure(500, body, None)
    assert (failure.said, failure.detail) == (detail, "status 500")


@pytest.mark.parametrize("body", [b"[" * 100_000, b"x" * 10**6, b'{"error":{"code":' + b"9" * 9000 + b"}}"])
def test_hostile_bodies_cost_little_and_break_nothing(body: bytes) -> None:
    failure = openai_chat.failure(502, body, None)
    assert failure.kind is K.SERVER_ERROR
    assert len(failure.said) <= 300
    assert len(failure.detail) <= 100


def test_every_recorded_error_has_a_sensible_kind() -> None:
    expected = {400: (K.INVALID_REQUEST, True), 404: (K.NOT_FOUND, False), 429: (K.RATE_LIMITED, False)}
    for exchange in [*recorded("openai_chat", ok=False), *recorded("openai_embeddings", ok=False)]:
        failure = openai_chat.failure(exchange.status, exchange.body, None)
        assert (failure.kind, failure.client_error) == expected[exchange.status], exchange.id
        assert failure.detail


SDK_CLASSES: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}


@pytest.mark.parametrize("code", ERRORS)
def test_our_errors_are_what_the_sdk_parses(code: str) -> None:
    error = GatewayError(code, 'Wrong: "quotes", ☃ and \n lines.', param="messages[0]")
    answer = httpx2.Response(error.kind.status, content=openai_chat.error(error, "call-1"))

    async def ask() -> None:
        transport = httpx2.MockTransport(lambda _: answer)
        async with httpx2.AsyncClient(transport=transport) as http:
            client = openai.AsyncOpenAI(api_key="k", base_url="http://test", http_client=http, max_retries=0)
            await client.chat.completions.create(model="m", messages=[])

    wanted = SDK_CLASSES.get(
        error.kind.status, openai.InternalServerError if error.kind.status >= 500 else openai.APIStatusError
    )
    with pytest.raises(wanted) as caught:
        asyncio.run(ask())
    said = caught.value
    assert (said.code, said.param, said.type) == (code, "messages[0]", error.kind.type)
    assert isinstance(said.body, dict)
    assert (said.body["message"], said.body["call_id"]) == (error.message, "call-1")


def test_an_error_inside_a_stream_is_raised_by_the_sdk() -> None:
    event = openai_chat.stream_error(GatewayError("stream_interrupted", "It broke off."), "call-1")
    stream = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n' + event
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)

    async def read() -> list[str]:
        seen: list[str] = []
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: answer)) as http:
            client = openai.AsyncOpenAI(api_key="k", base_url="http://test", http_client=http, max_retries=0)
            chunks = await client.chat.completions.create(model="m", messages=[], stream=True)
            try:
                async for chunk in chunks:
                    seen.append(chunk.choices[0].delta.content or "")
            except openai.APIError as error:
                seen.append(f"{error.code}: {error.message}")
        return seen

    assert asyncio.run(read()) == ["a", "stream_interrupted: It broke off."]


def test_an_error_without_a_param_says_null() -> None:
    body = json.loads(openai_chat.error(GatewayError("overloaded", "Busy."), ""))
    assert body == {
        "error": {
            "message": "Busy.",
            "type": "service_unavailable",
            "param": None,
            "code": "overloaded",
            "call_id": "",
        }
    }
