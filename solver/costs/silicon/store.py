"""The tables of one card, read when first asked for, and a record of which file served what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ....models.errors import InputError, Place
from ....models.silicon_folder import card_folder
from .files import TableFile, engines_in_order, newest, versions
from .sheets import Sheet
from .tables import Table, read_table

Built = TypeVar("Built")


class MissingTableError(InputError):
    """A card was not measured with an operator; what is asked for is not wrong."""


class Store:
    """Tables of one card as one engine runs it; another engine's where its own are missing."""

    def __init__(self, root: Path, card: str, sheet: Sheet, engine: str | None) -> None:
        self.folder = card_folder(root, card)
        self.card, self.sheet, self.engine = card, sheet, engine
        self.engines = engines_in_order(engine)
        self.sources: dict[str, str] = {}
        """Operator -> the file that serves it."""
        self._read: dict[Path, Table] = {}
        self._built: dict[tuple[str, ...], object] = {}

    def own(self, file: TableFile) -> bool:
        """Whether a table is the stated engine's, or none is stated."""
        return self.engine in (None, file.engine)

    def files(self, operator: str, name: str) -> Iterator[TableFile]:
        """Each engine's table, in order of preference."""
        for engine in self.engines:
            file = newest(self.folder, operator, engine, name)
            if file:
                yield file

    def first(self, operator: str, name: str) -> TableFile:
        """The preferred table. Raises InputError if no engine has one."""
        for file in self.files(operator, name):
            return file
        raise self.missing(operator, name)

    def versions(self, operator: str, engine: str, name: str) -> list[TableFile]:
        """Every version of an engine's table, newest first."""
        return versions(self.folder, operator, engine, name)

    def missing(self, operator: str, name: str) -> MissingTableError:
        """What to say where a card has no table of an operator."""
        help = f"add {operator}/<engine>/<version>/{name}_perf.parquet, or price this operator from the data sheet"
        return MissingTableError(f"no measured {operator} times for {self.card}", place=Place(self.folder), help=help)

    def read(self, file: TableFile, name: str) -> Table:
        """The table itself, once."""
        if file.path not in self._read:
            self._read[file.path] = read_table(file.path, name)
        return self._read[file.path]

    def served(self, what: str, file: TableFile) -> None:
        """Remember which file serves an operator."""
        self.sources[what] = f"{file.engine} {file.version}, {file.path.relative_to(self.folder.parent)}"

    def once(self, key: tuple[str, ...], build: Callable[[], Built]) -> Built:
        """What `build` makes, made once. A table that is no grid is named with its card and operator."""
        if key not in self._built:
            try:
                self._built[key] = build()
            except InputError as error:
                if error.place is None:
                    place = Place(self.folder)
                    raise InputError(f"{key[0]}: {error.message}", place=place, help=error.help) from None
                raise
        return self._built[key]  # type: ignore[return-value]  # a key always holds what its builder made
