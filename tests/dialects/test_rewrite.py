"""The body for the upstream: another model, usage asked for in a stream, and not one other byte changed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pointsman.core.errors import GatewayError
from pointsman.dialects import openai_chat, openai_embeddings
from pointsman.dialects.contract import Incoming
from pointsman.dialects.rewrite import insert_first


def rewritten(body: bytes, model: str = "new", *, inject: bool = False) -> bytes:
    return openai_chat.rewrite(openai_chat.read(body), model, inject_usage=inject)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"old","messages":[]}', b'{"model":"new","messages":[]}'),
        (b'{"messages":[],"model":"old"}', b'{"messages":[],"model":"new"}'),
        (b'{"model": "old", "messages": []}', b'{"model": "new", "messages": []}'),
        (b' {\n "model" :\t"old" ,\n "messages" : [ ] } ', b' {\n "model" :\t"new" ,\n "messages" : [ ] } '),
        (
            b'{"messages":["\\"model\\":\\"old\\""],"model":"old"}',
            b'{"messages":["\\"model\\":\\"old\\""],"model":"new"}',
        ),
        (b'{"messages":[],"tags":["model"," model "],"x":1.0e5,"model":"old"}', None),
        (b'{"metadata":{"model":"old"},"model":"old","messages":[]}', None),
        (b'{"model":"old","metadata":{"model":"old"},"messages":[]}', None),
        (b'{"x":"model","model":"old","messages":[]}', None),
        (b'{"model":"model","messages":[]}', b'{"model":"new","messages":[]}'),
        (rb'{"mod\u0065l":"old","messages":[]}', None),
        (rb'{"model":"\u006fld","messages":[]}', None),
        (rb'{"model":"o\/d","messages":[]}', b'{"model":"new","messages":[]}'),
        ('{"model":"ö☃","messages":["ö"]}'.encode(), '{"model":"new","messages":["ö"]}'.encode()),
        (b'{"model":"","messages":[]}', b'{"model":"new","messages":[]}'),
        (b'{"model":"a\\"b\\\\","messages":[]}', b'{"model":"new","messages":[]}'),
    ],
)
def test_only_the_model_changes(body: bytes, expected: bytes | None) -> None:
    """Without a text to compare with, the rest must at least parse to the same."""
    out = rewritten(body)
    if expected is not None:
        assert out == expected
    assert json.loads(out) == {**json.loads(body), "model": "new"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"evil","model":"old","messages":[]}',
        rb'{"mod\u0065l":"evil","model":"old","messages":[]}',
        rb'{"model":"evil","\u006dodel":"old","messages":[]}',
        b'{"messages":[],"model":"evil", "model" : "old"}',
    ],
)
@pytest.mark.parametrize("target", ["new", "old"])
def test_a_second_model_never_reaches_the_upstream(body: bytes, target: str) -> None:
    """The one that was checked is the one that is sent, also when it needs no replacing: readers differ in which of
    two they take."""
    pairs = json.loads(rewritten(body, target), object_pairs_hook=list)
    assert [value for key, value in pairs if key == "model"] == [target]


def test_a_body_that_names_the_right_model_is_sent_as_it_is() -> None:
    body = b'{"model":"new","messages":[]}'
    assert rewritten(body) is body


STREAM = b'{"model":"old","messages":[],"stream":true'


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (STREAM + b"}", {"include_usage": True}),
        (STREAM + b',"stream_options":null}', {"include_usage": True}),
        (STREAM + b',"stream_options":{}}', {"include_usage": True}),
        (STREAM + b',"stream_options":{"include_usage":false,"x":[1]}}', {"include_usage": True, "x": [1]}),
        (STREAM + b',"stream_options":{"include_usage":null}}', {"include_usage": True}),
        (STREAM + b',"stream_options":{"include_usage":true,"x":1}}', {"include_usage": True, "x": 1}),
        (STREAM + rb',"stream_\u006fptions":{"x":1}}', {"include_usage": True, "x": 1}),
        (b' \n{ "model" : "old", "messages":[], "stream" : true }', {"include_usage": True}),
    ],
)
def test_usage_is_asked_for_in_a_stream(body: bytes, options: dict[str, Any]) -> None:
    out = json.loads(rewritten(body, inject=True), object_pairs_hook=_no_twins)
    assert out == {**json.loads(body), "model": "new", "stream_options": options}


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), "a key stands twice"
    return dict(pairs)


@pytest.mark.parametrize(
    ("body", "inject"),
    [
        (b'{"model":"old","messages":[]}', True),
        (b'{"model":"old","messages":[],"stream":false}', True),
        (b'{"model":"old","messages":[],"stream":false,"stream_options":{"x":1}}', True),
        (STREAM + b"}", False),
        (STREAM + b',"stream_options":{"include_usage":true}}', True),
    ],
)
def test_absent_stays_absent(body: bytes, inject: bool) -> None:
    assert rewritten(body, inject=inject) == body.replace(b'"old"', b'"new"')


text = st.one_of(st.sampled_from(["model", "messages", 'a"model":"b', "\\u006d", "é☃🙂", ""]), st.text(max_size=8))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=8,
)
extra_keys = text.filter(lambda key: key not in openai_chat._HEAD.type.__struct_fields__)
bodies = st.builds(
    lambda extra, model, messages, stream, options, order: dict(
        order.sample(
            [*extra.items(), ("model", model), ("messages", messages), ("stream", stream), *options],
            len(extra) + 3 + len(options),
        )
    ),
    st.dictionaries(extra_keys, values, max_size=4),
    text,
    st.lists(st.dictionaries(extra_keys.filter(lambda key: key != "content"), values, max_size=2), max_size=2),
    st.booleans(),
    st.sampled_from([[], [("stream_options", None)], [("stream_options", {"include_usage": False, "model": 1})]]),
    st.randoms(use_true_random=False),
)
writings = st.sampled_from(
    [
        {"separators": (",", ":"), "ensure_ascii": False},
        {"separators": (",", ":"), "ensure_ascii": True},
        {"indent": 2},
        {},
    ]
)


@given(bodies, writings, text, st.booleans())
def test_any_body_parses_to_the_same_but_for_what_was_to_change(
    fields: dict[str, Any], writing: dict[str, Any], model: str, inject: bool
) -> None:
    body = json.dumps(fields, **writing).encode()
    expected = {**fields, "model": model}
    if inject and fields["stream"]:
        expected["stream_options"] = {**(fields.get("stream_options") or {}), "include_usage": True}
    assert json.loads(rewritten(body, model, inject=inject)) == expected


@given(bodies, text)
def test_all_other_bytes_of_a_compact_body_are_the_same(fields: dict[str, Any], model: str) -> None:
    """The text around the model's value is what came, also where the object had to be taken apart."""
    body = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    assume(b"\\u00" not in body)
    expected = json.dumps({**fields, "model": model}, separators=(",", ":"), ensure_ascii=False).encode()
    assume(b"\\u00" not in expected)
    assert rewritten(body, model) == expected


