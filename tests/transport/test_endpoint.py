"""Base URLs and proxies are read strictly, before any call depends on them."""

from __future__ import annotations

import pytest

from pointsman.transport import Endpoint, proxy_from_environment


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path", "authority"),
    [
        ("https://api.example.com/v1", "https", "api.example.com", 443, "/v1", "api.example.com"),
        ("https://api.example.com/v1/", "https", "api.example.com", 443, "/v1", "api.example.com"),
        ("http://127.0.0.1:8000", "http", "127.0.0.1", 8000, "", "127.0.0.1:8000"),
        ("http://[::1]:8000/a/b", "http", "::1", 8000, "/a/b", "[::1]:8000"),
        ("HTTPS://API.Example.com:443", "https", "api.example.com", 443, "", "api.example.com"),
        ("https://bücher.example", "https", "xn--bcher-kva.example", 443, "", "xn--bcher-kva.example"),
    ],
)
def test_a_base_url_is_split(url: str, scheme: str, host: str, port: int, path: str, authority: str) -> None:
    endpoint, base_path = Endpoint.parse(url)
    assert (endpoint.scheme, endpoint.host, endpoint.port, base_path) == (scheme, host, port, path)
    assert endpoint.authority == authority


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("api.example.com/v1", "http:// or https://"),
        ("ftp://api.example.com", "http:// or https://"),
        ("https:///v1", "no host"),
        ("https://user:pw@api.example.com", "credentials"),
        ("https://api.example.com/v1?x=1", "without"),
        ("https://api.example.com/v1#x", "without"),
        ("https://api.example.com:99999", "port"),
        ("https://api.example.com:http", "port"),
        ("https://api.example.com/v1\r\nx: y", "control character"),
        ("https://api example.com", "space"),
        ("https://[::1", "not a URL"),
        ("http://169.254.169.254/latest", "link-local"),
        ("http://[fe80::1]", "link-local"),
        ("http://[::ffff:169.254.169.254]", "link-local"),
        ("http://[fd00:ec2::254]", "link-local"),
    ],
)
def test_a_base_url_that_cannot_be_meant_is_refused(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Endpoint.parse(url)


@pytest.mark.parametrize(
    "proxy", ["https://proxy:3128", "proxy:3128", "socks5://u:secret@p:1", "http://", "http://u:secret@p:x"]
)
def test_a_proxy_that_cannot_be_used_is_refused_without_showing_it(proxy: str) -> None:
    with pytest.raises(ValueError, match=r"prox|port") as raised:
        Endpoint.parse("https://api.example.com", proxy=proxy)
    assert "secret" not in str(raised.value)


def test_an_endpoint_never_shows_its_proxy_credentials() -> None:
    endpoint, _ = Endpoint.parse("https://api.example.com", proxy="http://user:secret@proxy.test:3128")
    shown = f"{endpoint!r} {endpoint} {endpoint!s}"
    assert "secret" not in shown
    assert "user" not in shown
    assert "proxy.test:3128" in shown
    assert endpoint == Endpoint.parse("https://api.example.com", proxy="http://user:secret@proxy.test:3128")[0]


PROXIES = {"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:2", "ALL_PROXY": "all:3"}


@pytest.mark.parametrize(
    ("env", "scheme", "host", "expected"),
    [
        ({}, "https", "api.test", None),
        (PROXIES, "https", "api.test", "http://lower:2"),
        ({"HTTPS_PROXY": "http://upper:1"}, "https", "api.test", "http://upper:1"),
        (PROXIES, "http", "api.test", "http://all:3"),
        ({"HTTP_PROXY": "http://h:1"}, "https", "api.test", None),
        ({"HTTPS_PROXY": ""}, "https", "api.test", None),
        ({**PROXIES, "NO_PROXY": "*"}, "https", "api.test", None),
        ({**PROXIES, "NO_PROXY": "api.test"}, "https", "api.test", None),
        ({**PROXIES, "NO_PROXY": "API.test"}, "https", "api.TEST", None),
        ({**PROXIES, "NO_PROXY": "other, .test"}, "https", "api.test", None),
        ({**PROXIES, "NO_PROXY": "*.test"}, "https", "api.test", None),
        ({**PROXIES, "NO_PROXY": "test"}, "https", "api.test", None),
        ({**PROXIES, "NO_PROXY": "pi.test"}, "https", "api.test", "http://lower:2"),
        ({**PROXIES, "NO_PROXY": "api.test:443"}, "https", "api.test", None),
        ({**PROXIES, "NO_PROXY": "api.test:444"}, "https", "api.test", "http://lower:2"),
        ({**PROXIES, "no_proxy": "10.0.0.0/8"}, "https", "10.1.2.3", None),
        ({**PROXIES, "no_proxy": "10.0.0.0/8"}, "https", "11.1.2.3", "http://lower:2"),
        ({**PROXIES, "no_proxy": "127.0.0.1"}, "https", "127.0.0.1", None),
        ({**PROXIES, "no_proxy": "127.0.0.1:443"}, "https", "127.0.0.1", None),
        ({**PROXIES, "no_proxy": "0.1"}, "https", "127.0.0.1", "http://lower:2"),
        ({**PROXIES, "no_proxy": "::1"}, "https", "::1", None),
        ({**PROXIES, "no_proxy": "[::1]:443"}, "https", "::1", None),
        ({**PROXIES, "no_proxy": " , ,"}, "https", "api.test", "http://lower:2"),
    ],
)
def test_the_environment_names_the_proxy(env: dict[str, str], scheme: str, host: str, expected: str | None) -> None:
    assert proxy_from_environment(env, scheme, host, 443) == expected
