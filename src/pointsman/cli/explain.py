"""`pointsman explain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from pointsman.cli.client import DATA_DIR, DEFAULT_URL, AdminUrl, DataDir, Json, connect, quoted
from pointsman.cli.output import (
    dollars,
    errors_said,
    fail,
    milliseconds,
    print_fields,
    print_json,
    print_table,
    say,
    title,
)


def explain(
    call_id: Annotated[str, typer.Argument(help="The call (x-pointsman-call-id). Leave it out for a dry run.")] = "",
    model: Annotated[str, typer.Option(help="Dry run: the name to ask for, instead of the request's own.")] = "",
    request: Annotated[
        Path | None, typer.Option(help="Dry run: file with the JSON body of a request; - reads standard input.")
    ] = None,
    key: Annotated[str, typer.Option(help="Dry run: decide for the key of this name.")] = "",
    config: Annotated[
        Path | None, typer.Option(help="Dry run: decide by this registry file, without any server.")
    ] = None,
    admin_url: AdminUrl = DEFAULT_URL,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Say why a call went where it went, or where one would go: the candidates, the reasons, the attempts."""
    if bool(call_id) == bool(model or request):
        fail("give either a call id, or --model and --request for a dry run", code=2)
    if call_id:
        with errors_said():
            found = connect(admin_url, data_dir).get(f"/calls/{quoted(call_id)}/explain")
        print_json(found) if as_json else _print_call(found)
        return
    body = _read(request)
    if config is not None:
        found = _locally(config, body, model, key)
    else:
        with errors_said():
            found = connect(admin_url, data_dir).post("/explain", {"request": body, "model": model, "key": key})
    print_json(found) if as_json else _print_dry_run(found)
    if found["refusal"]:
        raise typer.Exit(1)


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {"messages": [{"role": "user", "content": ""}]}
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        return msgspec.json.decode(data, type=dict[str, Any])
    except OSError as error:
        fail(f"{path} cannot be read: {error}", code=2)
    except msgspec.MsgspecError as error:
        fail(f"{path} is no JSON object: {error}", code=2)


def _locally(config: Path, body: dict[str, Any], model: str, key: str) -> dict[str, Any]:
    from pointsman.control.api.call_views import dry_run_view
    from pointsman.control.compiling import registry_compiler
    from pointsman.control.dryrun import dry_run, read_need
    from pointsman.core.errors import GatewayError
    from pointsman.registry.problem import RegistryInvalid

    try:
        document = registry_compiler()(config.read_bytes().decode(), str(config)).document
        named, need = read_need(msgspec.json.encode(body))
        if not (model or named):
            fail("neither --model nor the request names a model", code=2)
        view = dry_run_view(dry_run(document, model or named, need, key or None), 0)
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{config} cannot be read: {error}", code=2)
    except RegistryInvalid as error:
        fail(f"{config} does not compile: {error}", f"`pointsman check {config}` says more")
    except GatewayError as error:
        fail(error.message)
    return msgspec.to_builtins(view)  # type: ignore[no-any-return]  # a struct becomes a dict


def _print_call(found: dict[str, Any]) -> None:
    call = found["call"]
    print_fields(
        [
            ("call", call["call_id"]),
            ("started", call["started"]),
            ("asked by", " / ".join(filter(None, (call["team"], call["key"])))),
            ("asked for", f"{call['requested']} ({call['route_kind']})" if call["requested"] else ""),
            ("policy", call["policy"]),
            ("revision", f"{call['revision']} ({call['revision_hash'][:12]})"),
            ("served by", call["target"] if call["outcome"] == "ok" else ""),
            ("outcome", f"{call['outcome']} {call['status'] or ''} {call['error']}".strip()),
            ("took", milliseconds(call["duration_ms"])),
            ("cost", dollars(call["cost_usd"]) if call["cost_usd"] else f"unknown ({call['cost_reason']})"),
            ("task", call["task"]),
        ]
    )
    title("What happened")
    for sentence in found["story"]:
        say(sentence)
    if call["attempts"]:
        title("Attempts")
        print_table(
            ["kind", "target", "result", ">status", ">took", ">cost"],
            [
                (
                    a["kind"],
                    a["target"],
                    a["failure"] or "ok",
                    a["status"] or "–",
                    milliseconds(a["duration_ms"]),
                    dollars(a["cost_usd"]),
                )
                for a in call["attempts"]
            ],
            wide="target",
        )


def _print_dry_run(found: dict[str, Any]) -> None:
    print_fields(
        [
            ("asked for", f"{found['requested']} ({found['route_kind']})"),
            ("needs", ", ".join(found["need"])),
            ("policy", f"{found['policy']} ({found['strategy']})" if found["policy"] else ""),
            ("revision", found["revision"] or ""),
        ]
    )
    if found["order"]:
        title("Would be served by")
        for place, target in enumerate(found["order"], 1):
            how = found["head_flow"] if place == 1 else "fallback"
            say(f"{place}. {target} ({how})")
    for note in found["notes"]:
        say(note)
    if found["dropped"]:
        title("Could not serve")
        for dropped in found["dropped"]:
            detail = f" ({dropped['detail']})" if dropped["detail"] else ""
            say(f"- {dropped['target']}: {dropped['meaning']}{detail} [{dropped['reason']}]")
    if found["refusal"]:
        title("Refused")
        say(found["refusal"])
