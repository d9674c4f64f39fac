"""What looks like a secret. People paste keys into wrong places; what they pasted must not be repeated to anybody."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"""(?ix) (?<![a-z0-9]) (?:
        (?:bearer | basic) \s
        | sk [-_] [a-z0-9]                                                     # many vendors; nothing else begins so
        | AIza
        | pm-[a-z0-9_-]{40}                                                    # ours
        | (?:gsk|pk|rk|xai|ghp|gho|github|hf|r8|fw|nvapi|tgp|csk|glpat|xox[a-z]|eyj) [-_]? [a-z0-9_-]* [a-z0-9]{16}
        | (?=[a-z]*[0-9]) (?=[0-9]*[a-z]) [a-z0-9]{32}                         # a long run of letters and digits
    )"""
)


def looks_secret(text: str) -> bool:
    """Whether a text has a part that looks like a key or a token. It errs towards yes."""
    return _SECRET.search(text) is not None
