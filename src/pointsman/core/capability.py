"""What a target can do, as bits.

A capability is tri-state. A target carries two masks: `yes` (known to be able) and `unknown` (nobody has said);
a bit in neither is a known *no*. A missing fact therefore never reads as "no".
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

CAPABILITIES: tuple[str, ...] = (
    "streaming",
    "tools",
    "json_schema",
    "image_input",
    "audio_input",
    "pdf_input",
    "reasoning",
    "audio_output",
)
"""Names in bit order. New ones are appended; a bit never changes its meaning."""

STREAMING, TOOLS, JSON_SCHEMA, IMAGE_INPUT, AUDIO_INPUT, PDF_INPUT, REASONING, AUDIO_OUTPUT = (
    1 << i for i in range(len(CAPABILITIES))
)
ALL_CAPABILITIES = (1 << len(CAPABILITIES)) - 1


class Task(enum.StrEnum):
    """The kind of work a target does; a request for one task never reaches a target of another."""

    CHAT = "chat"
    EMBEDDING = "embedding"


class Known(enum.StrEnum):
    """The three states of a capability as people write them."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def capability_mask(names: Iterable[str]) -> int:
    """Bits of the named capabilities. Raises KeyError for a name that is not one."""
    mask = 0
    for name in names:
        if name not in CAPABILITIES:
            raise KeyError(name)
        mask |= 1 << CAPABILITIES.index(name)
    return mask


def capability_names(mask: int) -> tuple[str, ...]:
    """Names of the bits in `mask`, in bit order."""
    return tuple(name for i, name in enumerate(CAPABILITIES) if mask >> i & 1)
