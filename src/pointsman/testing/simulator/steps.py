"""An answer and its delivery as a list of steps: bytes to send, pauses, and the end."""

import random
from collections.abc import Iterator
from http import HTTPStatus
from typing import Literal

import msgspec

from pointsman.testing.simulator.answer import Answer, Cut, Delivery
from pointsman.testing.simulator.faults_said import place_to_break

LAST_CHUNK = b"0\r\n\r\n"
# Long enough that what was sent before a reset leaves first, short enough to go unnoticed.
BEFORE_RESET = 0.003


class Wait(msgspec.Struct, frozen=True):
    """Do nothing for so many seconds; 0 lets the event loop turn once."""

    seconds: float


End = Literal["keep_alive", "close", "reset", "hang"]
Step = bytes | Wait | End
ReasonPhrases = {status.value: status.phrase for status in HTTPStatus}


def steps(answer: Answer, delivery: Delivery, *, keep_alive: bool, chunks_allowed: bool) -> Iterator[Step]:
    """Everything to do on the socket, in order; the last step says how the exchange ends."""
    stop = delivery.stop
    before_headers = delivery.before_headers
    if answer.events is None:
        before_headers += delivery.before_body + delivery.between * answer.tokens
    if before_headers:
        yield Wait(before_headers)
    if stop is not None and stop.where == "before_headers":
        yield from _broken_off(stop.how, keep_alive)
        return
    framing = _framing(answer, delivery, chunks_allowed)
    keep_alive = keep_alive and framing != "close"
    head = _head(answer, framing, keep_alive)
    body = _body(answer, delivery, framing)
    if delivery.cut is not None and delivery.cut.mode == "wire":
        whole = head + b"".join(piece for piece in body if isinstance(piece, bytes))
        yield from _paced(_random_pieces(whole, delivery.cut.seed), delivery.cut.pause)
    elif answer.events is None and stop is None and delivery.cut is None:
        yield head + b"".join(piece for piece in body if isinstance(piece, bytes))
    else:
        yield head
        if stop is None or stop.where != "after_headers":
            yield from body
    if stop is not None:
        yield from _broken_off(stop.how, keep_alive, LAST_CHUNK if framing == "chunked" else b"")
        return
    yield "keep_alive" if keep_alive else "close"


def _broken_off(how: str, keep_alive: bool, last: bytes = b"") -> Iterator[Step]:
    if how == "end":
        if last:
            yield last
        yield "keep_alive" if keep_alive else "close"
    elif how == "reset":
        yield Wait(BEFORE_RESET)
        yield "reset"
    else:
        yield "hang" if how == "hang" else "close"


def _framing(answer: Answer, delivery: Delivery, chunks_allowed: bool) -> Literal["length", "chunked", "close"]:
    if delivery.framing == "close":
        return "close"
    if answer.events is None and delivery.framing == "natural":
        return "length"
    return "chunked" if chunks_allowed else "close"


def _head(answer: Answer, framing: str, keep_alive: bool) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {ReasonPhrases.get(answer.status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    if framing == "length":
        lines.append(f"content-length: {len(answer.body)}")
    elif framing == "chunked":
        lines.append("transfer-encoding: chunked")
    lines.append("connection: keep-alive\r\n\r\n" if keep_alive else "connection: close\r\n\r\n")
    return "\r\n".join(lines).encode("latin-1")


def _body(answer: Answer, delivery: Delivery, framing: str) -> Iterator[Step]:
    stop = delivery.stop
    if answer.events is None:
        kept = answer.body if stop is None or stop.how == "end" else answer.body[: len(answer.body) // 2]
        pieces = [kept] if kept else []
    else:
        kept_events = len(answer.events) if stop is None else place_to_break(answer.events, stop.events)
        pieces = answer.events[:kept_events]
        if delivery.before_body:
            yield Wait(delivery.before_body)
    cut = delivery.cut
    if cut is not None and cut.mode not in ("event", "wire"):
        pieces = cut_pieces(pieces, cut)
    between = delivery.between if answer.events is not None else 0.0
    for place, piece in enumerate(pieces):
        if place:
            if between:
                yield Wait(between)
            elif cut is not None:
                yield Wait(cut.pause)
        yield b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece
    if framing == "chunked" and stop is None:
        yield LAST_CHUNK


def cut_pieces(pieces: list[bytes], cut: Cut) -> list[bytes]:
    """Cut the pieces anew as `cut` says; joined, they are what they were."""
    whole = b"".join(pieces)
    match cut.mode:
        case "byte":
            return [whole[place : place + 1] for place in range(len(whole))]
        case "random":
            return _random_pieces(whole, cut.seed)
        case "utf8":
            return _split_characters(whole)
        case "pack":
            return [b"".join(pieces[place : place + cut.n]) for place in range(0, len(pieces), max(1, cut.n))]
        case "whole":
            return [whole] if whole else []
        case "event" | "wire":
            return pieces


def _random_pieces(whole: bytes, seed: int) -> list[bytes]:
    source = random.Random(seed)  # noqa: S311 - reproducible on purpose, no secret
    pieces = []
    start = 0
    while start < len(whole):
        end = start + source.choice((1, 2, 3, 5, 8, 21, 55, 144))
        pieces.append(whole[start:end])
        start = end
    return pieces


def _split_characters(whole: bytes) -> list[bytes]:
    """Cut behind the first byte of every character of several bytes."""
    places = [place + 1 for place, byte in enumerate(whole) if byte >= 0xC0]
    starts = [0, *places]
    ends = [*places, len(whole)]
    return [whole[start:end] for start, end in zip(starts, ends, strict=True) if end > start]


def _paced(pieces: list[bytes], pause: float) -> Iterator[Step]:
    for place, piece in enumerate(pieces):
        if place:
            yield Wait(pause)
        yield piece
