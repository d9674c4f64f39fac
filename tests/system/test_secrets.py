"""Canary secrets go through everything and are found nowhere."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Any

import pytest

from pointsman.testing.simulator import Settings, SimulatorThread
from tests.system.books import prove
from tests.system.caller import post
from tests.system.registry import CREDENTIAL, KEY, NARROW_KEY, PREMIUM, chat, registry
from tests.system.stage import Served, serving

STRANGE_KEY = "pk-canary-of-a-stranger-4410"
COOKIE = "canary-in-a-header-8c2f"
TOKEN = "canary-admin-token-0be17d"
SECRETS = (CREDENTIAL, KEY, NARROW_KEY, STRANGE_KEY, COOKIE)

GETS = (
    "status",
    "revisions",
    "revisions/1",
    "audit",
    "targets",
    "policies",
    "workflows",
    "calls?limit=100",
    "coverage",
)


def exercise(served: Served, config: dict[str, Any], provider: SimulatorThread) -> str:
    """Calls, failures and changes of every kind. Gives everything that commands and the admin API have said."""
    url = served.url
    answers = [
        post(url, chat(), cookie=COOKIE),
        post(url, chat(stream=True), NARROW_KEY, x_secret=COOKIE),
        post(url, chat("sturdy-answer"), NARROW_KEY),
        post(url, chat(), STRANGE_KEY),
        post(url, chat("lost-answer")),
        post(url, {"model": "support-answer", "messages": "no list"}),
    ]
    provider.behave("denied:401")
    answers.append(post(url, chat(PREMIUM)))
    provider.behave("reset")
    answers.append(post(url, chat(PREMIUM)))
    provider.behave()
    assert {a.status for a in answers} >= {200, 400, 401, 403, 502}
    prove(served, answers)
    where = ("--data-dir", str(served.places.root))
    said = [str(answer.headers) + answer.body.decode() for answer in answers]
    commands = [("status",), ("calls",), ("coverage",), ("report", PREMIUM), ("apply", str(served.config))]
    commands += [("explain", answers[-1].call_id)]
    if served.token:
        commands = commands[:1]  # the rest has been seen with the token from the file
    # What careless people write: secrets where their hash or a reference to them belongs.
    careless = {**config["providers"], "main": {**config["providers"]["main"], "credential": CREDENTIAL}}
    served.edit({**config, "providers": careless, "keys": [{"name": "careless", "hash": KEY}]})
    for words in commands:
        for more in ((), ("--json",)):
            done = served.run(*words, *where, *more)
            said += [done.stdout, done.stderr]
    checked = served.run("check", str(served.config))
    assert checked.returncode == 1
    said += [checked.stdout, checked.stderr]
    token = served.token or served.places.admin_token.read_text().strip()
    paths = [*GETS, f"report/targets/{PREMIUM}", *(f"calls/{answer.call_id}/explain" for answer in answers)]
    for path in paths:
        request = urllib.request.Request(
            f"{served.admin_url}/api/v1/{path}", headers={"authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            said.append(answer.read().decode())
    return "\n".join(said)


def holding(folder: Path, secret: str) -> list[str]:
    """The files below `folder` that hold `secret`."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.name for path in files if secret.encode() in path.read_bytes())


@pytest.mark.parametrize("token", ["", TOKEN])
def test_no_secret_is_in_any_file_log_line_or_answer(token: str, tmp_path: Path) -> None:
    settings = Settings(name="main", api_keys=(CREDENTIAL,), keep=20)
    with SimulatorThread(settings=settings) as provider, SimulatorThread("server_error:503") as broken:
        config = registry(provider.base_url, broken.base_url)
        env = {"POINTSMAN_ADMIN_TOKEN": token} if token else {}
        with serving(tmp_path, config, env=env) as served:
            said = exercise(served, config, provider)
            admin = token or served.places.admin_token.read_text().strip()
            during = {secret: holding(served.places.root, secret) for secret in (*SECRETS, admin)}
            assert served.stop() == 0
        said += served.said()
        for secret in SECRETS:
            assert during[secret] == holding(served.places.root, secret) == [], secret
            assert secret not in said
        assert admin not in said
        assert during[admin] == ([] if token else ["admin-token"])
        if not token:
            assert served.places.admin_token.stat().st_mode & 0o077 == 0
