"""The reference is complete and holds nothing that the code does not: a name in one must be in the other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pointsman.core import record
from pointsman.core.decision import Dropped, Reason
from pointsman.core.errors import ERRORS
from pointsman.core.money import ContextTier, Prices, Rates, cost_of
from pointsman.core.policy import RETRYABLE_BY_DEFAULT, FailureKind
from pointsman.core.usage import Usage
from pointsman.telemetry.exposition import render
from pointsman.telemetry.metrics import Counters
from tests.docs.pages import REFERENCE, documented, rows
from tests.house.source import modules


def strings() -> Iterator[str]:
    """Every string literal of the product that is no docstring, f-strings piece by piece."""
    for module in modules():
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and id(node) not in docstrings:
                if isinstance(node.value, bytes):
                    yield node.value.decode("latin-1")
                elif isinstance(node.value, str):
                    yield node.value


def in_source(pattern: str) -> set[str]:
    return {match for text in strings() for match in re.findall(pattern, text)}


def assigned_texts(attribute: str) -> set[str]:
    """The texts that the product assigns to an attribute of this name."""
    assignments = [
        node for module in modules() for node in ast.walk(module.tree) if isinstance(node, ast.Assign | ast.AnnAssign)
    ]
    return {
        constant.value
        for node in assignments
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and target.attr == attribute and node.value is not None
        for constant in ast.walk(node.value)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str) and constant.value
    }


def test_settings() -> None:
    assert documented("settings.md") == in_source(r"\bPOINTSMAN_[A-Z0-9_]*[A-Z0-9]\b")


def test_headers() -> None:
    assert documented("headers.md") == in_source(r"\bx-pointsman-[a-z0-9-]*[a-z0-9]\b")


def test_reason_codes() -> None:
    assert documented("reason-codes.md") == set(Reason)


def test_error_codes_with_status_type_and_whether_to_try_again() -> None:
    said = {code: cells[:3] for code, cells in rows(REFERENCE / "errors.md").items()}
    assert said == {
        code: [str(kind.status), f"`{kind.type}`", "yes" if kind.retryable else "no"] for code, kind in ERRORS.items()
    }


@pytest.mark.parametrize(
    ("heading", "struct"),
    [
        ("Call", record.CallRecord),
        ("Attempt", record.Attempt),
        ("Dropped candidate", Dropped),
        ("Usage", Usage),
    ],
)
def test_fields_of_records_in_the_order_they_have(heading: str, struct: type[msgspec.Struct]) -> None:
    assert list(rows(REFERENCE / "records.md", heading)) == list(struct.__struct_fields__)


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Outcomes", record.Outcome),
        ("What a name turned out to be", record.RouteKind),
        ("Why an attempt was made", record.AttemptKind),
        ("Why an attempt failed", FailureKind),
    ],
)
def test_words_of_records(heading: str, words: type[str]) -> None:
    assert documented("records.md", heading) == set(words)  # type: ignore[call-overload]  # an enumeration iterates


def test_failures_that_are_tried_again() -> None:
    said = {
        name for name, cells in rows(REFERENCE / "records.md", "Why an attempt failed").items() if cells[-1] == "yes"
    }
    assert said == set(RETRYABLE_BY_DEFAULT)


def test_reasons_for_an_unknown_cost() -> None:
    some = Usage(10, 10)
    audio = Usage(10, 10, audio_input_tokens=1)
    tiers = (ContextTier(1, Rates()),)
    cases = [
        (None, some),
        (Prices(Rates(1, 1)), None),
        (Prices(Rates(1, 1), tiers), some),
        (Prices(Rates(1)), some),
        (Prices(Rates(1, 1)), audio),
    ]
    said = {cost_of(*case)[1] for case in cases}
    assert documented("records.md", "Why a cost is unknown") == said | assigned_texts("cost_reason")


def sample_call(**changes: object) -> record.CallRecord:
    attempt = record.Attempt("sim:a", record.AttemptKind.PRIMARY, 0, 900, usage=Usage(3, 4), cost_nano=5)
    call = record.CallRecord(
        "c1",
        1,
        1,
        "h",
        "w1",
        endpoint="chat",
        requested="a",
        route_kind=record.RouteKind.TARGET,
        target="sim:a",
        status=200,
        drift=True,
        dropped=(Dropped("sim:b", Reason.DOWN),),
        attempts=(attempt,),
        duration_us=1000,
        first_token_us=500,
    )
    return msgspec.structs.replace(call, **changes)


def test_metrics_with_type_and_labels() -> None:
    """Asked of a real scrape, so that a metric which is only planned cannot be documented."""
    counters = Counters()
    counters.add(sample_call())
    counters.add(sample_call(route_kind=record.RouteKind.UNKNOWN, outcome=record.Outcome.REFUSED, attempts=()))
    scraped = {}
    for family in text_string_to_metric_families(render(counters.snapshot(), {"w1": 1}).decode()):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        scraped[name] = (family.type, labels)
    said = {
        name: (kind, set(re.findall(r"`([^`]+)`", labels)))
        for name, (kind, labels, _) in rows(REFERENCE / "metrics.md").items()
    }
    assert said == scraped
