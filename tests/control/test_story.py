"""The story of a call says what its record holds, in order."""

from __future__ import annotations

import pytest

from pointsman.control.story import story
from pointsman.core.record import Attempt, AttemptKind, CallRecord, Outcome, RouteKind
from tests.store.making import ECONOMY, PREMIUM, record, refused


def test_a_call_that_was_saved_by_a_fallback() -> None:
    tried = (
        Attempt(PREMIUM, AttemptKind.PRIMARY, 0, 20_000, status=503, failure="overloaded", detail="try later"),
        Attempt(PREMIUM, AttemptKind.RETRY, 0, 1000, failure="network"),
        Attempt("b:backup", AttemptKind.FALLBACK, 0, 1500, status=200),
    )
    said = story(record(attempts=tried, order=(PREMIUM, "b:backup"), target="b:backup"))
    assert said == [
        "support-bot asked for support-answer, the workflow of policy regulated-final, under revision 3.",
        "It needed chat, about 200 input tokens.",
        f"{ECONOMY} could not serve: it lacks a tag that the policy requires (regulated-ok) [missing_tag].",
        f"The order was {PREMIUM}, then b:backup.",
        f"First {PREMIUM} was called and failed after 20.0 ms (overloaded, status 503: try later).",
        f"Again {PREMIUM} was called and failed after 1.0 ms (network).",
        "Then, as fallback b:backup was called and answered in 1.5 ms.",
        "b:backup served the call; its cost is 0.000012345 dollars.",
    ]


@pytest.mark.parametrize(
    ("made", "last"),
    [
        (refused(0), "refused with status 404 (model_not_found)"),
        (record(outcome=Outcome.FAILED, status=502, error="upstream_error"), "failed with status 502 (upstream_error)"),
        (record(outcome=Outcome.CANCELLED), "hung up"),
        (record(outcome=Outcome.INTERRUPTED), "gateway died"),
        (record(cost_nano=None, cost_reason="no_price"), "unknown (no_price)"),
        (record(drift=True), "that is drift"),
    ],
)
def test_the_last_sentence_says_how_it_ended(made: CallRecord, last: str) -> None:
    assert last in story(made)[-1]


def test_a_request_without_key_and_model_has_a_story_too() -> None:
    said = story(refused(0, requested=""))
    assert said[0] == "support-bot made a request that named no model."
    assert len(said) == 2


@pytest.mark.parametrize("kind", RouteKind)
def test_every_kind_of_route_has_words(kind: RouteKind) -> None:
    assert story(record(route_kind=kind))[0].endswith("under revision 3.")
