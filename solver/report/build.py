"""The page: data, style, script and the plotting library in one file."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from ...models import InputError
from ..sweep.row import Row
from .data import axes_of, blind_words, mark_flips, name_apart, record_of

_PLACE = re.compile("@(TITLE|SUBTITLE|STYLE|DATA|LIBRARY|SCRIPT)@")


def report(rows: Iterable[Row], title: str, subtitle: str) -> str:
    """The whole HTML. Raises InputError without the plotting library."""
    try:
        from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]
    except ImportError:
        raise InputError("a report needs plotly", help="pip install 'shardwise[report]'") from None
    records = [record_of(row) for row in rows]
    name_apart(records)
    notes = [f"{words}." for words in blind_words(mark_flips(records))]
    parts = {
        "TITLE": html.escape(title),
        "SUBTITLE": html.escape(subtitle),
        "STYLE": _text("page.css"),
        "DATA": _embedded({"rows": records, "axes": axes_of(records), "notes": notes}),
        "LIBRARY": get_plotlyjs(),
        "SCRIPT": "\n".join(map(_text, ("page.js", "plots.js", "picture.js"))) + "\nstart();",
    }
    return _PLACE.sub(lambda place: parts[place[1]], _text("page.html"))


def _text(name: str) -> str:
    return (files(__package__ or __name__) / name).read_text(encoding="utf-8")


def _embedded(data: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
