"""`pointsman report`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pointsman.cli.client import DATA_DIR, DEFAULT_URL, AdminUrl, DataDir, Json, connect, quoted
from pointsman.cli.output import (
    dollars,
    errors_said,
    milliseconds,
    percent,
    print_fields,
    print_json,
    print_table,
    say,
    title,
)


def report(
    target: Annotated[str, typer.Argument(help="The target, e.g. openai:gpt-4o-2024-08-06.")],
    since: Annotated[str, typer.Option(help="From this time or age on: 2026-11-23T10:00:00Z, 24h, 7d.")] = "24h",
    until: Annotated[str, typer.Option(help="Before this time or age; now unless given.")] = "",
    admin_url: AdminUrl = DEFAULT_URL,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Report on a target: which traffic used it, what it cost, and what is known of its quality."""
    with errors_said():
        found = connect(admin_url, data_dir).get(f"/report/targets/{quoted(target)}", since=since, until=until)
    if as_json:
        print_json(found)
        return
    state = found["state"] or "not registered in the current revision"
    say(f"{found['target']} ({state})")
    say(f"{found['since']} to {found['until']}")
    _traffic(found["traffic"])
    _cost(found["cost"])
    _quality(found["quality"])


def _traffic(traffic: dict[str, Any]) -> None:
    title("Which traffic used it")
    say(f"{traffic['calls']} calls, {percent(traffic['share'])} of the calls of all targets")
    for name, rows in traffic["by"].items():
        named = [row for row in rows if row["name"]]
        if named and name != "revision":
            title(f"By {name}")
            print_table(
                [name, ">calls", ">share", ">cost"],
                [(r["name"], r["calls"], percent(r["share"]), dollars(r["cost_usd"])) for r in named],
                wide=name,
            )
    if traffic["attempts"]:
        title("Attempts at it")
        print_table(
            ["why", "result", ">attempts", ">cost"],
            [(a["kind"], a["failure"] or "ok", a["attempts"], dollars(a["cost_usd"])) for a in traffic["attempts"]],
        )


def _cost(cost: dict[str, Any]) -> None:
    title("What it cost")
    reasons = ", ".join(f"{name} {count}" for name, count in cost["unknown_cost_reasons"].items())
    print_fields(
        [
            ("total", dollars(cost["total_usd"])),
            ("per call", dollars(cost["per_call_usd"])),
            ("per successful call", dollars(cost["per_successful_call_usd"])),
            ("cost unknown", f"{cost['unknown_cost_calls']} calls" + (f" ({reasons})" if reasons else "")),
            ("tokens", f"{cost['input_tokens']} in, {cost['output_tokens']} out"),
        ]
    )


def _quality(quality: dict[str, Any]) -> None:
    title("Whether its quality moved")
    latency = ", ".join(f"{name} {milliseconds(value)}" for name, value in quality["latency_ms"].items())
    first = ", ".join(f"{name} {milliseconds(value)}" for name, value in quality["first_token_ms"].items())
    print_fields(
        [
            ("evaluations", quality["evaluations"]),
            ("outcomes", ", ".join(f"{name} {count}" for name, count in quality["outcomes"].items())),
            ("error rate", percent(quality["error_rate"])),
            ("errors", ", ".join(f"{name} {count}" for name, count in quality["errors"].items())),
            ("another model answered", f"{quality['drift']} calls"),
            ("cut off at max tokens", f"{quality['truncated']} calls"),
            ("latency", latency),
            ("first token (streams)", first),
        ]
    )
