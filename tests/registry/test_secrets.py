"""What people paste into the wrong place is repeated nowhere."""

from __future__ import annotations

import traceback

import msgspec
import pytest

from pointsman.registry import RegistryInvalid
from pointsman.registry.secret import looks_secret
from tests.registry.making import GOOD, HASH, compiled

OPENAI = "sk-proj-Zx81kQpLmN04tYvB7cDs"
OURS = "pm-Q1w2E3r4T5y6U7i8O9p0-AsDf_GhJkLzXcVbNm12345"
HEX = "9f86d081884c7d659a2feaa0c55ad015"
OPAQUE = "correct horse battery staple"

PLACES = {
    "credential": "providers: {{a: {{family: openai, credential: '{}'}}}}",
    "credential as a mapping": "providers: {{a: {{family: openai, credential: {{'{}': '{}'}}}}}}",
    "user of an address": "providers: {{a: {{family: openai, base_url: 'https://u:{}@h.example/v1'}}}}",
    "query of an address": "providers: {{a: {{family: openai, base_url: 'https://h.example/v1?key={}'}}}}",
    "user of a proxy": "providers: {{a: {{family: openai, proxy: 'http://u:{}@h.example'}}}}",
    "header": "providers: {{a: {{family: openai, headers: {{Authorization: '{}'}}}}}}",
    "hash": "keys: [{{name: a, hash: '{}', allow: all}}]",
    "hash with its prefix": "keys: [{{name: a, hash: 'sha256:{}', allow: all}}]",
    "date": "keys: [{{name: a, hash: 'sha256:" + HASH + "', allow: all, expires: '{}'}}]",
    "duration": "providers: {{a: {{family: openai}}}}\ntargets: {{'a:b': {{timeouts: {{idle: '{}'}}}}}}",
    "price": "providers: {{a: {{family: openai}}}}\ntargets: {{'a:b': {{prices: {{input: '{}'}}}}}}",
    "an entry of another kind": "providers: {{a: '{}'}}",
}
"""Places whose values are never shown, whatever they look like."""

NAMED = {
    "unknown key": "'{}': x",
    "provider": "providers: {{'{}': {{family: opnai}}}}",
    "family": "providers: {{a: {{family: '{}'}}}}",
    "word": "targets: {{'a:b': {{state: '{}'}}}}",
    "header name": "providers: {{a: {{family: openai, headers: {{'{}': x, b: 5}}}}}}",
    "header value": "providers: {{a: {{family: openai, headers: {{x-team: '{}'}}}}}}",
    "alias": "aliases: {{'{}': 'a:b'}}",
    "target of an alias": "aliases: {{a: '{}'}}",
    "rest of a target's name": "targets: {{'a:{}': {{state: approved}}}}",
    "approved target": "providers: {{a: {{family: openai}}}}\ntargets: {{'a:{}': {{state: approved}}}}",
    "candidate": "policies: {{p: {{candidates: ['{}']}}}}",
    "policy": "workflows: {{w: {{policy: '{}'}}}}",
    "tag": "policies: {{p: {{candidates: ['a:b'], require: {{tags: ['{}']}}}}}}",
    "name of a key": "keys: [{{name: '{}', hash: x, allow: all}}]",
    "allowed name": "keys: [{{name: a, hash: x, allow: ['{}']}}]",
    "observed provider": "unregistered: {{observe: '{}'}}",
    "doubled key": "aliases: {{'{}': a, '{}': a}}",
    "YAML tag": "aliases: {{a: !{} b}}",
    "YAML anchor": "aliases: {{a: *{}}}",
    "broken YAML": "aliases: {{a: '{}'",
}
"""Places whose values are shown, unless they look like a secret."""


def everything_said(text: str) -> str:
    """Each form in which a refusal can come before somebody's eyes."""
    with pytest.raises(RegistryInvalid) as caught:
        compiled(text, env={})
    found = (*caught.value.problems, *caught.value.warnings)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    said = [str(caught.value), repr(caught.value), repr(found), msgspec.json.encode(found).decode()]
    # What a trace shows beside its source lines: the errors themselves.
    said += traceback.format_exception_only(caught.value)
    return "\n".join([*said, *map(str, found)])


@pytest.mark.parametrize("secret", [OPENAI, OURS, HEX, OPAQUE], ids=["openai", "ours", "hex", "opaque"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_place_for_secrets_and_figures_never_shows_its_value(place: str, secret: str) -> None:
    said = everything_said(place.format(secret, secret))
    if "{{'{}'" not in place or looks_secret(secret):
        assert secret not in said
        assert secret.casefold() not in said.casefold()


@pytest.mark.parametrize("secret", [OPENAI, OURS, HEX], ids=["openai", "ours", "hex"])
@pytest.mark.parametrize("place", NAMED.values(), ids=NAMED)
def test_what_looks_like_a_secret_is_shown_nowhere(place: str, secret: str) -> None:
    said = everything_said(place.format(secret, secret))
    assert secret not in said
    assert secret[:12] not in said


def test_a_document_never_holds_a_name_that_looks_like_a_secret() -> None:
    with pytest.raises(RegistryInvalid) as caught:
        compiled(GOOD.replace("name: admin", f"name: {OURS}"))
    assert [(problem.code, problem.where) for problem in caught.value.problems] == [("bad_name", "keys[1].name")]


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o-2024-08-06",
        "risk-team",
        "helpdesk-1",
        "task-force",
        "hf-meta-llama-3-8b-instruct",
        "pk-first-steps",
        "accounts/fireworks/models/llama-v3p1-405b-instruct",
        "basic",
        "anthropic.claude-sonnet-4-20250514-v1:0",
    ],
)
def test_names_of_models_and_people_do_not_look_like_secrets(name: str) -> None:
    assert not looks_secret(name)


@pytest.mark.parametrize("text", [OPENAI, OURS, HEX, "Bearer x", "hf_AbCdEfGhIjKlMnOpQr", f"x={OPENAI}", "AIzaSyA"])
def test_keys_look_like_secrets(text: str) -> None:
    assert looks_secret(text)