def test_numbers_and_spelling_of_other_values_are_kept_even_when_the_object_is_taken_apart() -> None:
    body = rb'{"model":"a","model":"b","messages":[],"x":1.50,"y":1E3,"z":12345678901234567890123,"t":"\/\u00e9"}'
    out = rewritten(body)
    for piece in (rb'"x":1.50', rb'"y":1E3', rb'"z":12345678901234567890123', rb'"t":"\/\u00e9"'):
        assert piece in out


def test_a_body_nested_almost_too_deeply_is_refused_and_not_a_fault_of_ours() -> None:
    """What could just be read where the stack was short may be too deep further down the path."""

    def deeper(levels: int, request: Incoming) -> bytes:
        return deeper(levels - 1, request) if levels else openai_chat.rewrite(request, "new", inject_usage=False)

    depth = 100
    while True:
        body = b'{"model":"a","model":"b","messages":' + b"[" * depth + b"]" * depth + b"}"
        try:
            request = openai_chat.read(body)
        except GatewayError:
            break
        deepest = request
        depth += 1
    with pytest.raises(GatewayError, match="nested too deeply"):
        deeper(30, deepest)


@pytest.mark.parametrize("first", [True, False])
def test_ten_megabytes_cost_a_few_copies(first: bool) -> None:
    """A copy of ten megabytes takes about 2 ms; parsing them into objects would take many times the bound."""
    picture = b'"messages":[{"content":[{"type":"image_url","image_url":{"url":"' + b"A" * 10_000_000 + b'"}}]}]'
    body = (
        b'{"model":"old",' + picture + b',"stream":true}'
        if first
        else b"{" + picture + b',"stream":true,"model":"old"}'
    )
    request = openai_chat.read(body)
    start = time.perf_counter()
    out = openai_chat.rewrite(request, "new", inject_usage=True)
    assert time.perf_counter() - start < 0.3
    assert len(out) == len(body) + len(b'"stream_options":{"include_usage":true},')


def test_embeddings_are_rewritten_the_same_way() -> None:
    request = openai_embeddings.read(b'{"input":"x","model":"old","encoding_format":"base64"}')
    out = openai_embeddings.rewrite(request, "new", inject_usage=True)
    assert out == b'{"input":"x","model":"new","encoding_format":"base64"}'


def test_a_member_is_put_first() -> None:
    assert insert_first(b' { "a":1}', b'"b":2') == b' {"b":2, "a":1}'
