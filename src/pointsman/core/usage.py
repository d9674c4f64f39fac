"""Tokens of one upstream call, with every subset named so that nothing is billed twice."""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Token counts as the provider reported them.

    `cache_read_tokens`, `cache_write_tokens` and `audio_input_tokens` are parts of `input_tokens`;
    `reasoning_tokens` and `audio_output_tokens` are parts of `output_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0

    @property
    def has_subsets(self) -> bool:
        """Whether any input or output token is billed at a rate of its own."""
        return bool(
            self.cache_read_tokens or self.cache_write_tokens or self.audio_input_tokens or self.audio_output_tokens
        )
