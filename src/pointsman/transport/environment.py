"""The egress proxy that the environment asks for. Called by whoever wires things, never by a pool."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping


def proxy_from_environment(env: Mapping[str, str], scheme: str, host: str, port: int | None = None) -> str | None:
    """The proxy URL for `scheme://host:port`, or None to connect directly.

    Reads `<scheme>_proxy`, then `all_proxy`, unless `no_proxy` covers the host; lower case wins over upper case.
    `no_proxy` is a comma list of: `*`, host names (which cover their subdomains, with or without a leading dot),
    addresses, networks (`10.0.0.0/8`), each with an optional `:port`. A proxy without a scheme is read as http.
    """
    if _is_excepted(_setting(env, "no_proxy"), host.lower(), port):
        return None
    proxy = _setting(env, f"{scheme}_proxy") or _setting(env, "all_proxy")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _setting(env: Mapping[str, str], name: str) -> str:
    return (env.get(name) or env.get(name.upper()) or "").strip()


def _is_excepted(no_proxy: str, host: str, port: int | None) -> bool:
    return any(_covers(entry.strip().lower(), host, port) for entry in no_proxy.split(",") if entry.strip())


def _covers(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass  # not a network: perhaps an address with a port, which is compared as text below
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit() and not name.endswith(":"):
        if port is not None and int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]").lstrip(".").removeprefix("*.")
    return host == entry or (address is None and host.endswith(f".{entry}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
