"""A new revision while calls go on: those in flight finish on theirs, none fails, and a bad one changes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pointsman.core.document import Document, document_hash, encode_document
from pointsman.core.places import Current, WorkerStatus, replace_file
from pointsman.testing.simulator import Settings, SimulatorThread
from tests.gateway.registry import document, provider, target
from tests.gateway.wire import calling, chat, request
from tests.gateway.worker import Worker, key, until, worker


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(settings=Settings(name="sim")) as running:
        yield running


@pytest.fixture
def gateway(sim: SimulatorThread, tmp_path: Path) -> Iterator[Worker]:
    with worker(tmp_path, first(sim)) as running:
        yield running
        running.assert_sound()


@pytest.fixture(scope="module")
def steady(sim: SimulatorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker that is shown one bad revision after another, and goes on serving revision 1."""
    with worker(tmp_path_factory.mktemp("steady"), first(sim)) as running:
        yield running
        running.assert_sound()


def first(sim: SimulatorThread) -> Document:
    return document(
        provider("sim", sim.base_url),
        target("sim:one", "m"),
        target("sim:slow", "m#latency:500ms"),
        target("sim:tokens", "m#token_delay:15ms"),
    )


def second(sim: SimulatorThread) -> Document:
    """Everything is another: the provider's name, its targets, the key."""
    return document(provider("new", sim.base_url), target("new:two", "m"), key(), key("pm-new", "new"))


def status(gateway: Worker) -> WorkerStatus:
    return msgspec.json.decode((gateway.places.workers / "w0.json").read_bytes(), type=WorkerStatus)


def test_calls_in_flight_finish_on_the_revision_that_they_began_with(gateway: Worker, sim: SimulatorThread) -> None:
    with calling(gateway.port) as whole, calling(gateway.port) as stream:
        whole.send(request(chat("sim:slow")))
        stream.send(request(chat("sim:tokens", stream=True)))
        _, headers = stream.head()
        time.sleep(0.05)
        gateway.publish(second(sim), 2)
        until(lambda: gateway.ask(chat("new:two")).status == 200, 5.0)
        assert gateway.ask(chat("sim:one")).code == "model_not_found"
        reply = whole.response()
        text = b"".join(stream.chunks())
    assert (reply.status, reply.headers["x-pointsman-revision"]) == (200, "1")
    assert text.endswith(b"data: [DONE]\n\n")
    assert headers["x-pointsman-revision"] == "1"
    new = gateway.ask(chat("new:two"), key="pm-new")
    assert (new.status, new.headers["x-pointsman-revision"]) == (200, "2")
    old, streamed, newer = (gateway.record(c) for c in (reply.call_id, headers["x-pointsman-call-id"], new.call_id))
    assert [r.revision for r in (old, streamed, newer)] == [1, 1, 2]
    assert old.revision_hash == document_hash(first(sim))
    assert newer.revision_hash == document_hash(second(sim))


def test_a_connection_lives_on_across_a_change(gateway: Worker, sim: SimulatorThread) -> None:
    with calling(gateway.port) as caller:
        caller.send(request(chat("sim:one")))
        assert caller.response().headers["x-pointsman-revision"] == "1"
        gateway.publish(second(sim), 2)
        until(lambda: status(gateway).revision == 2)
        caller.send(request(chat("new:two")))
        assert caller.response().headers["x-pointsman-revision"] == "2"


