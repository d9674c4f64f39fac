"""`pointsman simulate`: a simulated provider for rehearsals."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pointsman.testing.simulator import Fault

HELP = """Serve a simulated provider that speaks OpenAI's wire and misbehaves on demand.

Faults are written NAME, NAME:VALUE or NAME:VALUE,KEY=VALUE and may be given several times:

  --fault latency:200ms            every answer waits
  --fault rate_limited:2,first=3   the first three requests get 429 with Retry-After: 2
  --fault server_error:503,p=0.1   one in ten fails
  --fault reset:mid_body,every=5   each fifth connection is reset in the middle of its answer

Every fault takes p, every, first, after and on=chat|embeddings|models|stream|unary. Change them while it runs with
POST /_sim/behaviour, or for one request with the header x-sim-fault or a model name like any-model#latency:1s.
--list-faults names them all.
"""


def simulate(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 9001,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    name: Annotated[str, typer.Option(help="What it calls itself in answers.")] = "simulator",
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model it has, as NAME or NAME=REPORTED when answers shall report another name. Repeatable; "
            "none accepts any, with some all others are answered 404 model_not_found."
        ),
    ] = None,
    api_key: Annotated[
        list[str] | None, typer.Option(help="A key it accepts as bearer token. Repeatable; none accepts any.")
    ] = None,
    fault: Annotated[list[str] | None, typer.Option(help="A fault in force from the start. Repeatable.")] = None,
    latency: Annotated[str | None, typer.Option(help="Short for --fault latency:VALUE, e.g. 200ms.")] = None,
    token_delay: Annotated[str | None, typer.Option(help="Short for --fault token_delay:VALUE, e.g. 20ms.")] = None,
    recordings: Annotated[
        Path | None, typer.Option(help="Directory of recordings (*.jsonl, *.jsonl.gz) to replay.")
    ] = None,
    match: Annotated[
        Literal["exact", "relaxed", "exact_then_relaxed"],
        typer.Option(help="How a request finds its recording; relaxed ignores the model and stream_options."),
    ] = "exact_then_relaxed",
    on_miss: Annotated[
        Literal["generate", "refuse"], typer.Option(help="What to do with a request that has no recording.")
    ] = "generate",
    tokens: Annotated[int, typer.Option(help="Length of an answer that the caller did not limit.", min=1)] = 32,
    dimensions: Annotated[int, typer.Option(help="Length of an embedding.", min=1)] = 1536,
    seed: Annotated[int, typer.Option(help="Another seed gives other answers and other draws.")] = 0,
    control_port: Annotated[
        int | None, typer.Option(help="Also serve /_sim here, where it stays up when the provider is down.")
    ] = None,
    keep: Annotated[int, typer.Option(help="How many requests /_sim/requests remembers.", min=0)] = 1000,
    list_faults: Annotated[
        bool, typer.Option("--list-faults", help="Name every fault and its values, and leave.")
    ] = False,
) -> None:
    """Serve a simulated provider (see HELP, which the command is registered with)."""
    import uvloop

    from pointsman.testing.simulator import RecordingError, Settings, serve_simulator

    if list_faults:
        _print_faults()
        return
    settings = Settings(
        host=host,
        port=port,
        control_port=control_port,
        name=name,
        models=_models(model or []),
        api_keys=tuple(api_key or ()),
        recordings=recordings,
        match=match,
        on_miss=on_miss,
        faults=tuple(_faults(fault or [], latency, token_delay, control_port)),
        tokens=tokens,
        dimensions=dimensions,
        seed=seed,
        keep=keep,
    )
    try:
        uvloop.run(serve_simulator(settings, lambda line: print(line, flush=True)))
    except (OSError, RecordingError) as error:
        typer.echo(f"pointsman simulate: {_mend(error, host, port)}", err=True)
        raise typer.Exit(1) from None


def _models(given: list[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    return {name: reported or name for name, _, reported in pairs}


def _faults(given: list[str], latency: str | None, token_delay: str | None, control_port: int | None) -> list["Fault"]:
    from pointsman.testing.simulator import Down, FaultError, parse_fault

    texts = list(given)
    texts += [f"latency:{latency}"] if latency is not None else []
    texts += [f"token_delay:{token_delay}"] if token_delay is not None else []
    try:
        faults = [parse_fault(text) for text in texts]
    except FaultError as error:
        raise typer.BadParameter(str(error)) from None
    if control_port is None and any(isinstance(fault, Down) and not fault.seconds for fault in faults):
        raise typer.BadParameter("down without a time could not be undone; write down:5s, or give a --control-port")
    return faults


def _mend(error: Exception, host: str, port: int) -> str:
    if isinstance(error, OSError):
        return f"cannot listen on {host} port {port}: {error.strerror}; choose another --port"
    return str(error)


def _print_faults() -> None:
    import inspect

    import msgspec

    from pointsman.testing.simulator import FAULTS
    from pointsman.testing.simulator.fault import own_fields

    for name, kind in FAULTS.items():
        values = ", ".join(f"{field.name}={msgspec.to_builtins(field.default)}" for field in own_fields(kind))
        typer.echo(f"{name}{': ' + values if values else ''}")
        typer.echo(f"    {(inspect.getdoc(kind) or '').splitlines()[0]}")
