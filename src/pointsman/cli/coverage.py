"""`pointsman coverage`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pointsman.cli.client import DATA_DIR, DEFAULT_URL, AdminUrl, DataDir, Json, connect
from pointsman.cli.output import dollars, errors_said, percent, print_json, print_table, say, title

_MEANING = {
    "covered": "registered name, approved target",
    "refused": "registered name, nobody may serve",
    "unregistered": "unregistered name, observed",
    "unknown": "unregistered name, refused",
}


def coverage(
    since: Annotated[str, typer.Option(help="From this time or age on: 2026-11-23T10:00:00Z, 24h, 7d.")] = "24h",
    until: Annotated[str, typer.Option(help="Before this time or age; now unless given.")] = "",
    admin_url: AdminUrl = DEFAULT_URL,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Say how much traffic came in by registered names, and which names nobody registered."""
    with errors_said():
        found = connect(admin_url, data_dir).get("/coverage", since=since, until=until)
    if as_json:
        print_json(found)
        return
    say(f"{found['since']} to {found['until']}")
    say(
        f"{percent(found['share_of_calls'])} of {found['calls']} calls and {percent(found['share_of_spend'])} of the "
        "known spend are covered."
    )
    if found["unnamed_calls"]:
        say(f"{found['unnamed_calls']} more requests named no model (bad key, unreadable body); they do not count.")
    title("Calls by what their name was")
    print_table(
        ["", "meaning", ">calls", ">share", ">cost"],
        [_row(found[name], name, meaning) for name, meaning in _MEANING.items()],
        wide="meaning",
    )
    for heading, names in (
        ("Names forwarded for observation", found["unregistered_names"]),
        ("Names nobody knows", found["unknown_names"]),
    ):
        if names:
            title(heading)
            print_table(["name", ">calls"], [(row["name"], row["calls"]) for row in names], wide="name")


def _row(share: dict[str, Any], name: str, meaning: str) -> tuple[Any, ...]:
    unknown = f" (+{share['cost_unknown']} unknown)" if share["cost_unknown"] and name != "unknown" else ""
    return name, meaning, share["calls"], percent(share["share"]), dollars(share["cost_usd"]) + unknown
