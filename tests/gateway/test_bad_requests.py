"""Whatever is sent as a request gets a clear error in OpenAI's shape, and nothing breaks."""

from __future__ import annotations

import openai
import pytest

from tests.gateway.wire import KEY, calling, chat, request
from tests.gateway.worker import Worker

MANY = 100_000
MESSAGES = '[{"role":"user","content":"x"}]'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b" ", "invalid_json"),
        (b"{", "invalid_json"),
        (b"null", "invalid_request"),
        (b"[]", "invalid_request"),
        (b'"good"', "invalid_request"),
        (b"{}", "invalid_request"),
        (b'{"model":"good","messages":[]} x', "invalid_json"),
        (b'{"model":"good",}', "invalid_json"),
        (b"{'model':'good'}", "invalid_json"),
        (b'{"model":NaN}', "invalid_json"),
        (b'\xff\xfe{"model":"good"}', "invalid_json"),
        (b'\xef\xbb\xbf{"model":"good"}', "invalid_json"),
        (b'{"model":"\xff","messages":[]}', "invalid_json"),
        (b'{"model":"\xed\xa0\x80","messages":[]}', "invalid_json"),
        (b'{"model":"\\ud800","messages":[]}', "invalid_json"),
        (b'{"model":"a\x00b","messages":[]}', "invalid_json"),
        (b'{"model":"good","messages":' + b"[" * MANY + b"]" * MANY + b"}", "invalid_json"),
        (b'{"model":"good","messages":[],"x":' + b'{"a":' * MANY + b"1" + b"}" * MANY + b"}", "invalid_json"),
        (b"[" * MANY, "invalid_request"),
        (b'{"model":' * MANY, "invalid_request"),
        (b"\x1f\x8b\x08\x00garbage", "invalid_json"),
        (b"model=good&messages=x", "invalid_json"),
    ],
    ids=range(23),
)
def test_what_is_no_json_request_is_refused_by_name(gateway: Worker, body: bytes, code: str) -> None:
    reply = gateway.ask(body)
    assert reply.status == 400
    assert reply.code == code
    assert gateway.record(reply.call_id).error == code
    assert len(reply.error["message"]) < 500


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ('"messages":' + MESSAGES, "model"),
        ('"model":null,"messages":' + MESSAGES, "model"),
        ('"model":7,"messages":' + MESSAGES, "model"),
        ('"model":["good"],"messages":' + MESSAGES, "model"),
        ('"model":"good"', "messages"),
        ('"model":"good","messages":null', "messages"),
        ('"model":"good","messages":"x"', "messages"),
        ('"model":"good","messages":{}', "messages"),
        (f'"model":"good","messages":{MESSAGES},"stream":"true"', "stream"),
        (f'"model":"good","messages":{MESSAGES},"stream":1', "stream"),
        (f'"model":"good","messages":{MESSAGES},"stream_options":[]', "stream_options"),
        (f'"model":"good","messages":{MESSAGES},"tools":{{}}', "tools"),
        (f'"model":"good","messages":{MESSAGES},"max_tokens":"7"', "max_tokens"),
        (f'"model":"good","messages":{MESSAGES},"max_completion_tokens":1.5', "max_completion_tokens"),
        (f'"model":"good","messages":{MESSAGES},"response_format":"json"', "response_format"),
    ],
)
def test_a_wrong_type_names_its_field(gateway: Worker, fields: str, param: str) -> None:
    reply = gateway.ask(b"{%b}" % fields.encode())
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert reply.error["param"] == param
    assert param in reply.error["message"]


@pytest.mark.parametrize("given", [None, 7, {}, [], [None], [[1, "a"]], [{"text": "a"}]])
def test_an_input_that_cannot_be_embedded_names_its_field(gateway: Worker, given: object) -> None:
    reply = gateway.ask({"model": "up:embed", "input": given}, "/v1/embeddings")
    assert (reply.status, reply.error["param"]) == (400, "input")


def test_a_very_long_name_is_shown_in_part(gateway: Worker) -> None:
    reply = gateway.ask(chat("x" * 1_000_000))
    assert reply.status == 404
    assert len(reply.body) < 1000
    assert len(gateway.record(reply.call_id).requested) == 256


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "GZIP", "gzip, identity", "x" * 1000])
def test_a_compressed_body_is_refused_unread(gateway: Worker, encoding: str) -> None:
    reply = gateway.ask(b"\x1f\x8b", headers={"content-encoding": encoding})
    assert (reply.status, reply.code) == (415, "unsupported_content_encoding")
    assert gateway.ask(chat("good"), headers={"content-encoding": "identity"}).status == 200


HUNDRED_MB = 100 << 20


def pieces(total: int) -> list[bytes]:
    piece = b"x" * (1 << 20)
    return [piece] * (total >> 20)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_hundred_megabytes_get_a_413_that_their_sender_lives_to_read(gateway: Worker, framing: str) -> None:
    before = gateway.rss()
    with calling(gateway.port) as caller:
        if framing == "length":
            caller.socket.sendall(
                request(b"", headers={"content-length": str(HUNDRED_MB)}).replace(b"content-length: 0\r\n", b"")
            )
            for piece in pieces(HUNDRED_MB):
                caller.socket.sendall(piece)
        else:
            caller.socket.sendall(
                request(b"", headers={"transfer-encoding": "chunked"}).replace(b"content-length: 0\r\n", b"")
            )
            for piece in pieces(HUNDRED_MB):
                caller.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            caller.socket.sendall(b"0\r\n\r\n")
        reply = caller.response()
        assert (reply.status, reply.code) == (413, "body_too_large")
        assert reply.headers["connection"] == "close"
        assert caller.at_end()
    assert gateway.record(reply.call_id).error == "body_too_large"
    assert gateway.rss() - before < (80 << 20), "what is too large is not kept"


def test_the_sdk_reads_the_413(gateway: Worker) -> None:
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        client.chat.completions.create(model="good", messages=[{"role": "user", "content": "x" * (40 << 20)}])
    assert caught.value.status_code == 413
    assert caught.value.code == "body_too_large"


def test_the_sdk_reads_a_401_for_a_large_body_that_nobody_read(gateway: Worker) -> None:
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="nobody") as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="good", messages=[{"role": "user", "content": "x" * (20 << 20)}])
    assert caught.value.code == "invalid_api_key"


def test_a_large_body_within_bounds_is_served(gateway: Worker) -> None:
    reply = gateway.ask(chat("good", "x" * 1000, padding="y" * (10 << 20)))
    assert reply.status == 200
    assert gateway.record(reply.call_id).request_bytes > 10 << 20
