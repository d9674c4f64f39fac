"""Server-sent events as a provider writes them."""

import re
from typing import Any

import msgspec

DONE = b"data: [DONE]\n\n"
_END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r")


def event(payload: Any) -> bytes:
    """One `data:` frame with the payload as JSON."""
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


def split_events(text: bytes) -> list[bytes]:
    """Cut a recorded stream into frames, each with the blank line that ends it; nothing is lost or added."""
    frames = []
    start = 0
    for match in _END_OF_EVENT.finditer(text):
        frames.append(text[start : match.end()])
        start = match.end()
    if start < len(text):
        frames.append(text[start:])
    return frames


def payload_of(frame: bytes) -> Any:
    """The JSON value of a `data:` frame, or None for comments, `[DONE]` and anything that is not JSON."""
    for line in frame.splitlines():
        if line.startswith(b"data:"):
            try:
                return msgspec.json.decode(line[5:])
            except msgspec.DecodeError:
                return None
    return None


def is_closing(frame: bytes) -> bool:
    """Whether the frame announces the end: a finish reason, or `[DONE]`."""
    if frame.startswith(b"data: [DONE]"):
        return True
    payload = payload_of(frame)
    choices = payload.get("choices") if isinstance(payload, dict) else None
    return any(isinstance(choice, dict) and choice.get("finish_reason") for choice in choices or ())
