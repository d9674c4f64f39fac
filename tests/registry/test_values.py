"""Durations, dates, prices, addresses and headers mean exactly what is written, or are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from pointsman.core.money import ContextTier, Rates
from pointsman.registry import addresses, values
from pointsman.registry.values import BadValueError
from tests.registry.making import GOOD, HASH, compiled, target, unix


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1ms", 0.001), ("500ms", 0.5), ("2s", 2.0), ("1.5s", 1.5), ("1m", 60.0), ("2h", 7200.0), ("24h", 86400.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert values.seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "5S", "-1s", "1e3s", "0s", "0.5ms", "24.1h", "1d", "9" * 99 + "s", "٣s", "1s\n"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BadValueError) as caught:
        values.seconds(text)
    assert caught.value.code == "bad_duration"


def test_timeouts_that_are_not_said_are_the_defaults() -> None:
    said = target(GOOD, "near:big-2026-01-01").timeouts
    assert (said.connect, said.first_token, said.idle, said.total) == (2.0, 0.5, 60.0, 7200.0)
    unsaid = target(GOOD, "near:small-2026-01-01").timeouts
    assert (unsaid.connect, unsaid.first_token, unsaid.idle, unsaid.total) == (5.0, 60.0, 60.0, 600.0)


def test_a_date_begins_and_ends_in_utc() -> None:
    assert values.unix_start("2027-06-30") == unix(2027, 6, 30)
    assert values.unix_end("2027-06-30") == unix(2027, 7, 1)
    assert values.unix_end("2028-02-29") == unix(2028, 3, 1)


@pytest.mark.parametrize("text", ["2027-06-30T18:00:00Z", "2027-06-30T20:00+02:00", "2027-06-30 18:00z"])
def test_an_instant_is_an_instant(text: str) -> None:
    at = int(datetime(2027, 6, 30, 18, tzinfo=UTC).timestamp())
    assert values.unix_start(text) == values.unix_end(text) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2027",
        "2027-6-1",
        "2027-02-29",
        "9999-12-31",
        "2027-06-30T18:00",
        "2027-06-30T25:00Z",
        "tomorrow",
        "٢٠٢٧-٠١-٠١",
    ],
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(BadValueError) as caught:
        values.unix_end(text)
    assert caught.value.code == "bad_date"


@pytest.mark.parametrize(
    ("amount", "nano"),
    [
        ("0", 0),
        ("0.0375", 37_500_000),
        ("2.50", 2_500_000_000),
        ("10", 10_000_000_000),
        ("1e-9", 1),
        ("1E+3", 1_000_000_000_000),
        ("0.1", 100_000_000),
        ("1000000", 1_000_000_000_000_000),
    ],
)
def test_prices_are_exact(amount: str, nano: int) -> None:
    assert values.nano_dollars(Decimal(amount)) == nano


@pytest.mark.parametrize(
    "amount",
    [
        *("-1", "-0.1", "1000000.1", "0.0000000001", "NaN", "sNaN", "Infinity", "1e-999999", "1e999999"),
        "0.00000000100000000000000000000000000001",
        "1.0000000000000000000000000000000000000000001",
    ],
)
def test_what_is_no_price(amount: str) -> None:
    with pytest.raises(BadValueError) as caught:
        values.nano_dollars(Decimal(amount))
    assert caught.value.code == "bad_price"


def test_prices_of_a_target_as_number_and_as_text_with_tiers_over_the_base() -> None:
    big = target(GOOD, "near:big-2026-01-01").prices
    assert big is not None
    assert big.base == Rates(input=2_500_000_000, output=10_000_000_000, cache_read=1_250_000_000)
    longer = Rates(input=5_000_000_000, output=10_000_000_000, cache_read=1_250_000_000)
    assert big.tiers == (ContextTier(200_000, longer),)
    assert big.source == "file"
    small = target(GOOD, "near:small-2026-01-01").prices
    assert small is not None
    assert small.base == Rates(input=37_500_000, output=150_000_000)


def test_a_free_model_costs_nothing_whatever_it_is_asked() -> None:
    free = target(GOOD, "home:embedder").prices
    assert free is not None
    assert free.base == Rates(input=0, output=0, audio_input=0, audio_output=0)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://model_server:80", "http://model_server:80"),
    ],
)
def test_addresses_of_an_api(text: str, url: str) -> None:
    assert addresses.base_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.example.com",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "https://",
        "https://a b",
        "https://a\tb",
        "https://user@host",
        "https://user:pw@host",
        "https://host?x=1",
        "https://host?",
        "https://host#x",
        "https://host:0",
        "https://host:99999",
        "https://host:x",
        "https://hö.example",
        "https://host\\@evil",
        "http://169.254.169.254/latest",
        "http://169.254.1.1",
        "http://2852039166/",
        "http://0xa9.0xfe.0xa9.0xfe",
        "http://0251.0376.0251.0376",
        "http://[::ffff:169.254.169.254]",
        "http://[::ffff:a9fe:a9fe]",
        "http://[2002:a9fe:a9fe::]",
        "http://[fe80::1%25eth0]",
        "http://[fd00:ec2::254]",
        "http://100.100.100.200",
        "http://metadata.google.internal",
        "http://METADATA.google.internal.",
        "http://metadata",
    ],
)
def test_addresses_that_are_never_called(text: str) -> None:
    with pytest.raises(BadValueError) as caught:
        addresses.base_url(text)
    assert caught.value.code == "bad_url"


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-team", "risk-team"), ("OpenAI-Organization", "org-123"), ("x-desk", "helpdesk-1"), ("x-empty", "")],
)
def test_static_headers(name: str, value: str) -> None:
    assert addresses.header(name, value) == (name.lower(), value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("x team", "x"),
        ("x-team:", "x"),
        ("Host", "x"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("authorization", "x"),
        ("X-API-Key", "x"),
        ("cookie", "x"),
        ("x-team", "Bearer x"),
        ("x-team", "sk-abc"),
        ("x-team", "a\r\nx-other: b"),
        ("x-team", "é"),
        ("x-team", "x" * 1025),
    ],
)
def test_headers_that_are_refused(name: str, value: str) -> None:
    with pytest.raises(BadValueError) as caught:
        addresses.header(name, value)
    assert caught.value.code == "bad_header"


@pytest.mark.parametrize("text", ["env:OPENAI_API_KEY", "env:_x", "file:/run/secrets/key", "file:key.txt"])
def test_references_to_secrets(text: str) -> None:
    assert values.credential(text) == text


@pytest.mark.parametrize(
    "text", ["", "env:", "env:1A", "env:A-B", "env:A B", "file:", "file:a\nb", "vault:x", "OPENAI"]
)
def test_what_refers_to_no_secret(text: str) -> None:
    with pytest.raises(BadValueError):
        values.credential(text)


def test_a_key_works_until_the_end_of_its_last_day() -> None:
    keys = {key.name: key for key in compiled(GOOD).document.keys}
    assert keys["support-bot"].expires == unix(2027, 7, 1)
    assert keys["support-bot"].hash == HASH
    assert keys["admin"].expires is None
