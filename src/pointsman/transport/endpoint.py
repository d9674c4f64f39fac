"""Where a pool connects to, and through which egress proxy."""

from __future__ import annotations

import ipaddress
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

_PORTS = {"http": 80, "https": 443}
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200")))


class ProxyAddress(msgspec.Struct, frozen=True):
    """A parsed egress proxy: plain HTTP to `host:port`, with an optional `Basic` credential."""

    host: str
    port: int
    user: str | None = None
    password: str = ""

    def __repr__(self) -> str:
        return f"ProxyAddress({authority(self.host, self.port)}{', with credentials' if self.user else ''})"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `http://[user:password@]host[:port]`; anything else is a ValueError that does not show the URL."""
        parts = _split(url, "proxy")
        if parts.scheme != "http":
            raise ValueError(f"a proxy must be an http:// URL, not {parts.scheme or 'without a scheme'}")
        if not parts.hostname:
            raise ValueError("the proxy URL names no host; write http://host:port")
        user = None if parts.username is None else unquote(parts.username)
        return cls(parts.hostname, _port(parts, "proxy") or 80, user, unquote(parts.password or ""))


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream origin and how to reach it. Equal endpoints are interchangeable.

    host             lower case, no brackets around IPv6
    ca_file          PEM file with the only authorities to trust; None: those of the system
    verify           False accepts any certificate (tests and closed networks only)
    server_hostname  the name the certificate must carry, where it differs from `host`
    proxy            `http://user:password@host:port`; https targets are tunnelled with CONNECT, http targets
                     are asked for in absolute form. Never shown by `repr`.
    """

    scheme: str
    host: str
    port: int
    ca_file: str | None = None
    verify: bool = True
    proxy: str | None = None
    server_hostname: str | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be connected to, before any call needs it."""
        if self.scheme not in _PORTS:
            raise ValueError(f"the scheme must be http or https, not {self.scheme!r}")
        if is_metadata_address(self.host):
            raise ValueError(f"{self.host} is a link-local address, where cloud metadata lives; refused")
        if self.proxy is not None:
            ProxyAddress.parse(self.proxy)

    def __repr__(self) -> str:
        proxy = f" via {ProxyAddress.parse(self.proxy)!r}" if self.proxy else ""
        return f"Endpoint({self.scheme}://{authority(self.host, self.port)}{proxy})"

    @property
    def authority(self) -> str:
        """What the `host` header says: the port only where it is not the scheme's own."""
        return authority(self.host, None if self.port == _PORTS[self.scheme] else self.port)

    @classmethod
    def parse(
        cls,
        base_url: str,
        *,
        ca_file: str | None = None,
        verify: bool = True,
        proxy: str | None = None,
        server_hostname: str | None = None,
    ) -> tuple[Self, str]:
        """Split a base URL into its endpoint and the path before every request's own: `/v1`, or `""`."""
        parts = _split(base_url, "base URL")
        if parts.scheme not in _PORTS:
            raise ValueError(f"the base URL must begin with http:// or https://, not {base_url!r}")
        if not parts.hostname:
            raise ValueError(f"the base URL names no host: {base_url!r}")
        if parts.username is not None or parts.password is not None:
            raise ValueError("the base URL must not hold credentials; give the provider a credential instead")
        if parts.query or parts.fragment:
            raise ValueError(f"the base URL must end with its path, without ? or #: {base_url!r}")
        endpoint = cls(
            scheme=parts.scheme,
            host=_ascii_host(parts.hostname),
            port=_port(parts, "base URL") or _PORTS[parts.scheme],
            ca_file=ca_file,
            verify=verify,
            proxy=proxy,
            server_hostname=server_hostname,
        )
        return endpoint, parts.path.rstrip("/")


def authority(host: str, port: int | None) -> str:
    """`host:port`, with brackets around IPv6; without the port if it is None."""
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def is_metadata_address(host: str) -> bool:
    """True for addresses that serve cloud credentials to whoever asks: never a model's home."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_link_local
    return address.is_link_local or address in _METADATA


def _split(url: str, what: str) -> SplitResult:
    if not url.isprintable() or " " in url:
        raise ValueError(f"the {what} holds a space or a control character")
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ValueError(f"the {what} is not a URL: {error}") from None


def _port(parts: SplitResult, what: str) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ValueError(f"the {what} has a port that is not a number from 0 to 65535") from None


def _ascii_host(host: str) -> str:
    try:
        return host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise ValueError(f"{host!r} is not a host name: {error}") from None
