"""The commands against a served gateway: what they say agrees with headers, records and one another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman.testing.simulator import SimulatorThread
from tests.system.books import prove, settle
from tests.system.caller import Answer, post
from tests.system.registry import BACKUP, NARROW_KEY, PREMIUM, chat, registry
from tests.system.stage import Served, serving

TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}]
STARTED = ("status", "calls", "coverage", f"report {PREMIUM}")


class Scene:
    """A gateway after a handful of calls, which are known by name."""

    def __init__(self, served: Served, config: dict[str, Any]) -> None:
        self.served = served
        self.config = config
        url = served.url
        self.calls: dict[str, Answer] = {
            "plain": post(url, chat(), x_pointsman_task="task-7"),
            "stream": post(url, chat(stream=True, max_tokens=3)),
            "fallback": post(url, chat("sturdy-answer")),
            "tools": post(url, chat("mixed-answer", tools=TOOLS)),
            "embedding": post(url, {"model": "embedder", "input": "ticket"}, path="/v1/embeddings"),
            "failed": post(url, chat("lost-answer")),
            "unknown": post(url, chat("suport-answer")),
            "forbidden": post(url, chat("sturdy-answer"), NARROW_KEY),
            "stranger": post(url, chat(), "pk-nobody"),
        }
        prove(served, list(self.calls.values()))


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, slow_streams: SimulatorThread, broken: SimulatorThread
) -> Iterator[Scene]:
    config = registry(slow_streams.base_url, broken.base_url)
    with serving(tmp_path_factory.mktemp("commands"), config) as served:
        yield Scene(served, config)


@pytest.mark.parametrize("name", ["plain", "stream", "fallback", "tools", "embedding", "failed"])
def test_an_explanation_agrees_with_the_headers(name: str, scene: Scene) -> None:
    answer = scene.calls[name]
    found = scene.served.ask("explain", answer.call_id)
    call = found["call"]
    assert call["call_id"] == answer.call_id
    assert call["status"] == answer.status
    assert call["revision"] == answer.revision
    assert call["target"] == answer.headers["x-pointsman-target"]
    assert call["policy"] == answer.headers.get("x-pointsman-policy", "")
    if name != "stream":
        assert len(call["attempts"]) == int(answer.headers["x-pointsman-attempts"])
        assert call["cost_usd"] == answer.headers.get("x-pointsman-cost-usd")
    assert [a["target"] for a in call["attempts"]][-1] == call["target"]
    assert set(call["order"]) | {d["target"] for d in call["dropped"]} >= {a["target"] for a in call["attempts"]}
    shown = scene.served.run("explain", answer.call_id, "--data-dir", str(scene.served.places.root))
    assert shown.returncode == 0
    for sentence in found["story"]:
        assert " ".join(sentence.split()) in " ".join(shown.stdout.split())


def test_an_explanation_names_every_attempt_and_every_reason(scene: Scene) -> None:
    fallback = scene.served.ask("explain", scene.calls["fallback"].call_id)["call"]
    kinds = [(a["kind"], a["target"], a["failure"]) for a in fallback["attempts"]]
    assert kinds[0] == ("primary", "other:broken-1", "server_error")
    assert kinds[-1] == ("fallback", PREMIUM, "")
    tools = scene.served.ask("explain", scene.calls["tools"].call_id)["call"]
    assert [(d["target"], d["reason"]) for d in tools["dropped"]] == [("main:plain-1", "lacks_capability")]
    assert tools["order"] == [PREMIUM]


def test_calls_are_listed_filtered_and_paged(scene: Scene) -> None:
    served = scene.served
    page = served.ask("calls")
    assert [c["call_id"] for c in page["calls"]] == [a.call_id for a in reversed(scene.calls.values())]
    first = served.ask("calls", "--limit", "4")
    second = served.ask("calls", "--limit", "100", "--cursor", first["next"])
    assert [c["call_id"] for c in first["calls"] + second["calls"]] == [c["call_id"] for c in page["calls"]]
    for words, names in (
        (("--task", "task-7"), ["plain"]),
        (("--outcome", "refused"), ["stranger", "forbidden", "unknown"]),
        (("--workflow", "sturdy-answer", "--key", "narrow"), ["forbidden"]),
    ):
        wanted = [scene.calls[name].call_id for name in names]
        assert [c["call_id"] for c in served.ask("calls", *words)["calls"]] == wanted
    shown = served.run("calls", "--data-dir", str(served.places.root))
    assert all(answer.call_id in shown.stdout for answer in scene.calls.values())


def test_a_report_counts_what_the_records_hold(scene: Scene) -> None:
    report = scene.served.ask("report", PREMIUM)
    mine = [c for c in scene.served.ask("calls")["calls"] if c["target"] == PREMIUM]
    assert report["traffic"]["calls"] == len(mine) == 4
    assert report["cost"]["total_nano"] == sum(c["cost_nano"] for c in mine)
    assert report["quality"]["outcomes"] == {"ok": 4}
    assert {row["name"] for row in report["traffic"]["by"]["workflow"]} == {
        "support-answer",
        "sturdy-answer",
        "mixed-answer",
    }


def test_status_says_that_all_is_well(scene: Scene) -> None:
    found = scene.served.ask("status")
    assert found["problems"] == []
    assert found["revision"]["number"] == 1
    assert [w["live"] for w in found["workers"]] == [True]
    assert found["ingest"]["stored"] == len(scene.calls)
    shown = scene.served.run("status", "--data-dir", str(scene.served.places.root))
    assert "All is well." in shown.stdout


def test_coverage_counts_unknown_names(scene: Scene) -> None:
    found = scene.served.ask("coverage")
    assert [(row["name"], row["calls"]) for row in found["unknown_names"]] == [("suport-answer", 1)]
    assert found["covered"]["calls"] == 6
    assert found["unregistered"]["calls"] == 0
    assert found["unnamed_calls"] == 1
    assert found["refused"]["calls"] == 1, "the name that the narrow key may not use is a registered one"


def test_coverage_counts_names_that_are_forwarded_for_observation(
    tmp_path: Path, slow_streams: SimulatorThread
) -> None:
    config = registry(slow_streams.base_url, unregistered={"observe": "main"})
    with serving(tmp_path, config) as served:
        answers = [post(served.url, chat(model)) for model in ("gpt-of-old", "gpt-of-old", "support-answer")]
        assert [a.status for a in answers] == [200, 200, 200]
        answers += [post(served.url, chat("a name that none can have"))]
        for answer in answers:
            assert answer.call_id
        settle(served, answers)
        found = served.ask("coverage")
        assert [(row["name"], row["calls"]) for row in found["unregistered_names"]] == [("gpt-of-old", 2)]
        assert [row["name"] for row in found["unknown_names"]] == ["a name that none can have"]
        assert found["covered"]["calls"] == 1
        assert found["share_of_calls"] == 0.25
        assert found["unregistered"]["cost_unknown"] == 2
        call = served.ask("explain", answers[0].call_id)["call"]
        assert (call["route_kind"], call["cost_usd"], call["cost_reason"]) == ("unregistered", None, "unregistered")


@pytest.mark.parametrize("offline", [False, True])
def test_a_dry_run_decides_as_the_call_did(offline: bool, scene: Scene) -> None:
    """By the server or by the file alone; refused requests have exit code 1."""
    served = scene.served
    request = served.folder / "request.json"
    request.write_text(json.dumps(chat("mixed-answer", tools=TOOLS)))
    where = ("--config", str(served.config)) if offline else ("--data-dir", str(served.places.root))
    words = ("explain", "--request", str(request), *where)
    done = served.run(*words, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["order"] == [PREMIUM]
    assert [(d["target"], d["reason"]) for d in found["dropped"]] == [("main:plain-1", "lacks_capability")]
    assert "lacks_capability" in served.run(*words).stdout
    other = served.run(*words, "--model", "support-answer", "--json")
    assert json.loads(other.stdout)["order"] == [PREMIUM, BACKUP]
    refused = served.run(*words, "--model", "sturdy-answer", "--key", "narrow", "--json")
    assert refused.returncode == 1
    assert "may not use" in json.loads(refused.stdout)["refusal"]


@pytest.mark.parametrize("command", STARTED)
def test_a_wrong_token_is_refused_on_standard_error(command: str, scene: Scene) -> None:
    env = {"POINTSMAN_ADMIN_TOKEN": "wrong-token-of-somebody-else"}
    for more in ((), ("--json",)):
        done = scene.served.run(*command.split(), *more, env=env)
        assert (done.returncode, done.stdout) == (1, "")
        assert "the admin token is not accepted" in done.stderr
        assert "wrong-token" not in done.stderr


@pytest.mark.parametrize("command", STARTED)
def test_without_a_server_commands_say_so_on_standard_error(command: str, scene: Scene) -> None:
    env = {"POINTSMAN_ADMIN_URL": "http://127.0.0.1:9", "POINTSMAN_ADMIN_TOKEN": "any-token-that-is-long"}
    done = scene.served.run(*command.split(), "--json", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not answer" in done.stderr
    assert "pointsman serve" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("explain", "call_nobody"), 1, "There is no record of call call_nobody"),
        (("explain",), 2, "give either a call id"),
        (("report", "main:premium-2"), 1, "Did you mean main:premium-1 or"),
        (("calls", "--since", "yesterday-ish"), 1, "since"),
        (("apply", "nowhere.yaml"), 2, "nowhere.yaml cannot be read"),
        (("coverage", "--nonsense"), 2, "No such option"),
    ],
)
def test_mistakes_are_told_on_standard_error(words: tuple[str, ...], code: int, said: str, scene: Scene) -> None:
    where = ("--data-dir", str(scene.served.places.root))
    done = scene.served.run(*words, *where)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_apply_says_what_it_did(scene: Scene, tmp_path: Path) -> None:
    """Last in this file: it changes the revision."""
    where = ("--data-dir", str(scene.served.places.root))
    path = tmp_path / "same.yaml"
    path.write_text(yaml.safe_dump(scene.config))
    same = scene.served.run("apply", str(path), *where)
    assert (same.returncode, same.stderr) == (0, "")
    assert "Nothing to do" in same.stdout
    path.write_text(yaml.safe_dump({**scene.config, "aliases": {}}))
    applied = json.loads(scene.served.run("apply", str(path), "--reason", "tidy", "--json", *where).stdout)
    assert (applied["changed"], len(applied["served_by"]), applied["missing"]) == (True, 1, [])
    assert scene.served.ask("status")["revision"]["number"] == applied["revision"]["number"] == 2
