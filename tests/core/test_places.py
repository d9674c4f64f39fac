"""The data directory: who may look into it, and files that are replaced whole."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pointsman.core.places import Places, replace_file


def test_the_folders_are_their_owners_alone(tmp_path: Path) -> None:
    places = Places(tmp_path / "deep" / "data")
    places.make()
    places.make()
    for folder in (places.root, places.revisions, places.spool, places.workers):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_everything_lies_below_the_root(tmp_path: Path) -> None:
    places = Places(tmp_path)
    found = {
        places.current: "current",
        places.revision(12): "revisions/12.jsonl",
        places.spool: "spool",
        places.workers: "workers",
        places.database: "pointsman.db",
        places.admin_token: "admin-token",
    }
    assert {str(path.relative_to(tmp_path)): name for path, name in found.items()} == {n: n for n in found.values()}


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(OSError, match="data"):
        Places(tmp_path / "data").make()


def test_a_reader_sees_the_old_content_or_the_new_and_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "current"
    contents = [bytes([65 + n]) * 100_000 for n in range(2)]
    replace_file(path, contents[0])
    stop = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(100):
        replace_file(path, contents[n % 2])
    stop.set()
    reader.join()
    assert seen <= set(contents)
    assert [entry.name for entry in tmp_path.iterdir()] == ["current"]
