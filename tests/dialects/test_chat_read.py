"""What a chat request needs is read from its body, however it is written; what is no request is refused helpfully."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from pointsman.core import capability as cap
from pointsman.core.capability import Task, capability_names
from pointsman.core.errors import GatewayError
from pointsman.core.record import CallRecord
from pointsman.dialects import openai_chat

USER = [{"role": "user", "content": "hi"}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
PDF = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def body(**fields: Any) -> bytes:
    """A compact request, as clients write it."""
    return json.dumps({"model": "m", "messages": USER, **fields}, separators=(",", ":")).encode()


def parts(*content: Any) -> bytes:
    return body(messages=[{"role": "user", "content": [{"type": "text", "text": "see"}, *content]}])


NEEDS: list[tuple[bytes, int]] = [
    (body(), 0),
    (body(stream=True), cap.STREAMING),
    (body(stream=False), 0),
    (body(stream=None), 0),
    (body(tools=[TOOL]), cap.TOOLS),
    (body(tools=[]), 0),
    (body(tools=None), 0),
    (body(functions=[{"name": "f"}]), cap.TOOLS),
    (body(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}), cap.JSON_SCHEMA),
    (body(response_format={"type": "json_object"}), 0),
    (body(response_format=None), 0),
    (body(reasoning_effort="high"), cap.REASONING),
    (body(reasoning_effort="none"), 0),
    (body(reasoning_effort="minimal"), 0),
    (body(reasoning_effort=None), 0),
    (body(modalities=["text", "audio"]), cap.AUDIO_OUTPUT),
    (body(modalities=["text"]), 0),
    (parts(), 0),
    (parts(IMAGE), cap.IMAGE_INPUT),
    (parts(AUDIO), cap.AUDIO_INPUT),
    (parts(PDF), cap.PDF_INPUT),
    (parts(IMAGE, AUDIO, PDF), cap.IMAGE_INPUT | cap.AUDIO_INPUT | cap.PDF_INPUT),
    (parts({"type": "something_new", "x": 1}), 0),
    (parts({"no": "type"}), 0),
    (parts({"type": None}), 0),
    (parts({"type": ["image_url"]}), 0),
    (body(messages=[*USER, {"role": "tool", "content": [IMAGE]}]), cap.IMAGE_INPUT),
    (body(messages=[{"role": "user", "content": 'say "type": "image_url" and "image_url"'}]), 0),
    (body(messages=[{"role": "user", "content": "image_url"}], metadata={"type": "image_url"}), 0),
    (parts({"type": "text", "text": '{"type":"image_url"}'}), 0),
    (body(messages=[{"role": "assistant", "content": None, "tool_calls": [{"type": "function"}]}]), 0),
    (
        body(stream=True, tools=[TOOL], response_format={"type": "json_schema"}, reasoning_effort="low"),
        cap.STREAMING | cap.TOOLS | cap.JSON_SCHEMA | cap.REASONING,
    ),
]


@pytest.mark.parametrize(("sent", "needs"), NEEDS, ids=[str(i) for i in range(len(NEEDS))])
@pytest.mark.parametrize("form", ["compact", "pretty", "backwards", "escaped"])
def test_needs_are_read_however_the_body_is_written(sent: bytes, needs: int, form: str) -> None:
    fields = json.loads(sent)
    if form == "pretty":
        sent = json.dumps(fields, indent=4).encode()
    elif form == "backwards":
        sent = json.dumps(dict(reversed(fields.items()))).encode()
    elif form == "escaped":
        sent = b"".join(b"\\u%04x" % c if chr(c) in "aeimostu_" and word else bytes([c]) for c, word in letters(sent))
        assert json.loads(sent) == fields
    read = openai_chat.read(sent)
    assert capability_names(read.need.capabilities) == capability_names(needs)
    assert read.need.task is Task.CHAT
    assert read.model == "m"
    assert read.body is sent
    assert read.stream is bool(fields.get("stream"))


def letters(text: bytes) -> list[tuple[int, bool]]:
    """Each byte, and whether it stands inside a string."""
    found: list[tuple[int, bool]] = []
    inside = skip = False
    for c in text:
        if skip:
            skip = False
            found.append((c, False))
        elif inside and c == 0x5C:
            skip = True
            found.append((c, False))
        else:
            if c == 0x22:
                inside = not inside
            found.append((c, inside and c != 0x22))
    return found


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        (rb'{"model":"m","messages":[{"content":[{"type":"\u0069mage_url"}]}]}', cap.IMAGE_INPUT),
        (rb'{"model":"m","messages":[{"content":[{"\u0074ype":"image_url"}]}]}', cap.IMAGE_INPUT),
        (rb'{"model":"m","m\u0065ssages":[{"c\u006fntent":[{"typ\u0065":"fil\u0065"}]}]}', cap.PDF_INPUT),
        (rb'{"mod\u0065l":"m","messages":[],"str\u0065am":true}', cap.STREAMING),
        (rb'{"model":"m","messages":[],"tools":[],"\u0074ools":[{}]}', cap.TOOLS),
    ],
)
def test_escapes_hide_nothing(text: bytes, needs: int) -> None:
    read = openai_chat.read(text)
    assert (read.model, read.need.capabilities) == ("m", needs)


def test_the_last_of_two_equal_keys_counts_as_upstreams_read_it() -> None:
    read = openai_chat.read(b'{"model":"a","stream":true,"messages":5,"model":"b","messages":[],"stream":false}')
    assert (read.model, read.stream) == ("b", False)


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, 0),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
        ({"max_tokens": None}, 0),
        ({"max_tokens": 0}, 0),
        ({"max_tokens": -1}, 0),
        ({"max_tokens": 10**30}, openai_chat.MOST_TOKENS),
    ],
)
def test_requested_output(fields: dict[str, Any], asked: int) -> None:
    need = openai_chat.read(body(**fields)).need
    assert need.max_output == asked
    msgspec.msgpack.encode(CallRecord("c", 1, 1, "", "", need_max_output=need.max_output))


@pytest.mark.parametrize(
    ("options", "wants", "has"),
    [
        ("absent", False, False),
        (None, False, True),
        ({}, False, True),
        ({"include_usage": True}, True, True),
        ({"include_usage": False}, False, True),
        ({"include_usage": None}, False, True),
        ({"other": 1}, False, True),
    ],
)
def test_whether_usage_was_asked_for(options: Any, wants: bool, has: bool) -> None:
    fields = {} if options == "absent" else {"stream_options": options}
    read = openai_chat.read(body(stream=True, **fields))
    assert (read.wants_usage, read.has_stream_options) == (wants, has)


@pytest.mark.parametrize(
    ("text", "at_most"),
    [
        ("word " * 2000, 2000),
        ("слово " * 2000, 3500),
        ("शब्द " * 2000, 3500),
        ("単語" * 1000, 1500),
        ("🙂" * 1000, 1000),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_estimate_of_input_errs_low_in_any_alphabet(text: str, at_most: int, ascii_only: bool) -> None:
    """`at_most` is at most what the o200k tokenizer counts: a request that fits is never refused as too long."""
    sent = json.dumps({"model": "m", "messages": [{"content": text}]}, ensure_ascii=ascii_only).encode()
    assert openai_chat.read(sent).need.input_tokens <= at_most


def test_the_estimate_is_no_toy() -> None:
    assert openai_chat.read(body(messages=[{"content": "word " * 2000}])).need.input_tokens > 1500


def test_media_are_no_text() -> None:
    picture = {"type": "image_url", "image_url": {"url": "A" * 1_000_000}}
    assert openai_chat.read(parts(picture)).need.input_tokens < 50


def test_ten_megabytes_are_read_in_no_time() -> None:
    sent = body(messages=[{"content": [{"type": "image_url", "image_url": {"url": "A" * 10_000_000}}]}])
    start = time.perf_counter()
    openai_chat.read(sent)
    assert time.perf_counter() - start < 0.5


M = b'{"model":"m","messages":'

REFUSED: list[tuple[bytes, str, str | None, str]] = [
    (b"", "invalid_json", None, "no body"),
    (b" ", "invalid_json", None, "not valid JSON"),
    (b"{", "invalid_json", None, "not valid JSON"),
    (b"nonsense", "invalid_json", None, "not valid JSON"),
    (b"\x00\x01", "invalid_json", None, "not valid JSON"),
    (b'\xef\xbb\xbf{"model":"m","messages":[]}', "invalid_json", None, "not valid JSON"),
    (M + b"[]} trailing", "invalid_json", None, "trailing characters"),
    (M + b'[],"temperature":NaN}', "invalid_json", None, "not valid JSON"),
    (M + b'[{"content":"\xff"}]}', "invalid_json", None, "not valid UTF-8 (byte 37)"),
    (M + b'[{"content":"\xed\xa0\x80"}]}', "invalid_json", None, "not valid UTF-8"),
    (M + b'[{"content":"\\ud800"}]}', "invalid_json", None, "not valid JSON"),
    (M + b'[{"content":"\\q"}]}', "invalid_json", None, "not valid JSON"),
    (M + b'[{"content":[{"type":"\\q"}]}]}', "invalid_json", None, "not valid JSON"),
    (M + b'[{"content":"two\nlines"}]}', "invalid_json", None, "not valid JSON"),
    (M + b"[" * 100_000, "invalid_json", None, "nested too deeply"),
    (M + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_json", None, "nested too deeply"),
    (b"[" * 100_000, "invalid_request", None, "object, got array"),
    (b"[]", "invalid_request", None, "Expected object, got array as the request body"),
    (b"null", "invalid_request", None, "got null"),
    (b'"text"', "invalid_request", None, "got str"),
    (b"5", "invalid_request", None, "got int"),
    (b"{}", "invalid_request", "model", "`model` is missing"),
    (b'{"messages":[]}', "invalid_request", "model", "`model` is missing"),
    (b'{"model":"m"}', "invalid_request", "messages", "`messages` is missing"),
    (b'{"model":5,"messages":[]}', "invalid_request", "model", "Expected str, got int in `model`"),
    (b'{"model":null,"messages":[]}', "invalid_request", "model", "got null in `model`"),
    (b'{"model":["m"],"messages":[]}', "invalid_request", "model", "got array in `model`"),
    (M + b"{}}", "invalid_request", "messages", "must be an array"),
    (M + b'"hi"}', "invalid_request", "messages", "must be an array"),
    (M + b"null}", "invalid_request", "messages", "must be an array"),
    (M + b'[{"content":5,"type":0}]}', "invalid_request", "messages", "`messages` cannot be read"),
    (M + b'[5,{"type":0}]}', "invalid_request", "messages", "`messages` cannot be read"),
    (M + b'[],"stream":"yes"}', "invalid_request", "stream", "Expected bool | null, got str in `stream`"),
    (M + b'[],"max_tokens":"9"}', "invalid_request", "max_tokens", "in `max_tokens`"),
    (M + b'[],"max_tokens":1e400}', "invalid_request", "max_tokens", "Number out of range"),
    (M + b'[],"max_tokens":1.5}', "invalid_request", "max_tokens", "in `max_tokens`"),
    (M + b'[],"tools":{}}', "invalid_request", "tools", "got object in `tools`"),
    (M + b'[],"stream_options":1}', "invalid_request", "stream_options", "in `stream_options`"),
    (M + b'[],"stream_options":{"include_usage":1}}', "invalid_request", "stream_options.include_usage", "got int"),
    (M + b'[],"response_format":"json"}', "invalid_request", "response_format", "in `response_format`"),
    (M + b'[],"modalities":[1]}', "invalid_request", "modalities[0]", "in `modalities[0]`"),
]


@pytest.mark.parametrize(("sent", "code", "param", "said"), REFUSED, ids=[str(row[0][:40]) for row in REFUSED])
def test_what_is_no_request_is_refused_with_a_mend(sent: bytes, code: str, param: str | None, said: str) -> None:
    with pytest.raises(GatewayError) as caught:
        openai_chat.read(sent)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert said in caught.value.message
    assert len(caught.value.message) < 400
    json.loads(openai_chat.error(caught.value, "c"))


def test_fields_that_nobody_here_knows_pass() -> None:
    sent = body(unheard_of={"a": [1, 2.5, None]}, seed=10**40)
    assert openai_chat.read(sent).body is sent


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","Model":"b","messages":[]}',
        b'{"MODEL":"b","model":"a","messages":[]}',
        b'{"model":"a","models":["b"],"messages":[]}',
        b'{"model":"a","\\u004dodel":"b","messages":[]}',
    ],
)
def test_a_body_that_could_choose_another_model_upstream_is_refused(body: bytes) -> None:
    """Upstreams that read keys without regard to case, or take a list of models, must not get round the decision."""
    with pytest.raises(GatewayError) as caught:
        openai_chat.read(body)
    assert caught.value.code == "invalid_request"
    assert "another model" in caught.value.message


def test_the_word_model_elsewhere_in_a_body_is_no_second_model() -> None:
    text = b'"messages":[{"role":"user","content":"say \\"model\\""}]'
    body = b'{"model":"a",' + text + b',"metadata":{"model":"x"},"user":"Model"}'
    assert openai_chat.read(body).model == "a"
