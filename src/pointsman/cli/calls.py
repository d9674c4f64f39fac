"""`pointsman calls`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pointsman.cli.client import DATA_DIR, DEFAULT_URL, AdminUrl, DataDir, Json, connect
from pointsman.cli.output import dollars, errors_said, milliseconds, print_json, say


def calls(
    since: Annotated[str, typer.Option(help="From this time or age on: 2026-11-23T10:00:00Z, 24h, 7d.")] = "",
    until: Annotated[str, typer.Option(help="Before this time or age.")] = "",
    target: Annotated[str, typer.Option(help="Only calls of this target.")] = "",
    workflow: Annotated[str, typer.Option(help="Only calls of this workflow.")] = "",
    key: Annotated[str, typer.Option(help="Only calls of the key of this name.")] = "",
    team: Annotated[str, typer.Option(help="Only calls of this team.")] = "",
    outcome: Annotated[str, typer.Option(help="ok, refused, failed, cancelled or interrupted.")] = "",
    requested: Annotated[str, typer.Option(help="Only calls that asked for this name.")] = "",
    task: Annotated[str, typer.Option(help="Only calls of this user task (x-pointsman-task).")] = "",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1000)] = 20,
    cursor: Annotated[str, typer.Option(help="The `next` of the page before.")] = "",
    admin_url: AdminUrl = DEFAULT_URL,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """List calls, newest first."""
    with errors_said():
        page = connect(admin_url, data_dir).get(
            "/calls",
            since=since,
            until=until,
            target=target,
            workflow=workflow,
            key=key,
            team=team,
            outcome=outcome,
            requested=requested,
            task=task,
            limit=limit,
            cursor=cursor,
        )
    if as_json:
        print_json(page)
        return
    if not page["calls"]:
        say("No calls. A call is stored about a second after it ends.")
        return
    for call in page["calls"]:
        say(_head(call))
        say(f"  {_route(call)}")
    if page["next"]:
        say(f"More: --cursor {page['next']}")


def _route(call: dict[str, Any]) -> str:
    if not call["target"]:
        return call["requested"] or "(no model named)"
    return call["target"] if call["requested"] == call["target"] else f"{call['requested']} → {call['target']}"


def _head(call: dict[str, Any]) -> str:
    """Two lines a call: an id, a name and a target do not fit on one."""
    outcome = call["outcome"] if call["outcome"] == "ok" else f"{call['outcome']} {call['status'] or ''}".strip()
    took, cost = milliseconds(call["duration_ms"]), dollars(call["cost_usd"])
    return f"{call['started'][:10]} {call['started'][11:19]}  {call['call_id']}  {outcome}  {took}  {cost}"
