"""Families of providers: what each must offer, and how the `openai` one reaches its API."""

from __future__ import annotations

import pytest

from pointsman.core.document import ProviderSpec
from pointsman.dialects import openai_chat, openai_embeddings
from pointsman.providers import openai
from pointsman.providers.families import FAMILIES
from pointsman.registry import families as in_files
from tests.docs.pages import REFERENCE

DIALECTS = {openai_chat.name, openai_embeddings.name}
PROVIDER = ProviderSpec("p", "openai", "https://example.test/v1")


def test_a_family_stands_under_its_own_name_and_speaks_dialects_that_exist() -> None:
    assert FAMILIES
    for name, family in FAMILIES.items():
        assert family.name == name
        assert family.dialects
        assert family.dialects <= DIALECTS


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_headers_of_a_family_are_clean_and_hold_the_secret_only_when_there_is_one(family: object) -> None:
    made = openai if family is openai else pytest.fail("a new family needs its own row here")
    assert made.auth_headers(None) == []
    for name, value in made.auth_headers("sk-1"):
        assert name == name.lower()
        assert "sk-1" in value
        assert (name + value).isprintable()


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("", "/chat/completions"),
        ("/", "/chat/completions"),
        ("/api/openai/v1", "/api/openai/v1/chat/completions"),
    ],
)
def test_the_path_is_the_base_followed_by_the_apis_own(base: str, path: str) -> None:
    assert openai.path(PROVIDER, base, openai_chat.upstream_path, "any/model") == path


def test_the_secret_is_a_bearer_token() -> None:
    assert openai.auth_headers("sk-1") == [("authorization", "Bearer sk-1")]


def test_a_registry_file_may_name_these_families_and_no_others() -> None:
    """What compiles can be called; the reference says which there are."""
    assert set(in_files.FAMILIES) == set(FAMILIES)
    assert not set(in_files.LATER_FAMILIES) & set(FAMILIES)
    said = (REFERENCE / "registry-file.md").read_text(encoding="utf-8")
    row = next(line for line in said.splitlines() if line.startswith("| `family` |"))
    assert {name for name in FAMILIES if f"`{name}`" in row} == set(FAMILIES)
