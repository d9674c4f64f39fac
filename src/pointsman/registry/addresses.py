"""Addresses the gateway will call. A registry must not be able to point it at a cloud's metadata service."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import SplitResult, urlsplit

from pointsman.registry.secret import looks_secret
from pointsman.registry.values import BadValueError

_METADATA_HOSTS = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "metadata.azure.com", "instance-data"}
    | {"instance-data.ec2.internal", "metadata.tencentyun.com", "metadata.packet.net", "metadata.platformequinix.com"}
)
_METADATA_NETS = tuple(
    ipaddress.ip_network(net) for net in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32")
)
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})")
_LOOPBACK = frozenset({"localhost", "ip6-localhost"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,1024}")
_SECRET_HEADER = re.compile(r"auth|key|token|secret|password|passwd|cookie|credential|signature", re.IGNORECASE)
_OURS = frozenset(
    {"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "accept"}
    | {"accept-encoding", "upgrade", "te", "trailer", "expect", "keep-alive", "user-agent", "traceparent", "tracestate"}
    | {"proxy-connection"}
)


def base_url(text: str) -> str:
    """An API address without trailing slash. Raises BadValueError (without the value: it may carry a password)."""
    parts = _split(text, ("http", "https"), "https://api.example.com/v1")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise BadValueError("bad_url", "an API address has no query and no fragment", "cut it off at `?` or `#`")
    return text.rstrip("/")


def proxy_url(text: str) -> str:
    """The address of an egress proxy. Raises BadValueError."""
    parts = _split(text, ("http",), "http://proxy.example.com:3128")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise BadValueError("bad_url", "a proxy has a host and a port, no path", "write http://host:port")
    return text.rstrip("/")


def host_of(url: str) -> str:
    """The host of an address that `base_url` has accepted, lower-case."""
    return (urlsplit(url).hostname or "").rstrip(".")


def is_loopback(url: str) -> bool:
    """Whether an accepted address surely stays on this machine."""
    host = host_of(url)
    address = _address(host)
    return host in _LOOPBACK or (address is not None and address.is_loopback)


def header(name: str, value: str) -> tuple[str, str]:
    """A static header as lower-case name and value. Raises BadValueError (never with the value)."""
    if not _HEADER_NAME.fullmatch(name):
        raise BadValueError("bad_header", "this is not the name of an HTTP header", "write a name such as x-team")
    lower = name.lower()
    if lower in _OURS:
        raise BadValueError("bad_header", f"`{lower}` is set by the gateway itself", "remove it")
    if not _HEADER_VALUE.fullmatch(value):
        raise BadValueError("bad_header", "a header value has at most 1,024 printable ASCII characters", "rewrite it")
    if _SECRET_HEADER.search(lower) or looks_secret(value):
        raise BadValueError(
            "bad_header",
            "this header looks like a secret (the value is not shown)",
            "use `credential: env:NAME`; static headers are for what everybody may read",
        )
    return lower, value


def _split(text: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    mend = f"write an address such as {example}"
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise BadValueError("bad_url", "an address has printable ASCII characters and no spaces", mend)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadValueError("bad_url", "this is not an address", mend) from error
    if parts.scheme not in schemes:
        raise BadValueError("bad_url", f"an address here begins with {' or '.join(s + '://' for s in schemes)}", mend)
    if "@" in parts.netloc:
        raise BadValueError("bad_url", "an address has no user name or password", "use `credential: env:NAME`")
    host = (parts.hostname or "").rstrip(".")
    if port == 0 or not (_HOST.fullmatch(host) or (":" in host and _address(host) is not None)):
        raise BadValueError("bad_url", "this address has no usable host or port", mend)
    _refuse_metadata(host)
    return parts


def _refuse_metadata(host: str) -> None:
    address = _address(host)
    inside = address is not None and any(address.version == n.version and address in n for n in _METADATA_NETS)
    if inside or host in _METADATA_HOSTS:
        raise BadValueError(
            "bad_url",
            "this is a link-local or cloud metadata address, which must never be called",
            "write the address of the model's API",
        )


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address a host stands for, old spellings (hex, octal, one number) and IPv4 inside IPv6 included."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address
