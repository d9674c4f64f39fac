"""Usage as OpenAI and those who speak like it report it."""

from __future__ import annotations

import msgspec

from pointsman.core.usage import Usage


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    audio_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class UsageWire(msgspec.Struct):
    """`usage` of chat completions and embeddings. Vendors leave out or null any part of it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None

    def usage(self) -> Usage:
        """In our terms."""
        given = self.prompt_tokens_details
        made = self.completion_tokens_details
        if given is None and made is None and not self.prompt_cache_hit_tokens:
            return Usage(self.prompt_tokens or 0, self.completion_tokens or 0)
        cached = (given.cached_tokens if given else None) or self.prompt_cache_hit_tokens or 0
        return Usage(
            input_tokens=self.prompt_tokens or 0,
            output_tokens=self.completion_tokens or 0,
            cache_read_tokens=cached,
            cache_write_tokens=(given.cache_write_tokens if given else 0) or 0,
            reasoning_tokens=(made.reasoning_tokens if made else 0) or 0,
            audio_input_tokens=(given.audio_tokens if given else 0) or 0,
            audio_output_tokens=(made.audio_tokens if made else 0) or 0,
        )
