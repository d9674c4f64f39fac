"""The registry file on disk is followed, and a bad one changes nothing."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from pointsman.control import config_file
from pointsman.control.config_file import ConfigFile
from pointsman.control.parts import Control
from pointsman.registry.problem import RegistryInvalid
from tests.control.making import new_control, text_of, until, with_alias


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Control:
    monkeypatch.setattr(config_file, "POLL_SECONDS", 0.02)
    return new_control(tmp_path / "data")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pointsman.yaml"
    path.write_text(text_of())
    return path


def number(control: Control) -> int:
    info = control.publisher.latest()
    return 0 if info is None else info.number


def test_the_file_is_applied_at_the_start_under_its_own_name(control: Control, file: Path) -> None:
    revision = ConfigFile(file, control.publisher).first().revision
    assert (revision.number, revision.source, revision.author) == (1, str(file), "config file")


def test_a_change_is_published_and_the_same_content_again_is_not(control: Control, file: Path) -> None:
    config = ConfigFile(file, control.publisher)
    config.first()
    config.check()
    file.write_text(text_of())
    config.check()
    assert number(control) == 1
    file.write_text(text_of(with_alias("new")))
    config.check()
    assert number(control) == 2


def test_a_bad_file_is_said_once_and_mended_by_the_next_good_one(
    control: Control, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = ConfigFile(file, control.publisher)
    config.first()
    file.write_text("{ broken")
    config.check()
    config.check()
    assert number(control) == 1
    assert [problem.code for problem in config.state.problems] == ["bad_json"]
    assert len([r for r in caplog.records if "does not compile" in r.message]) == 1
    file.write_text(text_of())
    config.check()
    assert (config.state.problem, config.state.problems, number(control)) == ("", (), 1)


def test_a_bad_file_at_the_start_is_raised(control: Control, file: Path) -> None:
    file.write_text("{")
    with pytest.raises(RegistryInvalid):
        ConfigFile(file, control.publisher).first()


@pytest.mark.parametrize("content", [b"\xff\xfe", b""])
def test_a_file_that_is_no_text_or_empty_changes_nothing(control: Control, file: Path, content: bytes) -> None:
    config = ConfigFile(file, control.publisher)
    config.first()
    file.write_bytes(content)
    config.check()
    assert number(control) == 1
    assert config.state.problem


def test_a_file_that_is_written_slowly_is_applied_when_it_is_whole(control: Control, file: Path) -> None:
    config = ConfigFile(file, control.publisher)
    config.first()
    text = text_of(with_alias("new"))

    def write_slowly() -> None:
        with file.open("w") as out:
            for start in range(0, len(text), 300):
                out.write(text[start : start + 300])
                out.flush()
                time.sleep(0.02)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    while number(control) < 2:
        config.check()
        assert not config.state.problem, "a half-written file was compiled"
    writer.join()


def test_a_file_that_is_gone_for_a_while_is_a_problem_until_it_is_back(control: Control, file: Path) -> None:
    config = ConfigFile(file, control.publisher)
    config.first()
    file.unlink()
    config.check()
    assert "cannot be read" in config.state.problem
    file.write_text(text_of())
    config.check()
    assert (config.state.problem, number(control)) == ("", 1)


def test_the_watch_follows_replaced_files_and_symbolic_links(control: Control, tmp_path: Path) -> None:
    (tmp_path / "v1").write_text(text_of())
    (tmp_path / "v2").write_text(text_of(with_alias("new")))
    link = tmp_path / "linked.yaml"
    link.symlink_to(tmp_path / "v1")
    config = ConfigFile(link, control.publisher)
    config.first()
    config.watch()
    try:
        fresh = tmp_path / "fresh"
        fresh.symlink_to(tmp_path / "v2")
        fresh.replace(link)
        until(lambda: number(control) == 2)
    finally:
        config.stop()


def test_a_change_while_the_store_is_locked_is_applied_afterwards(control: Control, file: Path) -> None:
    config = ConfigFile(file, control.publisher)
    config.first()
    other = sqlite3.connect(control.places.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    file.write_text(text_of(with_alias("new")))
    config.watch()
    try:
        until(lambda: "could not be applied" in config.state.problem)
        other.close()
        until(lambda: number(control) == 2)
        until(lambda: not config.state.problem)
    finally:
        config.stop()
