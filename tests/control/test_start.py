"""Token, lock, workers: the small parts a control process starts with."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from pointsman.control.admin_token import Token, TokenError, admin_token
from pointsman.control.durable import write_durably
from pointsman.control.lock import AlreadyRunning, hold
from pointsman.control.workers import FORGOTTEN_SECONDS, LIVE_SECONDS, await_revision, forget_gone, workers
from pointsman.core.places import Places
from tests.control.making import worker_says


def test_a_token_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "admin-token"
    made, kept = admin_token(path, {})
    assert kept == path
    assert len(made.value) >= 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert admin_token(path, {})[0].value == made.value


def test_the_environment_wins_and_writes_no_file(tmp_path: Path) -> None:
    token, kept = admin_token(tmp_path / "admin-token", {"POINTSMAN_ADMIN_TOKEN": "0123456789abcdef"})
    assert (token.value, kept) == ("0123456789abcdef", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["short", "with spaces in the middle", "ümläut-ümläut-ümläut", "line\nbreak-break"])
def test_a_token_that_is_none_is_refused_without_repeating_it(tmp_path: Path, value: str) -> None:
    with pytest.raises(TokenError) as refused:
        admin_token(tmp_path / "t", {"POINTSMAN_ADMIN_TOKEN": value})
    assert value not in str(refused.value)


def test_an_empty_token_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "t").touch()
    assert len(admin_token(tmp_path / "t", {})[0].value) >= 40


def test_a_token_does_not_show_itself() -> None:
    assert "secret" not in f"{Token('secret')!r} {Token('secret')}"


def test_a_second_control_process_is_refused_and_an_ending_one_waited_for(tmp_path: Path) -> None:
    first = hold(tmp_path)
    with pytest.raises(AlreadyRunning):
        hold(tmp_path, patience=0.1)
    os.close(first)
    os.close(hold(tmp_path, patience=0.1))


def test_a_durable_write_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_durably(path, b"old")
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    made.make()
    return made


def test_workers_that_no_longer_write_are_not_live_and_unreadable_files_are_left_out(places: Places) -> None:
    worker_says(places, "a", 3)
    worker_says(places, "b", 2, age=LIVE_SECONDS + 1)
    (places.workers / "c.json").write_text("{")
    assert [(w.worker, w.revision, w.live) for w in workers(places)] == [("a", 3, True), ("b", 2, False)]


def test_waiting_ends_when_every_live_worker_serves_the_revision(places: Places) -> None:
    worker_says(places, "a", 3)
    worker_says(places, "gone", 1, age=60)
    start = time.monotonic()
    assert [w.worker for w in await_revision(places, 3)] == ["a"]
    assert await_revision(places, 2)
    assert time.monotonic() - start < 1


def test_a_worker_that_cannot_serve_it_is_not_waited_for_and_one_that_does_not_is_told(places: Places) -> None:
    worker_says(places, "a", 2, problem="no such provider")
    start = time.monotonic()
    assert await_revision(places, 3)[0].problem == "no such provider"
    assert time.monotonic() - start < 1
    worker_says(places, "a", 2)
    assert await_revision(places, 3, patience=0.05)[0].revision == 2


def test_workers_that_died_long_ago_are_forgotten(places: Places) -> None:
    worker_says(places, "a", 3)
    worker_says(places, "b", 3)
    long_ago = time.time() - FORGOTTEN_SECONDS - 1
    os.utime(places.workers / "b.json", (long_ago, long_ago))
    forget_gone(places)
    assert [w.worker for w in workers(places)] == ["a"]
