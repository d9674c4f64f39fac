"""Publishing: all or nothing, in order, and mended after any interruption."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from pointsman.control import publish
from pointsman.control.parts import Control
from pointsman.control.publish import KEPT, StaleBase
from pointsman.core.document import Document, decode_document
from pointsman.core.places import Current
from pointsman.registry.problem import RegistryInvalid
from pointsman.store.revisions import AuditEntry, audit_list, revision_list
from tests.control.making import DOCUMENT, new_control, sent, text_of, until, with_alias


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return new_control(tmp_path)


def current(control: Control) -> Current:
    return msgspec.json.decode(control.places.current.read_bytes(), type=Current)


def served(control: Control) -> Document:
    """What a gateway would serve now."""
    header, document = decode_document(control.places.revision(current(control).revision).read_bytes())
    assert Current(header.revision, header.hash) == current(control)
    return document


def numbers(control: Control) -> list[int]:
    with control.store.read() as connection:
        return [info.number for info in revision_list(connection, 100)]


def trail(control: Control) -> list[AuditEntry]:
    with control.store.read() as connection:
        return audit_list(connection, 100)


def test_a_file_becomes_a_revision_that_gateways_find(control: Control) -> None:
    publication = control.publisher.apply(sent(text_of()))
    assert (publication.revision.number, publication.changed) == (1, True)
    assert served(control) == DOCUMENT
    (entry,) = trail(control)
    assert (entry.who, entry.result, entry.detail, entry.from_revision, entry.to_revision) == (
        "me",
        "published",
        "why",
        None,
        1,
    )


def test_the_same_registry_again_is_no_new_revision(control: Control) -> None:
    control.publisher.apply(sent(text_of()))
    again = control.publisher.apply(sent(text_of(note="only the text differs")))
    assert (again.revision.number, again.changed, numbers(control)) == (1, False, [1])


def test_a_bad_file_changes_nothing_and_is_noted(control: Control) -> None:
    control.publisher.apply(sent(text_of()))
    with pytest.raises(RegistryInvalid):
        control.publisher.apply(sent("{"))
    assert served(control) == DOCUMENT
    assert numbers(control) == [1]
    assert (trail(control)[0].result, trail(control)[0].from_revision, trail(control)[0].to_revision) == (
        "refused",
        1,
        None,
    )
    assert "write JSON" in trail(control)[0].detail


@pytest.mark.parametrize(("based_on", "accepted"), [(None, True), (1, True), (0, False), (2, False)])
def test_an_edit_of_another_revision_than_the_current_one_is_refused(
    control: Control, based_on: int | None, accepted: bool
) -> None:
    control.publisher.apply(sent(text_of()))
    edit = sent(text_of(with_alias("new")), based_on=based_on)
    if accepted:
        assert control.publisher.apply(edit).revision.number == 2
        return
    with pytest.raises(StaleBase) as refused:
        control.publisher.apply(edit)
    assert refused.value.current == 1
    assert numbers(control) == [1]


def test_edits_at_the_same_time_all_get_a_number_of_their_own(control: Control) -> None:
    threads = [
        threading.Thread(target=control.publisher.apply, args=(sent(text_of(with_alias(f"a{n}"))),)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(control) == [8, 7, 6, 5, 4, 3, 2, 1]
    assert current(control).revision == 8
    assert len(served(control).aliases) == 3


@pytest.mark.parametrize("spoiled", ["missing", "damaged", "older", "no document"])
def test_what_is_published_is_made_equal_to_the_store(control: Control, spoiled: str) -> None:
    control.publisher.apply(sent(text_of()))
    first = control.places.current.read_bytes()
    control.publisher.apply(sent(text_of(with_alias("new"))))
    if spoiled == "missing":
        control.places.current.unlink()
    elif spoiled == "damaged":
        control.places.current.write_bytes(b"{")
    else:
        control.places.current.write_bytes(first)
    if spoiled == "no document":
        control.places.revision(2).unlink()
    control.publisher.settle()
    assert current(control).revision == 2
    assert served(control) == with_alias("new")


def test_only_the_newest_documents_stay_on_disk(control: Control) -> None:
    for n in range(KEPT + 5):
        control.publisher.apply(sent(text_of(with_alias(f"a{n}"))))
    kept = sorted(int(path.stem) for path in control.places.revisions.iterdir())
    assert kept == list(range(6, KEPT + 6))


def test_a_revision_that_cannot_be_written_is_a_problem_and_is_published_later(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "RETRY_SECONDS", 0.05)
    control.publisher.apply(sent(text_of()))
    aside = control.places.root / "aside"
    control.places.revisions.rename(aside)
    publication = control.publisher.apply(sent(text_of(with_alias("new"))))
    assert publication.revision.number == 2
    assert "could not be published" in control.publisher.problem
    assert current(control).revision == 1
    aside.rename(control.places.revisions)
    until(lambda: not control.publisher.problem)
    assert served(control) == with_alias("new")


def test_a_start_with_a_changed_file_applies_it(control: Control) -> None:
    control.publisher.start_with(sent(text_of()))
    assert control.publisher.start_with(sent(text_of(with_alias("new")))).changed
    assert served(control) == with_alias("new")


def test_a_start_does_not_take_back_what_came_another_way_since(control: Control) -> None:
    control.publisher.start_with(sent(text_of()))
    control.publisher.apply(sent(text_of(with_alias("urgent")), source="admin API"))
    control.places.current.unlink()
    publication = control.publisher.start_with(sent(text_of()))
    assert (publication.revision.number, publication.changed) == (2, False)
    assert served(control) == with_alias("urgent")


def test_going_back_to_an_old_file_is_a_new_revision(control: Control) -> None:
    control.publisher.apply(sent(text_of()))
    control.publisher.apply(sent(text_of(with_alias("new"))))
    assert control.publisher.apply(sent(text_of())).revision.number == 3
    assert served(control) == DOCUMENT
