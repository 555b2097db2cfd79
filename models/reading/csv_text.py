"""Tables in text files: opened with care, cut into rows of cells, every cell with its place."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError, Place

_BLOCK = 2**20
_CELL = r' *+(?:"[^"]*+(?:""[^"]*+)*+"[ \t]*+|(?!")[^,\r\n]*+)'
"""A well-formed cell of a .csv; possessive, so that no text makes it slow."""
_WELL_FORMED = re.compile(rf"{_CELL}(?:,{_CELL})*+[\r\n]*")

Row = tuple[int, list[str]]
"""The line at which it begins (of a .parquet: its number, from 1; the header is 0), and its cells as text."""


def opened(path: Path, what: str, endings: Collection[str], largest: int, smaller: str) -> BinaryIO:
    """The file, if its kind, ending and size are those of `what`; `smaller` is the way out of a large one."""
    here, kinds = Place(path), " or ".join(endings)
    if path.is_dir():
        raise InputError(f"this is a folder, not {what}", place=here, help=f"name a {kinds} file")
    size = path.stat().st_size
    if not path.is_file():  # opening a pipe would wait for ever
        raise InputError("this is no regular file", place=here)
    if path.suffix.lower() not in endings:
        ending = f"that ends in '{path.suffix}'" if path.suffix else "without an ending"
        raise InputError(f"a table {ending} is not read", place=here, help=f"write it as {kinds}")
    if size > largest:
        raise InputError(f"the file is larger than {largest:,} bytes", place=here, help=smaller)
    return path.open("rb")


def csv_rows(path: Path, stream: BinaryIO, most_blank: int) -> Iterator[Row]:
    """The rows of a .csv. Blank lines, and the rows of blank cells that spreadsheets write, are left out."""
    quotes = _survey(path, stream)
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    raw: list[str] = []
    reader = csv.reader(_kept(text, raw) if quotes else text, skipinitialspace=True)
    number = 1
    blank = 0
    try:
        for cells in reader:
            if quotes:  # the csv module would take "8"0 for 80
                if not _WELL_FORMED.fullmatch("".join(raw)):
                    message = "a quoted cell does not end with its quotation mark"
                    help = 'close the quotation mark; inside a quoted cell write "" for one'
                    raise InputError(message, place=Place(path, number), help=help)
                raw.clear()
            if any(map(str.strip, cells)):
                yield number, cells
            elif (blank := blank + 1) > most_blank:
                message = f"the file has more than {most_blank:,} blank lines"
                raise InputError(message, place=Place(path, number), help="remove them")
            number = reader.line_num + 1
    except csv.Error as error:
        help = "is a quotation mark left open?"
        raise InputError(f"this is no row: {error}", place=Place(path, number), help=help) from None


def _survey(path: Path, stream: BinaryIO) -> bool:
    """Whether a file has quotation marks; raises InputError if it is no text of lines."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    quotes = False
    line = 1
    fact = None
    while block := stream.read(_BLOCK):
        try:
            decoder.decode(block, final=len(block) < _BLOCK)
        except UnicodeDecodeError as error:
            fact, block = "the file is not UTF-8 text", error.object[: error.start]
        if (at := block.find(b"\0")) >= 0:
            fact, block = "a NUL byte", block[:at]
        if len(block) == _BLOCK and b"\n" not in block and b"\r" not in block:
            fact = f"a line of more than {_BLOCK:,} bytes"
        line += block.count(b"\n")
        if fact:
            raise InputError(fact, place=Place(path, line), help="is this a table? Save it as UTF-8 text")
        quotes = quotes or b'"' in block
    stream.seek(0)
    return quotes


def _kept(text: io.TextIOWrapper, raw: list[str]) -> Iterator[str]:
    """The lines, each put into `raw` too."""
    for line in text:
        raw.append(line)
        yield line


def cell_place(path: Path, number: int, cell: int, line: str | None) -> Place:
    """A cell of a row; of a row that spans lines only the first is looked at."""
    if line is None:
        return Place(path, number or None)
    before = re.match(rf"(?:{_CELL},){{{cell}}}[ \t]*", line)
    text = line.rstrip("\r\n").replace("\t", " ")
    shown = text if len(text) <= 200 and text.isprintable() else None
    return Place(path, number, before.end() + 1 if before else 1, shown)
