"""Usage as OpenAI and those who speak like it report it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pointsman.core.usage import Usage

Tokens = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] | None
"""A count within what any record can hold; a figure beyond is no count."""

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODE = msgspec.json.Encoder().encode


class _InputDetails(msgspec.Struct):
    cached_tokens: Tokens = None
    audio_tokens: Tokens = None
    cache_write_tokens: Tokens = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: Tokens = None
    audio_tokens: Tokens = None


class UsageWire(msgspec.Struct):
    """`usage` of chat completions and embeddings. Vendors leave out or null any part of it."""

    prompt_tokens: Tokens = None
    completion_tokens: Tokens = None
    total_tokens: Tokens = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: Tokens = None

    def usage(self) -> Usage | None:
        """In our terms; None when it does not say how much was read: unknown is not zero.

        Some count reasoning in the total alone (Google's OpenAI endpoint, xAI). It is billed as output.
        """
        asked = self.prompt_tokens
        answered = self.completion_tokens or 0
        total = self.total_tokens
        if asked is None:
            if total is None or total < answered:
                return None
            asked = total - answered
        elif total is not None and total > asked + answered:
            answered = total - asked
        given = self.prompt_tokens_details
        made = self.completion_tokens_details
        if given is None and made is None and not self.prompt_cache_hit_tokens:
            return Usage(asked, answered)
        cached = (given.cached_tokens if given else None) or self.prompt_cache_hit_tokens or 0
        return Usage(
            input_tokens=asked,
            output_tokens=answered,
            cache_read_tokens=cached,
            cache_write_tokens=(given.cache_write_tokens if given else 0) or 0,
            reasoning_tokens=(made.reasoning_tokens if made else 0) or 0,
            audio_input_tokens=(given.audio_tokens if given else 0) or 0,
            audio_output_tokens=(made.audio_tokens if made else 0) or 0,
        )


def without_usage(body: bytes) -> bytes:
    """A JSON object without its usage: what is left to read when the usage cannot be. Raises msgspec.MsgspecError."""
    fields = _FIELDS.decode(body)
    fields.pop("usage", None)
    return _ENCODE(fields)
