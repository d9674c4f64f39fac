"""How commands speak: tables and sentences for people, JSON for programs, errors on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import typer

from pointsman.cli.client import ClientError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

RIGHT = ">"
"""A column whose title begins with this is set to the right."""


def print_json(value: Any) -> None:
    """JSON on standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def fail(message: str, mend: str = "", code: int = 1) -> NoReturn:
    """Say what is wrong and what to do about it, and leave."""
    typer.echo(f"pointsman: {message}", err=True)
    if mend:
        typer.echo(f"  {mend}", err=True)
    raise typer.Exit(code)


@contextmanager
def errors_said() -> Iterator[None]:
    """Turn a ClientError into words on standard error and exit code 1."""
    try:
        yield
    except ClientError as error:
        for problem in error.body.get("problems", ()):
            place = f"{problem.get('source', '')}:{problem.get('line', 0)}:{problem.get('column', 0)}"
            typer.echo(f"{place}: {problem.get('message', '')}. Mend: {problem.get('mend', '')}.", err=True)
        fail(error.message, error.mend)


def console() -> Console:
    """Where tables go. Nothing in them is markup: names come from files and callers."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, wide: str = "") -> None:
    """A plain table. The column titled `wide` gives way when the screen is narrow; the others keep their text."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for title in columns:
        right = title.startswith(RIGHT)
        name = title.removeprefix(RIGHT)
        table.add_column(name, justify="right" if right else "left", no_wrap=name != wide, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else safe(str(value)) for value in row))
    _print_trimmed(table)


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line; values that are empty are left out."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in fields:
        if value not in (None, "", [], ()):
            table.add_row(name, safe(str(value)))
    _print_trimmed(table)


def _print_trimmed(table: Table) -> None:
    """A table without the blanks that fill its lines: they only get in the way of copying."""
    screen = console()
    with screen.capture() as captured:
        screen.print(table)
    for line in captured.get().splitlines():
        screen.file.write(line.rstrip() + "\n")


def say(text: str = "") -> None:
    """A line for people, wrapped at words."""
    console().print(safe(text))


def title(text: str) -> None:
    """A heading with a line of air above it."""
    from rich.text import Text

    console().print()
    console().print(Text(safe(text), style="bold"))


def safe(text: str) -> str:
    """Text without control characters: what callers sent may not steer the terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)


def percent(share: float | None) -> str:
    """A share as people read it."""
    return "–" if share is None else f"{share * 100:.1f} %"


def dollars(text: str | None) -> str:
    """An amount of money, or a dash for one that nobody knows."""
    return "–" if text is None else f"${text}"


def milliseconds(value: float | None) -> str:
    """A duration in the unit that fits it."""
    if value is None:
        return "–"
    return f"{value / 1000:.1f} s" if value >= 10_000 else f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
