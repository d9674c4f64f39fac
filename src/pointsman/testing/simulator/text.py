"""Words that a simulated model says: the same request always gets the same ones."""

import random
import re
import zlib
from typing import Any

_SAYINGS = (
    "the points are set for one track and no other train may take it signal clear ahead line ready "
    "driver reads board and goes slowly past yard then over bridge into town naïve café zürich 東京 ✓"
)
_TOKEN = re.compile(r"\s*\S+")


def seed_of(value: bytes, seed: int) -> int:
    """A number that depends on the bytes and on the simulator's seed alone."""
    return zlib.crc32(value, seed & 0xFFFFFFFF)


def text_of(content: Any) -> str:
    """The text in a message's content, be it a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def estimated_tokens(text: str) -> int:
    """About how many tokens a text is: four characters each, at least one."""
    return max(1, len(text) // 4)


def tokens_of(text: str) -> list[str]:
    """Split a text into pieces, white space leading; joined they are the text."""
    pieces = _TOKEN.findall(text)
    tail = text[sum(map(len, pieces)) :]
    return [*pieces, tail] if tail else pieces


def sentence(name: str, question: str, seed: int, tokens: int) -> list[str]:
    """`tokens` pieces of text that name the speaker and take up the question."""
    asked = " ".join(question.split()[:8])
    opening = tokens_of(f"This is {name}, a simulated model. You said: “{asked}”." if asked else f"This is {name}.")
    source = random.Random(seed)  # noqa: S311 - reproducible on purpose, no secret
    rest = source.choices(_SAYINGS.split(), k=max(0, tokens - len(opening)))
    return (opening + [" " + word for word in rest])[:tokens]
