"""The one error a person can cause: something in the input is wrong, and here is where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A position in a file: `line` and `column` count from 1."""

    file: Path | None
    line: int | None = None
    column: int | None = None
    text: str | None = None
    """The source line itself, for the caret."""

    def __str__(self) -> str:
        parts = [str(self.file) if self.file else "<input>"]
        parts += [str(n) for n in (self.line, self.column) if n is not None]
        return ":".join(parts)


class InputError(ValueError):
    """Bad input: the fact (`message`), the place, and what would be right (`help`).

    The command line prints it without a traceback and exits 1.
    """

    def __init__(
        self,
        message: str,
        *,
        place: Place | None = None,
        help: str | None = None,
        path: tuple[str | int, ...] = (),
    ) -> None:
        super().__init__(message)
        self.path = path
        """Keys that lead to what is wrong, where its place is not known yet."""
        self.message = message
        self.place = place
        self.help = help

    def __str__(self) -> str:
        lines = [f"error: {self.message}"]
        if self.place:
            lines.append(f"  --> {self.place}")
            if self.place.text is not None and self.place.line is not None:
                gutter = " " * len(str(self.place.line))
                column = self.place.column or 1
                lines.append(f"{gutter}  |")
                lines.append(f"{self.place.line}  | {self.place.text}")
                lines.append(f"{gutter}  | {' ' * (column - 1)}^")
        if self.help:
            lines.append(f"help: {self.help}")
        return "\n".join(lines)


class InputErrors(InputError):  # noqa: N818
    """Several independent mistakes of one file, shown together."""

    def __init__(self, errors: list[InputError]) -> None:
        first = errors[0]
        super().__init__(first.message, place=first.place, help=first.help)
        self.errors = errors

    def __str__(self) -> str:
        return "\n\n".join(str(error) for error in self.errors)
