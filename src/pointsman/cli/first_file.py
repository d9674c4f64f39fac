"""The text of a first registry file, with comments that say what to decide next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pointsman.cli.starters import LOCAL_MODEL, LOCAL_URL, Starter, StarterTarget

KEY_NAME = "first-app"
WORKFLOW = "assistant"
_POLICY = "first-choice"

_HEAD = """\
# Pointsman's registry: what may be called, by whom, under which rules. Nothing else is.
# Check it with `pointsman check`, serve it with `pointsman serve --config`; `pointsman schema` helps your editor.
version: 1
"""

_LOCAL = f"""\

# No provider key was found in the environment, so this file begins with a model of your own:
# `pointsman local-model` serves this one, or put in the address of any server that speaks OpenAI.
providers:
  local:
    family: openai
    base_url: {LOCAL_URL}

targets:
  local:{LOCAL_MODEL}:
    state: approved
    tier: economy
    context_window: 4096
    capabilities: {{streaming: yes, json_schema: yes, tools: no}}
    prices: free
"""

_APPROVED = """
# Every target below is `approved` because you ran `pointsman init`: read the list, and take out what you have not
# cleared. Prices, windows, capabilities and end dates come from the bundled catalog; what you write here wins.
"""

_WORKFLOWS = f"""
# What applications ask for: they send `model: "{WORKFLOW}"`.
workflows:
  {WORKFLOW}:
    policy: {_POLICY}
"""


def first_file(starters: Sequence[Starter], key_hash: str) -> str:
    """A registry file over these vendors, or over a local model where there are none. `key_hash`: sha256:<hex>."""
    if starters:
        callable_ = _providers(starters) + _APPROVED + _targets(starters)
        candidates = [f"{starter.provider}:{starter.targets[0].model}" for starter in starters]
    else:
        callable_ = _LOCAL
        candidates = [f"local:{LOCAL_MODEL}"]
    return _HEAD + callable_ + _policies(candidates) + _WORKFLOWS + _keys(key_hash)


def _providers(starters: Sequence[Starter]) -> str:
    lines = [
        "",
        "# Where targets live. A credential is a reference: the key itself stays in the environment.",
        "providers:",
    ]
    for starter in starters:
        lines += [f"  {starter.provider}:", "    family: openai"]
        if starter.base_url:
            lines.append(f"    base_url: {starter.base_url}")
        lines.append(f"    credential: env:{starter.variable}")
    return "\n".join(lines) + "\n"


def _targets(starters: Sequence[Starter]) -> str:
    lines = ["targets:"]
    for starter in starters:
        for target in starter.targets:
            lines += _target(starter.provider, target)
    return "\n".join(lines) + "\n"


def _target(provider: str, target: StarterTarget) -> Iterator[str]:
    if target.note:
        yield f"  # {target.note}"
    yield f"  {provider}:{target.model}:"
    yield "    state: approved"
    yield f"    tier: {target.tier}"
    for line in target.lines:
        yield f"    {line}"


def _policies(candidates: Sequence[str]) -> str:
    lines = [
        "",
        "# Which targets may answer, in which order. The next one takes over when one fails, so list only those that",
        "# may see the same data. A `require` (tags, tiers, capabilities) has to hold for every one of them, or the",
        "# file does not compile.",
        "policies:",
        f"  {_POLICY}:",
        "    strategy: priority",
        "    candidates:",
        *(f"      - {candidate}" for candidate in candidates),
        "    on_failure: {retry: 1, fallback: true}",
    ]
    return "\n".join(lines) + "\n"


def _keys(key_hash: str) -> str:
    return f"""
# Who may call. The file holds hashes; `pointsman key` makes another key. `allow: all` would mean every name in it.
keys:
  - name: {KEY_NAME}
    hash: "{key_hash}"
    allow: [{WORKFLOW}]
"""
