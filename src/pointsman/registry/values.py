"""Single values of the file: durations, dates, hashes, references to secrets, names, prices."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from pointsman.core.money import NANO
from pointsman.core.names import MODEL_ID, NAME
from pointsman.registry.secret import looks_secret

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)")
_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_SHORTEST = Decimal("0.001")
_LONGEST = Decimal(24 * 3600)
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2})?(?:[Zz]|[+-]\d{2}:\d{2})")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,63}")
_MOST_DOLLARS = Decimal(1_000_000)
_LEAST_EXPONENT = -40


class BadValueError(ValueError):
    """A value that cannot be used: the code of its problem, what is wrong, and the mend."""

    def __init__(self, code: str, message: str, mend: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.mend = mend


def seconds(text: str) -> float:
    """`500ms`, `2s`, `1m`, `2h` in seconds: a millisecond to a day. Raises BadValueError."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise BadValueError(
            "bad_duration", "this is not a duration", "write a number and its unit, such as 500ms, 2s, 1m or 2h"
        )
    value = Decimal(found[1]) * _UNITS[found[2]]
    if not _SHORTEST <= value <= _LONGEST:
        raise BadValueError("bad_duration", "a duration is at least 1ms and at most 24h", "write 1ms to 24h")
    return float(value)


def unix_start(text: str) -> int:
    """A date (its first second in UTC) or an instant, as Unix seconds. Raises BadValueError."""
    return _unix(text, timedelta())


def unix_end(text: str) -> int:
    """A date (the second after its last one in UTC) or an instant, as Unix seconds. Raises BadValueError."""
    return _unix(text, timedelta(days=1))


def _unix(text: str, day: timedelta) -> int:
    try:
        if _DATE.fullmatch(text):
            at = date.fromisoformat(text) + day
            return int(datetime(at.year, at.month, at.day, tzinfo=UTC).timestamp())
        if _INSTANT.fullmatch(text):
            return int(datetime.fromisoformat(text.upper().replace(" ", "T")).timestamp())
    except (ValueError, OverflowError):
        pass
    raise BadValueError(
        "bad_date", "this is not a date", "write 2027-06-30, or an instant such as 2027-06-30T18:00:00Z"
    )


def sha256_hex(text: str) -> str:
    """The hex digits of `sha256:<hex>`. Raises BadValueError, without the value: it may be the key itself."""
    found = _HASH.fullmatch(text)
    if found is None:
        raise BadValueError(
            "bad_hash",
            "this is not `sha256:` and 64 lower-case hex digits (the value is not shown)",
            "write the SHA-256 of the key: `printf %s KEY | sha256sum`; never the key itself",
        )
    return found[1]


def credential(text: str) -> str:
    """A reference to a secret, unchanged. Raises BadValueError, without the value: it may be the secret itself."""
    if _ENV.fullmatch(text) or (text.startswith("file:") and len(text) > 5 and text.isprintable()):
        return text
    raise BadValueError(
        "bad_credential",
        "this is not a reference to a secret (the value is not shown)",
        "write `env:NAME` or `file:PATH`; if a secret stood here, replace it at the provider",
    )


def env_name(reference: str) -> str | None:
    """The variable that a credential refers to, None for other references."""
    found = _ENV.fullmatch(reference)
    return found[1] if found else None


def name(text: str) -> str:
    """The name of a provider, alias, policy, workflow or key. Raises BadValueError."""
    if NAME.fullmatch(text):
        return _no_secret(text)
    raise BadValueError(
        "bad_name",
        "a name has letters, digits and . _ / @ + - only, begins with a letter or digit, and has at most 128 of them",
        "rename it",
    )


def target_name(text: str) -> tuple[str, str]:
    """Provider and model id of `provider:model-id`. Raises BadValueError."""
    provider, colon, model = text.partition(":")
    if colon and NAME.fullmatch(provider) and MODEL_ID.fullmatch(model):
        return provider, model
    raise BadValueError(
        "bad_target_name",
        "a target is named `provider:model-id`, both of letters, digits and . _ / @ + - (and : in the model id)",
        "write the provider's name, a colon, and the provider's exact model id",
    )


def tag(text: str) -> str:
    """A tag. Raises BadValueError."""
    if _TAG.fullmatch(text):
        return _no_secret(text)
    raise BadValueError("bad_name", "a tag has letters, digits and . _ : / @ + - only, at most 64 of them", "rename it")


def _no_secret(text: str) -> str:
    if looks_secret(text):
        raise BadValueError(
            "bad_name",
            "this name looks like a secret (it is not shown)",
            "name it after what it is for; if a secret stood here, replace it",
        )
    return text


def nano_dollars(amount: Decimal) -> int:
    """Dollars as nano-dollars, exactly. Raises BadValueError when the figure is no price."""
    if not amount.is_finite() or not 0 <= amount <= _MOST_DOLLARS:
        raise BadValueError(
            "bad_price", "a price is at least 0 and at most 1,000,000 dollars", "write dollars per million tokens"
        )
    if int(amount.as_tuple().exponent) < _LEAST_EXPONENT:
        raise BadValueError("bad_price", "a price has at most nine decimals", "round it to a nano-dollar")
    # As a ratio: the context of Decimal would round a very long figure, and a price is exact or refused.
    over, under = amount.as_integer_ratio()
    if over * NANO % under:
        raise BadValueError("bad_price", "a price has at most nine decimals", "round it to a nano-dollar")
    return over * NANO // under