def damaged(whole: bytes, how: str) -> bytes:
    lines = whole.splitlines(keepends=True)
    match how:
        case "empty":
            return b""
        case "cut short":
            return b"".join(lines[:-1])
        case "half a line":
            return whole[: len(whole) // 2]
        case "another format":
            return whole.replace(b'"format":1', b'"format":2', 1)
        case "no JSON":
            return b"\x00" * len(whole)
        case "one letter changed":
            return whole.replace(b"new:two", b"new:tow", 1)
        case "another revision's":
            return encode_document(Document(), 2)
    raise AssertionError(how)


@pytest.mark.parametrize(
    "how",
    ["empty", "cut short", "half a line", "another format", "no JSON", "one letter changed", "another revision's"],
)
def test_a_damaged_document_changes_nothing_and_is_shown(steady: Worker, sim: SimulatorThread, how: str) -> None:
    parts = second(sim)
    steady.places.revision(2).write_bytes(damaged(encode_document(parts, 2), how))
    replace_file(steady.places.current, msgspec.json.encode(Current(2, document_hash(parts))))
    assert_refused(steady, sim)


def assert_refused(steady: Worker, sim: SimulatorThread) -> None:
    """The newest revision is not served, which is said; what was served is served on; mended, all is well."""
    problem = until(lambda: status(steady).problem)
    assert status(steady).revision == 1
    assert problem in steady.log.read_text()
    assert steady.ask(chat("sim:one")).headers["x-pointsman-revision"] == "1"
    steady.publish(first(sim), 1)
    until(lambda: not status(steady).problem)


def broken_documents(base_url: str) -> dict[str, Document]:
    good = document(provider("new", base_url), target("new:two", "m"))

    def but(**changes: object) -> Document:
        return msgspec.structs.replace(good, **changes)

    from pointsman.core.document import AliasSpec, KeySpec, ProviderSpec, Unregistered
    from pointsman.core.policy import WorkflowSpec
    from tests.gateway.registry import policy

    return {
        "no such provider": but(targets=(target("gone:two"),)),
        "an alias to nothing": but(aliases=(AliasSpec("a", "new:none"),)),
        "a policy of nothing": but(policies=(policy("p", "new:none"),), workflows=(WorkflowSpec("w", "p"),)),
        "a workflow without its policy": but(workflows=(WorkflowSpec("w", "none"),)),
        "no such allow set": but(keys=(key(allow=7),)),
        "no such family": but(providers=(ProviderSpec("new", "carrier-pigeon", base_url),)),
        "no address": but(providers=(provider("new", "nonsense"),)),
        "a hash that is none": but(keys=(KeySpec("k", "zz"),)),
        "unregistered goes nowhere": but(unregistered=Unregistered("none")),
    }


@pytest.mark.parametrize("what", broken_documents("http://127.0.0.1:1/v1"))
def test_a_document_that_cannot_be_linked_changes_nothing_and_is_shown(
    steady: Worker, sim: SimulatorThread, what: str
) -> None:
    steady.publish(broken_documents(sim.base_url)[what], 2)
    assert_refused(steady, sim)


def test_a_document_that_is_late_is_waited_for(gateway: Worker, sim: SimulatorThread) -> None:
    parts = second(sim)
    replace_file(gateway.places.current, msgspec.json.encode(Current(2, document_hash(parts))))
    until(lambda: "cannot be read" in status(gateway).problem)
    gateway.places.revision(2).write_bytes(encode_document(parts, 2))
    until(lambda: status(gateway).revision == 2)
    until(lambda: not status(gateway).problem)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"revision":"2","hash":"x"}'])
def test_a_current_file_that_says_nothing_changes_nothing(steady: Worker, sim: SimulatorThread, content: bytes) -> None:
    replace_file(steady.places.current, content)
    assert_refused(steady, sim)


def test_a_hundred_changes_under_load_fail_not_one_request(gateway: Worker, sim: SimulatorThread) -> None:
    """Each change gives the targets another pool, so that in-flight calls hold what the new revision dropped."""

    def numbered(number: int) -> Document:
        headers = (("x-revision", str(number)),)
        return document(
            provider("sim", sim.base_url, headers=headers),
            target("sim:one", "m"),
            target("sim:tokens", "m#token_delay:1ms"),
            *(target(f"sim:extra-{number}-{place}", "m") for place in range(number % 7)),
        )

    ending = threading.Event()
    failures: list[str] = []
    revisions: set[int] = set()
    counts: list[int] = []

    def load(stream: bool) -> None:
        count = 0
        with calling(gateway.port) as caller:
            while not ending.is_set():
                caller.send(request(chat("sim:tokens" if stream else "sim:one", stream=stream, max_tokens=8)))
                reply = caller.response()
                count += 1
                revisions.add(int(reply.headers["x-pointsman-revision"]))
                if reply.status != 200 or (stream and not reply.body.endswith(b"data: [DONE]\n\n")):
                    failures.append(f"{reply.status} {reply.body[-300:]!r}")
        counts.append(count)

    threads = [threading.Thread(target=load, args=(bool(place % 2),)) for place in range(4)]
    for thread in threads:
        thread.start()
    # Faster than the worker looks, now and then: it may skip one, and must end on the last.
    for number in range(2, 102):
        gateway.publish(numbered(number), number)
        time.sleep(0.03)
    until(lambda: status(gateway).revision == 101)
    ending.set()
    for thread in threads:
        thread.join(10)
    assert not failures, failures[:3]
    assert sum(counts) > 100
    assert len(revisions) > 10
    assert len(gateway.records()) == sum(counts)
