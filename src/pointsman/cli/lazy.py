"""Commands that are imported when they run, so that `pointsman --help` stays quick and one command's libraries never
slow another."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
import typer
from typer.core import TyperCommand, TyperGroup


class Entry(msgspec.Struct, frozen=True):
    """Where a command lives and what the list of commands says of it."""

    module: str
    function: str
    help: str


class LazyCommand(TyperCommand):
    """Stands in the list of commands; turns into the real one when somebody runs it or looks at its options."""

    def __init__(self, name: str, entry: Entry) -> None:
        self._entry = entry
        self._real: Any = None
        super().__init__(name, help=entry.help, short_help=entry.help)

    @property
    def real(self) -> Any:
        """The command itself, imported at first use."""
        if self._real is None:
            module = importlib.import_module(self._entry.module)
            single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            single.command(self.name, help=getattr(module, "HELP", None))(getattr(module, self._entry.function))
            self._real = typer.main.get_command(single)
            self._real.name = self.name
        return self._real

    @property
    def params(self) -> Any:
        """The options and arguments of the command itself."""
        return self.real.params

    @params.setter
    def params(self, value: Any) -> None:
        """Set by the base class before there is anything to set."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Hand over: from here on the command itself is asked."""
        return self.real.make_context(info_name, args, parent, **extra)


class LazyGroup(TyperGroup):
    """A group of lazy commands, in the order in which they are given."""

    entries: ClassVar[Mapping[str, Entry]]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: LazyCommand(name, entry) for name, entry in self.entries.items()}

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in our order."""
        return list(self.commands)
