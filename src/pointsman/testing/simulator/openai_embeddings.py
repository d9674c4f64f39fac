"""OpenAI's embeddings on the wire, with vectors in which shared words bring texts near each other."""

import array
import base64
import math
import re
import sys
import zlib
from typing import Any

import msgspec

from pointsman.testing.simulator.answer import Answer
from pointsman.testing.simulator.errors import JSON_TYPE
from pointsman.testing.simulator.text import estimated_tokens

_WORD = re.compile(r"\w+")
_PLACES_A_WORD = 4


def vector(given: str | list[int], dimensions: int, seed: int) -> list[float]:
    """A unit vector: every word adds to a few places that depend on the word alone."""
    words = _WORD.findall(given.lower()) if isinstance(given, str) else [str(token) for token in given]
    made = [1e-4] * dimensions
    for word in words or [str(given)]:
        mark = zlib.crc32(word.encode(), seed & 0xFFFFFFFF)
        for _ in range(_PLACES_A_WORD):
            made[(mark >> 1) % dimensions] += 1.0 if mark & 1 else -1.0
            mark = zlib.crc32(b"+", mark)
    length = math.sqrt(math.fsum(value * value for value in made)) or 1.0
    return [value / length for value in made]


def embeddings(inputs: list[Any], *, model: str, dimensions: int, in_base64: bool, seed: int) -> Answer:
    """One vector an input, as floats or as base64 of little-endian 32-bit floats."""
    vectors = (vector(given, dimensions, seed) for given in inputs)
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(values) if in_base64 else values}
        for index, values in enumerate(vectors)
    ]
    read = sum(estimated_tokens(given) if isinstance(given, str) else len(given) for given in inputs)
    usage = {"prompt_tokens": read, "total_tokens": read}
    body = {"object": "list", "data": data, "model": model, "usage": usage}
    return Answer(200, [JSON_TYPE], msgspec.json.encode(body))


def _base64(values: list[float]) -> str:
    packed = array.array("f", values)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode()
