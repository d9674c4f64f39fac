"""A canary in every secret: whatever goes wrong, none of them is ever seen."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pointsman.core.target import Timeouts
from tests.gateway import scripted as s
from tests.gateway.registry import document, provider, target
from tests.gateway.wire import calling, chat, request
from tests.gateway.worker import Worker, key, worker

PROVIDER_SECRET = "sk-canary-provider-5f2a9c"
FILE_SECRET = "sk-canary-file-77d1e0"
EXTRA_HEADER = "extra-3b9aa1"
CLIENT_KEY = "pm-canary-client-0c4e6d"
WRONG_KEY = "pm-canary-wrong-91bb20"
SECRETS = [PROVIDER_SECRET, FILE_SECRET, CLIENT_KEY, WRONG_KEY]
SHORT = Timeouts(connect=1.0, first_token=0.2, idle=0.2, total=1.0)


def echo(status: int, secret: str, kind: str = "application/json") -> s.Script:
    """Say back, in every field of an error, the credential that came."""

    def script(connection: socket.socket, _: bytes) -> None:
        body = {"error": dict.fromkeys(("message", "type", "param", "code"), f"you sent {secret}")}
        connection.sendall(s.answer(status, body, kind))

    return script


def stream_echo(secret: str, *before: bytes) -> s.Script:
    error = b'data: {"error":{"message":"bad key %b","code":"%b"}}\n\n'
    return s.streaming(*before, error % (secret.encode(), secret.encode()))


def scripts(vendor: str, secret: str) -> dict[str, s.Script]:
    found: dict[str, s.Script] = {
        "well": s.saying(s.answer(200, s.completion())),
        "stream-well": s.streaming(s.event("a"), s.event(finish="stop"), s.DONE),
        **{f"echo-{status}": echo(status, secret) for status in (200, 400, 401, 403, 404, 422, 429, 500, 503)},
        "echo-html": echo(500, secret, "text/html"),
        "stream-echo-first": stream_echo(secret),
        "stream-echo-late": stream_echo(secret, s.event("a")),
        "stream-nonsense": s.streaming(s.event("a"), b"data: {" + secret.encode() + b"\n\n"),
        "cut": s.saying(s.answer(200, s.completion())[:-20]),
    }
    return {f"{vendor}-{name}": script for name, script in found.items()}


SCRIPTS = scripts("up", PROVIDER_SECRET) | scripts("filed", FILE_SECRET)


@pytest.fixture(scope="module")
def upstream() -> Iterator[s.Scripted]:
    with s.scripted(SCRIPTS) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: s.Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "secret.txt").write_text(FILE_SECRET + "\n")
    headers = (("x-extra", EXTRA_HEADER),)
    parts = document(
        provider("up", upstream.base_url, credential="env:CANARY", headers=headers),
        provider("filed", upstream.base_url, credential=f"file:{folder / 'secret.txt'}"),
        provider("gone", "http://127.0.0.1:1/v1", credential="env:CANARY"),
        *(target(f"{model.split('-')[0]}:{model}", timeouts=SHORT) for model in SCRIPTS),
        target("gone:far"),
        key(CLIENT_KEY),
    )
    with worker(folder / "gateway", parts, env={"CANARY": PROVIDER_SECRET}) as running:
        yield running
        running.assert_sound()


def test_the_secrets_do_reach_the_provider(gateway: Worker, upstream: s.Scripted) -> None:
    gateway.ask(chat("up:up-well"), key=CLIENT_KEY)
    gateway.ask(chat("filed:filed-well"), key=CLIENT_KEY)
    up, filed = upstream.heads["up-well"][-1], upstream.heads["filed-well"][-1]
    assert f"authorization: Bearer {PROVIDER_SECRET}".encode() in up
    assert f"x-extra: {EXTRA_HEADER}".encode() in up
    assert f"authorization: Bearer {FILE_SECRET}".encode() in filed
    assert CLIENT_KEY.encode() not in up + filed, "a caller's key stays here"


def test_no_secret_is_ever_seen(gateway: Worker) -> None:
    """Good calls, every failing one, wrong keys and nonsense; then every byte that came back and every file."""
    seen = b""
    with calling(gateway.port) as caller:
        for model in SCRIPTS:
            for stream in (False, True):
                caller.send(request(chat(f"{model.split('-')[0]}:{model}", stream=stream), key=CLIENT_KEY))
                reply = caller.response()
                seen += f"{reply.status} {reply.headers}".encode() + reply.body
    for path in ("/v1/models", "/v1/models/up:up-well", "/metrics", "/readyz", "/nowhere"):
        seen += gateway.ask(method="GET", path=path, key=CLIENT_KEY).body
    for body in (chat("gone:far"), chat("nothing"), b"{", {"model": "up:up-well"}):
        reply = gateway.ask(body, key=CLIENT_KEY)
        seen += str(reply.headers).encode() + reply.body
    seen += gateway.ask(chat("up:up-well"), key=WRONG_KEY).body
    seen += gateway.ask(chat("up:up-well"), key=None, headers={"authorization": f"Basic {CLIENT_KEY}"}).body
    gateway.record(gateway.ask(chat("up:up-well"), key=CLIENT_KEY).call_id)
    files = [path for path in [*gateway.places.root.rglob("*"), gateway.log] if path.is_file()]
    assert any(path.suffix == ".spool" for path in files)
    for secret in SECRETS:
        assert secret.encode() not in seen
        for file in files:
            assert secret.encode() not in file.read_bytes(), file
    assert b"[redacted]" in seen


def test_a_callers_headers_do_not_reach_the_provider(gateway: Worker, upstream: s.Scripted) -> None:
    sent = {
        "x-sim-fault": "down",
        "openai-organization": "theirs",
        "cookie": "a=b",
        "x-forwarded-for": "1.2.3.4",
        "host": "elsewhere",
        "x-api-key": CLIENT_KEY,
        "proxy-authorization": "Basic x",
    }
    gateway.ask(chat("up:up-well", base_url="http://evil", api_key="x"), key=CLIENT_KEY, headers=sent)
    head = upstream.heads["up-well"][-1].lower()
    for name in ("x-sim-fault", "openai-organization", "cookie", "x-forwarded-for", "elsewhere", "proxy-auth"):
        assert name.encode() not in head
