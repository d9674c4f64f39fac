"""A dry run decides as a call would, and says why."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pointsman.control.dryrun import DryRun, dry_run, read_need
from pointsman.control.meanings import MEANINGS
from pointsman.core.decision import Reason
from pointsman.core.document import Unregistered
from pointsman.core.errors import GatewayError
from pointsman.core.record import RouteKind
from tests.control.making import BACKUP, DOCUMENT, EMBEDDER
from tests.store.making import ECONOMY, PREMIUM


def ask(name: str, key: str | None = None, **body: Any) -> DryRun:
    said = {"messages": [{"role": "user", "content": "hi"}], **body}
    if "input" in body:
        del said["messages"]
    return dry_run(DOCUMENT, name, read_need(msgspec.json.encode(said))[1], key)


def reasons(found: DryRun) -> dict[str, str]:
    return {dropped.target: str(dropped.reason) for dropped in found.dropped}


def test_a_workflow_gives_order_and_reasons() -> None:
    found = ask("support-answer")
    assert (found.route_kind, found.policy, found.strategy) == (RouteKind.WORKFLOW, "regulated-final", "priority")
    assert found.order == [PREMIUM, BACKUP]
    assert reasons(found) == {ECONOMY: "missing_tag"}
    assert found.dropped[0].detail == "regulated-ok"
    assert (found.head_flow, found.retry, found.refusal) == ("primary", 1, "")


@pytest.mark.parametrize(
    ("body", "target", "reason"),
    [
        ({"max_tokens": 600}, PREMIUM, "max_output_too_small"),
        ({"messages": [{"role": "user", "content": "word " * 8000}]}, PREMIUM, "context_too_small"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
            PREMIUM,
            "lacks_capability",
        ),
    ],
)
def test_what_the_request_needs_decides(body: dict[str, Any], target: str, reason: str) -> None:
    found = ask("support-answer", **body)
    assert reasons(found)[target] == reason
    assert found.order == [BACKUP]


def test_an_alias_and_a_target_lead_to_one_target() -> None:
    assert (ask("gpt-4o").route_kind, ask("gpt-4o").order) == (RouteKind.ALIAS, [PREMIUM])
    assert (ask(ECONOMY).route_kind, ask(ECONOMY).order) == (RouteKind.TARGET, [ECONOMY])


def test_weights_are_shown_heaviest_first() -> None:
    found = ask("draft")
    assert found.order == [PREMIUM, ECONOMY]
    assert f"{PREMIUM} 3" in found.notes[0]


def test_an_embeddings_request_goes_to_an_embedder_and_to_nothing_else() -> None:
    assert ask("embed", input="hello").order == [EMBEDDER]
    assert reasons(ask("gpt-4o", input="hello")) == {PREMIUM: "wrong_task"}
    assert ask("gpt-4o", input="hello").refusal


def test_a_key_is_held_to_its_names_and_providers() -> None:
    assert "may not use" in ask("support-answer", "narrow").refusal
    assert ask("gpt-4o", "narrow").order == [PREMIUM]
    found = ask("support-answer", "openai-only")
    assert found.order == [PREMIUM]
    assert reasons(found)[BACKUP] == "key_provider"


def test_unknown_names_and_keys_come_with_near_matches() -> None:
    found = ask("suport-answer")
    assert (found.route_kind, found.order) == (RouteKind.UNKNOWN, [])
    assert "support-answer" in found.refusal
    with pytest.raises(GatewayError, match="support-bot"):
        ask("gpt-4o", "suport-bot")


def test_unregistered_names_are_observed_where_the_registry_says_so_and_the_key_may() -> None:
    document = msgspec.structs.replace(DOCUMENT, unregistered=Unregistered("openai"))
    need = read_need(b'{"messages": []}')[1]
    assert dry_run(document, "o9-mini", need).order == ["openai:o9-mini"]
    assert dry_run(document, "o9-mini", need, "narrow").refusal


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages": 7}'])
def test_a_request_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(GatewayError):
        read_need(body)


def test_the_model_of_the_request_is_read() -> None:
    assert read_need(b'{"model": "m", "messages": []}')[0] == "m"
    assert read_need(b'{"messages": []}')[0] == ""


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANINGS) == {str(reason) for reason in Reason}
