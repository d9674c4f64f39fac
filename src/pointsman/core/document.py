"""The revision document: one immutable, numbered version of the whole registry, as it is stored and published.

It is written as JSON lines. The first line is the header; every further line is a batch of one section. A reader can
therefore take it in small steps between requests, however large the registry is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from pointsman.core.policy import PolicySpec, WorkflowSpec
from pointsman.core.target import TargetSpec

FORMAT = 1
BATCH = 200


class ProviderSpec(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A vendor account or endpoint. `credential` is a reference (`env:NAME`, `file:PATH`), never the secret."""

    name: str
    family: str
    base_url: str
    credential: str | None = None
    region: str | None = None
    ca_file: str | None = None
    proxy: str | None = None
    stream_usage: bool = True
    headers: tuple[tuple[str, str], ...] = ()


class KeySpec(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A caller's key. `hash` is the lower-case hex SHA-256 of the key itself.

    `allow` is an index into `Document.allow_sets` (None: every registered name). `providers` empty means any;
    `require_tags` are tags that every target serving this key must carry. `expires` is a Unix time in seconds.
    """

    name: str
    hash: str
    team: str = ""
    allow: int | None = None
    providers: tuple[str, ...] = ()
    require_tags: tuple[str, ...] = ()
    expires: int | None = None


class AliasSpec(msgspec.Struct, frozen=True, gc=False):
    """A public name that points to one target."""

    name: str
    target: str


class Unregistered(msgspec.Struct, frozen=True, gc=False):
    """What happens to names that nobody registered: `observe` forwards them to `provider`, marked as such."""

    provider: str


class Document(msgspec.Struct, frozen=True):
    """Everything a gateway needs to serve a revision."""

    providers: tuple[ProviderSpec, ...] = ()
    targets: tuple[TargetSpec, ...] = ()
    aliases: tuple[AliasSpec, ...] = ()
    policies: tuple[PolicySpec, ...] = ()
    workflows: tuple[WorkflowSpec, ...] = ()
    allow_sets: tuple[tuple[str, ...], ...] = ()
    keys: tuple[KeySpec, ...] = ()
    unregistered: Unregistered | None = None


class Header(msgspec.Struct, frozen=True):
    """First line of a published document."""

    format: int
    revision: int
    hash: str
    unregistered: Unregistered | None = None


class _Format(msgspec.Struct):
    """The one field that the header of every format has."""

    format: int


SECTIONS: dict[str, Any] = {
    "providers": ProviderSpec,
    "targets": TargetSpec,
    "aliases": AliasSpec,
    "policies": PolicySpec,
    "workflows": WorkflowSpec,
    "allow_sets": tuple[str, ...],
    "keys": KeySpec,
}
_BATCH_DECODERS = {
    name: msgspec.json.Decoder(tuple[kind, ...])  # type: ignore[valid-type]  # the kind is data here
    for name, kind in SECTIONS.items()
}
_LINE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_HEADER = msgspec.json.Decoder(Header)
_FORMAT = msgspec.json.Decoder(_Format)
_ENCODER = msgspec.json.Encoder(order="deterministic")


class DocumentError(ValueError):
    """A published document that cannot be read: wrong format, damaged, or cut short."""


def _section_lines(document: Document) -> Iterator[bytes]:
    for name in SECTIONS:
        items = getattr(document, name)
        for start in range(0, len(items), BATCH):
            yield _ENCODER.encode({name: items[start : start + BATCH]})


def document_hash(document: Document) -> str:
    """Hex SHA-256 over the sections: equal registries have equal hashes, whatever their revision number."""
    digest = hashlib.sha256(_ENCODER.encode(document.unregistered))
    for line in _section_lines(document):
        digest.update(line)
    return digest.hexdigest()


def encode_document(document: Document, revision: int) -> bytes:
    """The published form of a document: header line, section lines, and a closing line that proves it is whole."""
    header = Header(FORMAT, revision, document_hash(document), document.unregistered)
    return b"\n".join([_ENCODER.encode(header), *_section_lines(document), b'{"end":[]}', b""])


def _decode_header(line: bytes) -> Header:
    found = _FORMAT.decode(line).format
    if found != FORMAT:
        raise DocumentError(f"revision document has format {found}, this version reads {FORMAT}")
    return _HEADER.decode(line)


def decode_steps(lines: Iterable[bytes]) -> Iterator[tuple[Header, Document | None]]:
    """Decode a published document a batch at a time.

    Yields (header, None) after every line and (header, document) once at the end, so that a caller may do other work
    in between. The sections must have the hash that the header names. Raises DocumentError when the document is
    damaged, incomplete or of a format this version cannot read.
    """
    parts: dict[str, list[Any]] = {name: [] for name in SECTIONS}
    header: Header | None = None
    ended = False
    digest = hashlib.sha256()
    try:
        for line in lines:
            line = line.strip()
            if header is None:
                header = _decode_header(line)
                digest.update(_ENCODER.encode(header.unregistered))
            elif line:
                ((name, raw),) = _LINE.decode(line).items()
                if ended:
                    raise DocumentError("revision document goes on after its end")
                if name == "end":
                    ended = True
                else:
                    parts[name].extend(_BATCH_DECODERS[name].decode(raw))
                    digest.update(line)
            yield header, None
    except DocumentError:
        raise
    except (msgspec.MsgspecError, KeyError, ValueError, RecursionError) as error:
        raise DocumentError(f"revision document is damaged: {error}") from error
    if header is None or not ended:
        raise DocumentError("revision document is cut short")
    if digest.hexdigest() != header.hash:
        raise DocumentError("revision document is damaged: its content does not have the hash that its header names")
    yield (
        header,
        Document(unregistered=header.unregistered, **{name: tuple(items) for name, items in parts.items()}),
    )


def decode_document(data: bytes) -> tuple[Header, Document]:
    """Decode a published document in one go. Raises DocumentError."""
    document: Document | None = None
    header: Header | None = None
    for header, document in decode_steps(data.split(b"\n")):  # noqa: B007 (the last pair is the answer)
        pass
    if header is None or document is None:
        raise DocumentError("revision document is empty")
    return header, document
