"""`pointsman status`."""

from __future__ import annotations

from typing import Any

from pointsman.cli.client import DATA_DIR, DEFAULT_URL, AdminUrl, DataDir, Json, connect
from pointsman.cli.output import errors_said, print_fields, print_json, print_table, say, title


def status(admin_url: AdminUrl = DEFAULT_URL, data_dir: DataDir = DATA_DIR, as_json: Json = False) -> None:
    """Say how a running Pointsman is doing: revision, workers, ingest, and everything that is amiss."""
    with errors_said():
        found = connect(admin_url, data_dir).get("/status")
    if as_json:
        print_json(found)
        return
    _print(found)


def _print(found: dict[str, Any]) -> None:
    revision, ingest = found["revision"], found["ingest"]
    print_fields(
        [
            ("version", found["version"]),
            ("revision", f"{revision['number']} ({revision['hash'][:12]})" if revision else "none"),
            ("published", f"{revision['created']} by {revision['author']}" if revision else ""),
            ("file", found["config"]["path"] if found["config"] else ""),
            ("store", found["store"]),
            ("records", f"{ingest['stored']} stored since start, {ingest['behind_bytes']} bytes waiting"),
        ]
    )
    if found["workers"]:
        title("Workers")
        print_table(
            ["worker", ">pid", ">revision", "state", ">seen"],
            [
                (w["worker"], w["pid"], w["revision"], "live" if w["live"] else "gone", f"{w['age_seconds']:.1f} s ago")
                for w in found["workers"]
            ],
        )
    if found["problems"]:
        title("Amiss")
        for problem in found["problems"]:
            say(f"- {problem}")
    else:
        say()
        say("All is well.")
