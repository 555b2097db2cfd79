"""A deployment plan in Markdown into what it claims: degrees, promises with their numbers, measures.

plan_markdown_lines.py finds the lines that say something, plan_markdown_claims.py reads what they promise; here the
degrees become a strategy. The plan's conditions are markdown.py's business. Nothing is checked against anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .. import catalog
from ..claimed import Claimed, ClaimedEngine, Measure
from ..errors import InputError, Place
from ..strategy import Strategy
from .markdown_keys import KEYS, catalog_id, plain
from .markdown_sections import Mistakes
from .plan_markdown_claims import Promises, find_promises, pairs
from .plan_markdown_lines import LONGEST_LINE, Item, read_items
from .tree import LARGEST_FILE, Tree

__all__ = ["read_markdown_plan"]

LARGEST_DEGREE = 8_192
MOST_LINES = 20_000
"""Lines that are not empty; a plan has a hundred. Each may be a claim, which somebody has to check."""

_WORDS: dict[str, frozenset[str]] = {
    "expert": frozenset(("expert", "experts", "ep")),
    "tensor": frozenset(("tensor", "tp")),
    "pipeline": frozenset(("pipeline", "pp", "stages")),
    "data": frozenset(("data", "dp")),
    "context": frozenset(("context", "cp", "sequence", "sp")),
    "expert_tensor": frozenset(("expert", "tensor", "etp")),
}
_SHORT = {"EP": "expert", "TP": "tensor", "PP": "pipeline", "DP": "data", "CP": "context", "SP": "context"}
_PARALLEL = frozenset(("parallelism", "parallel", "parallelization", "degree", "degrees", "size", "ways", "way"))
_MARKS_A_DEGREE = _PARALLEL - {"size"} | {"ep", "tp", "pp", "dp", "cp", "sp", "etp", "stages"}
_STRATEGY = frozenset(("strategy", "parallelism", "parallel", "composition", "configuration", "degrees", "layout"))
"""Words of keys whose value may hold several degrees: `Strategy: EP16 × TP4`."""
_NUMBER = r"(?P<number>[+-]?[0-9][0-9,]{0,20}(?:\.[0-9]{0,15})?)"
_DEGREE = re.compile(
    rf"(?:(?:EP|TP|PP|DP|CP|SP)\s?[=:]?\s?)?[×x]?\s?{_NUMBER}"
    r"(?:\s?-?\s?(?:way|ways|ranks?|gpus?|groups?|stages?|degree|devices?|x|×))?"
    r"(?:\s*[.,;]?|\s*\(.*|\s*[,;—–](?!\s*[0-9]).*|\s(?:within|across|per|for|over|in|on|inside|each)\b.*)",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"(?<![a-wyz0-9])(?:(EP|TP|PP|DP|CP|SP)\s?[=:]?\s?([0-9]{1,6})(?:\s?-?\s?way)?"
    r"|([0-9]{1,6})[- ]way (EP|TP|PP|DP|CP|SP))(?![a-wyz0-9]|[.,][0-9])",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[\s,;/+×x*·⋅&|()]*(?:=[\s0-9,×x*·⋅=]*(?:gpus?)?[\s.)]*)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Degree:
    """A degree as it was first stated."""

    value: int
    key: str
    line: int


def read_markdown_plan(text: str, file: str) -> Claimed:
    """What a plan states. Raises InputError with the line.

    Such plans multiply EP × TP × PP (× CP) to the GPUs of one engine: TP splits the attention heads, and each expert
    over the ranks inside its group. So EP16 × TP4 is tensor 4, data 16 (each expert group attends to sequences of its
    own), expert 16, expert_tensor 4. DP counts copies of the whole model and becomes the number of engines, with and
    without EP. Where EP is not stated, or 1, and the model has experts, all ranks of a stage share each expert. A
    model has experts if the plan says so: EP above 1, its model section, or a promise about experts.
    """
    here = Path(file)
    if len(text) > LARGEST_FILE or len(text.encode("utf-8", "surrogatepass")) > LARGEST_FILE:
        raise InputError(
            f"the file is larger than {LARGEST_FILE:,} bytes; a plan has a few thousand", place=Place(here, 1)
        )
    mistakes = Mistakes(Tree(None, here, text.splitlines()))
    reader = _Reader(mistakes)
    for count, item in enumerate(read_items(text, mistakes)):
        if count == MOST_LINES:
            message = f"the plan has more than {MOST_LINES:,} lines that say something"
            mistakes.add(message, (item.line, 1), "a plan has a hundred")
            mistakes.end()
        reader.read(item)
    if not reader.degrees and not mistakes.found:
        help = "state one as '- Tensor Parallelism (TP): 4-way'; code blocks and conditions are not read"
        mistakes.add("the plan states no degree of parallelism", (1, 1), help)
    mistakes.end()
    engine = reader.engine()
    mistakes.end()
    return Claimed(
        file=file,
        form="markdown",
        engines=(engine,),
        claims=tuple(reader.found.claims),
        measures=tuple(reader.measures),
        unread=tuple(reader.found.unread),
    )


class _Reader:
    """Goes through the items and keeps what they say."""

    def __init__(self, mistakes: Mistakes) -> None:
        self.mistakes = mistakes
        self.degrees: dict[str, _Degree] = {}
        self.found = Promises()
        self.measures: list[Measure] = []
        self.experts = False
        """Whether the model section describes experts."""

    def read(self, item: Item) -> None:
        """Read one item."""
        if item.section == "model":
            self.experts = self.experts or _has_experts(item)
        elif item.form == "heading":
            self._degrees(item)
        elif item.too_long:
            if item.form != "text":
                self.found.skip(item, f"a line of more than {LONGEST_LINE} characters")
        elif not (self._degrees(item) | self._promises(item)) and item.section == "measures" and item.form != "text":
            self.measures.append(Measure(text=item.text, line=item.line))

    def _promises(self, item: Item) -> bool:
        return find_promises(item, self.found)

    def _degrees(self, item: Item) -> bool:
        """Note the degrees that a line states. False if it is about none."""
        stated = list(pairs(item))
        texts = [item.text, *(value for key, value in stated if _STRATEGY & set(plain(key).split()))]
        for text in texts:
            assigned = _ASSIGNED.findall(text)
            if assigned and _BETWEEN.fullmatch(_ASSIGNED.sub("", text)):
                for before, number, other, behind in assigned:
                    short = (before or behind).upper()
                    self._state(_SHORT[short], short, number or other, item)
                return True
        about = False
        for key, value in stated:
            degree = _degree_of(key)
            value = value.replace("**", "").replace("`", "").strip()
            number = _DEGREE.fullmatch(value) if degree else None
            if degree and number is not None and degree != "expert_tensor":
                self._state(degree, key, number["number"], item)
                about = True
            elif degree and item.form != "heading" and item.section != "measures":
                why = "is no degree of such plans" if degree == "expert_tensor" else "has a value that is no degree"
                self.found.skip(item, f"'{key}' {why}")
                about = True
        return about

    def _state(self, degree: str, key: str, number: str, item: Item) -> None:
        at = (item.line, item.column)
        whole = re.fullmatch(r"\+?([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)", number.rstrip(","))
        value = int(whole[1].replace(",", "")) if whole else 0
        first = self.degrees.setdefault(degree, _Degree(value, key, item.line))
        if not 1 <= value <= LARGEST_DEGREE:
            message = f"'{key}': {number[:60]} is no degree"
            self.mistakes.add(message, at, f"a degree is a whole number from 1 to {LARGEST_DEGREE:,}")
        elif first.value != value:
            help = f"it is {first.value} in line {first.line}, as '{first.key[:60]}'"
            self.mistakes.add(f"'{key[:60]}' is stated twice: {value} here", at, help)

    def engine(self) -> ClaimedEngine:
        """The degrees as a strategy, as read_markdown_plan's docstring tells."""
        value = {name: self.degrees[name].value if name in self.degrees else 1 for name in _WORDS}
        tensor, context, expert = value["tensor"], value["context"], value["expert"]
        about_experts = any(claim.what in ("experts_per_gpu", "expert_utilization") for claim in self.found.claims)
        sliced = tensor * context if expert > 1 or self.experts or about_experts else 1
        if sliced > LARGEST_DEGREE:
            line = max(self.degrees[name].line for name in ("tensor", "context"))
            message = f"tensor {tensor} × context {context} slices each expert more than {LARGEST_DEGREE:,} times"
            self.mistakes.add(message, (line, 1))
            self.mistakes.end()
        lines = {("count" if name == "data" else name): one.line for name, one in self.degrees.items()}
        strategy = Strategy(
            tensor=tensor,
            context=context,
            data=expert,
            pipeline=value["pipeline"],
            expert=expert,
            expert_tensor=sliced,
        )
        return ClaimedEngine(strategy=strategy, count=value["data"], lines=lines)


@lru_cache(maxsize=1024)
def _degree_of(key: str) -> str | None:
    """The degree that a key names."""
    words = set(plain(key).split())
    rest = words - _PARALLEL
    if not rest or not words & _MARKS_A_DEGREE:
        return None
    return next((degree for degree, names in _WORDS.items() if rest <= names), None)


def _has_experts(item: Item) -> bool:
    """Whether a line of the model section says that the model has experts."""
    for name, value in pairs(item):
        key = KEYS["model"].get(plain(name))
        if key is None:
            continue
        if key.path[:2] == ("model", "experts") and re.search("[1-9]", value):
            return True
        if key.path == ("model", "name") and (id := catalog_id("language_models", value.strip("*` "))) is not None:
            return catalog.language_model(id).get("experts") is not None
    return False
