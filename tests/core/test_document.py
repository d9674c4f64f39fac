"""The published form of a revision: what is written is read again, and nothing damaged is."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.document import (
    BATCH,
    AliasSpec,
    Document,
    DocumentError,
    KeySpec,
    ProviderSpec,
    Unregistered,
    decode_document,
    decode_steps,
    document_hash,
    encode_document,
)
from pointsman.core.money import Prices, Rates
from pointsman.core.policy import Candidate, OnFailure, PolicySpec, Requirements, Strategy, WorkflowSpec
from pointsman.core.target import Flow, Lifecycle, Tier, Timeouts
from tests.core.making import spec

DOCUMENT = Document(
    providers=(
        ProviderSpec("sim", "openai", "http://127.0.0.1:1/v1", "env:SIM_KEY", headers=(("x-team", "a\nb ☃"),)),
        ProviderSpec("other", "openai", "https://example.test", region="eu", stream_usage=False),
    ),
    targets=(
        spec(
            "sim:a",
            tier=Tier.PREMIUM,
            tags=("x", "y"),
            participates=(Flow.MIRROR,),
            lifecycle=Lifecycle.LEGACY,
            retires_at=2_000_000_000,
            timeouts=Timeouts(connect=1.5),
            prices=Prices(Rates(input=1, output=2), source="file", as_of="2026-01-01"),
        ),
        *(spec(f"sim:m{n}") for n in range(2 * BATCH)),
    ),
    aliases=(AliasSpec("a", "sim:a"),),
    policies=(
        PolicySpec(
            "p",
            (Candidate("sim:a", 3), Candidate("sim:m0")),
            Requirements(tags=("x",)),
            Strategy.WEIGHTED,
            OnFailure(retry=0),
        ),
    ),
    workflows=(WorkflowSpec("w", "p", "me", evaluators=("e",)),),
    allow_sets=(("w", "a"),),
    keys=(KeySpec("k", "0" * 64, "t", 0, ("sim",), ("x",), 5),),
    unregistered=Unregistered("sim"),
)


@pytest.mark.parametrize("document", [DOCUMENT, Document()], ids=["full", "empty"])
def test_what_is_written_is_read_again(document: Document) -> None:
    header, read = decode_document(encode_document(document, 7))
    assert read == document
    assert (header.revision, header.hash) == (7, document_hash(document))


def test_equal_registries_have_equal_hashes_whatever_their_revision() -> None:
    again = decode_document(encode_document(DOCUMENT, 8))[1]
    assert document_hash(again) == document_hash(DOCUMENT)
    assert encode_document(again, 7) == encode_document(DOCUMENT, 7)


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(DOCUMENT, unregistered=None),
        msgspec.structs.replace(DOCUMENT, keys=()),
        msgspec.structs.replace(DOCUMENT, targets=DOCUMENT.targets[::-1]),
        msgspec.structs.replace(DOCUMENT, targets=DOCUMENT.targets[:-1]),
        msgspec.structs.replace(DOCUMENT, aliases=(AliasSpec("a", "sim:m0"),)),
    ],
)
def test_another_registry_has_another_hash(other: Document) -> None:
    assert document_hash(other) != document_hash(DOCUMENT)


def test_a_hash_does_not_change_between_versions() -> None:
    """It stands in records for years: a change of this figure is a new document format."""
    assert document_hash(Document()) == "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"


SMALL = encode_document(msgspec.structs.replace(DOCUMENT, targets=DOCUMENT.targets[:1]), 3)


def test_a_document_that_was_cut_anywhere_is_refused() -> None:
    for end in range(len(SMALL) - 1):
        with pytest.raises(DocumentError):
            decode_document(SMALL[:end])


def test_the_last_line_end_may_be_missing() -> None:
    assert decode_document(SMALL[:-1]) == decode_document(SMALL)


@given(st.integers(0, len(SMALL) - 1), st.integers(0, 255))
def test_a_changed_byte_is_noticed_or_changes_nothing(place: int, byte: int) -> None:
    damaged = SMALL[:place] + bytes([byte]) + SMALL[place + 1 :]
    try:
        header, document = decode_document(damaged)
    except DocumentError:
        return
    # What may change without notice is the revision number, which the content's hash does not cover.
    assert document == decode_document(SMALL)[1]
    assert header.hash == decode_document(SMALL)[0].hash


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (b"", "damaged"),
        (b"\n", "damaged"),
        (SMALL.replace(b'"format":1', b'"format":2'), "has format 2, this version reads 1"),
        (b'{"format":9,"all":"else differs"}\n', "has format 9, this version reads 1"),
        (SMALL.replace(b"sim:a", b"sim:b"), "does not have the hash"),
        (SMALL.replace(b'"unregistered":{"provider":"sim"}', b'"unregistered":{"provider":"own"}'), "have the hash"),
        (SMALL.replace(b'{"keys"', b'{"locks"'), "damaged"),
        (SMALL + b'{"aliases":[]}\n', "goes on after its end"),
        (SMALL.replace(b'{"end"', b"[" * 5000 + b'{"end"'), "damaged"),
        (SMALL.replace(b'{"end":[]}', b'{"end":[],"keys":[]}'), "damaged"),
        (SMALL.replace(b'{"end":[]}', b'{"keys":' + b"[" * 100_000), "damaged"),
        (SMALL.replace(b'"env:SIM_KEY"', b'"env:\xff"'), "damaged"),
    ],
)
def test_damage_is_named(damaged: bytes, said: str) -> None:
    with pytest.raises(DocumentError, match=said) as caught:
        decode_document(damaged)
    assert str(caught.value).count("revision document") == 1


def test_a_reader_may_do_other_work_after_every_line() -> None:
    """A large registry comes in batches, and only the last step has the whole."""
    lines = encode_document(DOCUMENT, 1).splitlines(keepends=True)
    steps = list(decode_steps(lines))
    assert len(steps) == len(lines) + 1
    assert [document for _, document in steps[:-1]] == [None] * len(lines)
    assert steps[-1][1] == DOCUMENT
    assert {header.revision for header, _ in steps} == {1}
    assert sum(b'{"targets"' in line for line in lines) == 3


def test_the_form_of_a_published_document_holds_no_secret_and_one_section_a_line() -> None:
    lines = encode_document(DOCUMENT, 1).splitlines()
    assert [next(iter(msgspec.json.decode(line))) for line in lines[1:]] == [
        "providers",
        "targets",
        "targets",
        "targets",
        "aliases",
        "policies",
        "workflows",
        "allow_sets",
        "keys",
        "end",
    ]
