"""From a reference to the secret, which is never part of a message."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from pointsman.providers.credentials import CredentialError, resolve_credential

SECRET = "sk-canary-91f2"


def test_no_reference_is_no_secret() -> None:
    assert resolve_credential(None, {}) is None


def test_from_the_environment() -> None:
    assert resolve_credential("env:KEY", {"KEY": SECRET}) == SECRET


@pytest.mark.parametrize("content", [SECRET, f"{SECRET}\n", f"\n  {SECRET}\r\n\n"])
def test_from_a_file_without_the_space_around(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    assert resolve_credential(f"file:{path}", {}) == SECRET


def test_a_file_name_may_have_a_colon(tmp_path: Path) -> None:
    path = tmp_path / "a:b"
    path.write_text(SECRET)
    assert resolve_credential(f"file:{path}", {}) == SECRET


@pytest.mark.parametrize(
    ("reference", "env", "said"),
    [
        ("env:KEY", {}, "environment variable KEY is not set"),
        ("env:KEY", {"KEY": ""}, "environment variable KEY is not set"),
        ("env:", {"KEY": SECRET}, "is not set"),
        ("env:KEY", {"KEY": f"{SECRET}\n"}, "cannot be sent in a header"),
        ("env:KEY", {"KEY": f"{SECRET}\r\nx-evil: 1"}, "cannot be sent in a header"),
        ("env:KEY", {"KEY": f"{SECRET}\x00"}, "cannot be sent in a header"),
        ("env:KEY", {"KEY": f"{SECRET}é"}, "cannot be sent in a header"),
        (SECRET, {}, "written env:NAME or file:PATH"),
        (f"vault:{SECRET}", {}, "written env:NAME or file:PATH"),
        (f"ENV:{SECRET}", {}, "written env:NAME or file:PATH"),
        ("", {}, "written env:NAME or file:PATH"),
    ],
)
def test_what_cannot_be_had_says_why_and_never_what(reference: str, env: dict[str, str], said: str) -> None:
    with pytest.raises(CredentialError, match=said) as caught:
        resolve_credential(reference, env)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (SECRET.encode() + b"\xff", "is not plain text"),
        (SECRET.encode() + b"\nsecond line", "cannot be sent in a header"),
        ("\ufeff".encode() + SECRET.encode(), "cannot be sent in a header"),
    ],
)
def test_a_file_that_holds_no_secret(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(CredentialError, match=said) as caught:
        resolve_credential(f"file:{path}", {})
    assert str(path) in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "said"), [("missing", "No such file"), (".", "Is a directory"), ("a\x00b", "is not plain text")]
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(CredentialError, match=said):
        resolve_credential(f"file:{tmp_path}/{name}", {})
