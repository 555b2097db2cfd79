"""What a line of a plan in Markdown promises: its key says what, its value how much; some promises are sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from ..claimed import Claim, Unread, What
from .markdown_keys import plain
from .plan_markdown_lines import Item
from .plan_markdown_values import WHOLE_OR_DECIMAL, figure, half_of_last_digit

LONGEST_KEY = 80
"""Characters; a longer text before a colon is prose."""

_NEXT_PAIR = re.compile(
    r"[,;]\s+(?!target|limit|requirement|budget|sl[ao]\b|goal)(?=\**[a-z][^,;:：=()]{0,40}[:：=])", re.IGNORECASE
)
"""Between pairs in one line: `TTFT: 1 s, TPOT: 20 ms`."""
_COLON = re.compile(r"[:：](?!//)")
_SAID_OF_A_FIGURE = re.compile(
    r"\b(?:expected|estimated|predicted|projected|approximate|approx|average|avg|mean|actual|resulting|achieved|the"
    r"|requirements?|constraint|condition|check|ok|met|not|satisfied|fulfilled|violated|failed|missed|exceeded|pass(?:ed)?)\b"
)
"""Words of a key that do not say what it is about."""

_MEMORY = r"(?:peak )?(?:per gpu )?(?:gpu )?(?:memory|vram|hbm)"
_PER_GPU = r"(?: per)? (?:gpu|card|device)"
_KEYS: tuple[tuple[str, tuple[What, ...]], ...] = (
    (
        r"(?:total |overall )?(?:number of |num )?(?:gpus|cards|accelerators|gpu count)(?: (?:used|required|needed))?",
        ("gpus",),
    ),
    (rf"experts{_PER_GPU}", ("experts_per_gpu",)),
    (r"layers(?: per)?(?: pipeline)? stage", ("layers_per_stage",)),
    (
        rf"{_MEMORY}(?: usage)? (?:utili[sz]ation|efficiency)(?:{_PER_GPU})?",
        ("memory_utilization", "memory_per_gpu"),
    ),
    (
        rf"{_MEMORY} (?:usage|use|used|footprint|consumption)(?:{_PER_GPU})?|{_MEMORY}{_PER_GPU}"
        r"|(?:peak )?(?:memory|vram)|per gpu (?:memory|vram)",
        ("memory_per_gpu", "memory_utilization"),
    ),
    (
        r"ttft|time to first token(?: ttft)?|ttft time to first token|first token latency|prefill (?:time|latency)",
        ("ttft",),
    ),
    (
        r"tpot|time per output token(?: tpot)?|tpot time per output token|itl|inter token latency(?: itl)?"
        r"|decode (?:time|latency) per token",
        ("tpot",),
    ),
    (r"request latency|(?:end to end|e2e)(?: request)? latency", ("request_latency",)),
    (rf"(?:token )?throughput{_PER_GPU}|per (?:gpu|card) throughput", ("throughput_per_gpu",)),
    (r"(?:total |aggregate |system |overall |cluster )?(?:token )?throughput", ("throughput", "requests")),
    (r"request throughput", ("requests",)),
    (r"experts? (?:utili[sz]ation|usage)", ("expert_utilization",)),
)
_PATTERNS = tuple((re.compile(pattern), kinds) for pattern, kinds in _KEYS)

_HAS = r"(?:handles|holds|hosts|stores|serves|processes|contains|has|gets|owns|runs|manages|carries)"
_SO_MANY = rf"(?:(?:exactly|about|approximately)\s)?~?({WHOLE_OR_DECIMAL}) (?:[a-z]{{1,12}} )?"
_EACH: tuple[tuple[What, re.Pattern[str]], ...] = (
    (
        "experts_per_gpu",
        re.compile(rf"\b(?:each|every) (?:gpu|card|device|rank) {_HAS} {_SO_MANY}experts?\b", re.IGNORECASE),
    ),
    (
        "layers_per_stage",
        re.compile(rf"\b(?:each|every) (?:pipeline )?stage {_HAS} {_SO_MANY}layers?\b", re.IGNORECASE),
    ),
)
_TIMES = r"\s{0,3}(?:[×x*·⋅]|\\times)\s{0,3}"
_DEGREE = r"(?:EP|TP|PP|DP|CP|SP)(?:\s?=?\s?[0-9]{1,5})?"
_FACTORS = rf"[0-9]{{1,6}}(?:{_TIMES}[0-9]{{1,6}}){{1,7}}"
_PRODUCT = re.compile(
    rf"(?<![a-z]){_DEGREE}(?:{_TIMES}{_DEGREE}){{1,7}}\s{{0,3}}=\s{{0,3}}(?:{_FACTORS}\s{{0,3}}=\s{{0,3}})?"
    rf"(?:(?P<result>[0-9]{{1,15}})(?![0-9.,]*[0-9]|{_TIMES}[0-9]))?",
    re.IGNORECASE,
)
_COMPATIBLE = re.compile(r"\b(?:parallel\w{0,12}|degrees?)\b.{0,80}\bcompatib(?:le|ility)\b", re.IGNORECASE)
_BALANCE = re.compile(r"\bload[- ]balanc(?:e|ed|ing)\b|\bload is (?:\w{1,12} )?balanced\b", re.IGNORECASE)
_PROMISED = re.compile(
    r"\b(?:achieved|ensured|verified|guaranteed|satisfied|maintained|confirmed|reached|is (?:\w{1,12} )?balanced)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:not|no|never|cannot|fails?|failed|incompatible)\b", re.IGNORECASE)


@dataclass
class Promises:
    """What has been found so far."""

    claims: list[Claim] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)

    def add(self, item: Item, what: What, value: float | None, half: float = 0.0, limit: float | None = None) -> None:
        """Note one promise of a line."""
        self.claims.append(Claim(what=what, value=value, half_step=half, limit=limit, text=item.text, line=item.line))

    def skip(self, item: Item, why: str) -> None:
        """Note what a line says that is not understood."""
        text = item.text[:LONGEST_KEY] + "…" if item.too_long else item.text
        self.unread.append(Unread(text=text, why=why, line=item.line))


def pairs(item: Item) -> Iterator[tuple[str, str]]:
    """Keys and values of a line: `key: value`, several with commas between them, or a row's first two cells."""
    if item.form == "row":
        cells = [cell.strip() for cell in item.text.split("|", 3)]
        if len(cells) > 1:
            yield cells[0].strip("*_` "), cells[1]
        return
    for part in _NEXT_PAIR.split(item.text):
        cut = _COLON.search(part) or re.search("=", part)
        if cut is not None and cut.start() <= LONGEST_KEY:
            yield part[: cut.start()].strip("*_` "), part[cut.end() :].strip().removeprefix("**").strip()


@lru_cache(maxsize=1024)
def kinds_of(key: str) -> tuple[What, ...]:
    """What a key may promise, depending on the unit; nothing for a key that is none of a plan's."""
    words = " ".join(_SAID_OF_A_FIGURE.sub(" ", plain(key)).split())
    return next((kinds for pattern, kinds in _PATTERNS if pattern.fullmatch(words)), ())


def find_promises(item: Item, found: Promises) -> bool:
    """Note what a line promises. False if it promises nothing."""
    before = len(found.claims) + len(found.unread)
    for key, value in pairs(item):
        kinds = kinds_of(key)
        if not kinds:
            continue
        try:
            if item.form == "row" and item.text.count("|") > 1:  # its target, or its value?
                raise ValueError("stands in a table row of more than two cells")
            stated = figure(value, kinds)
        except ValueError as error:
            if item.section != "measures":  # there, "Throughput: batches are kept full" is one of them
                found.skip(item, f"'{key}' {error}")
            continue
        found.add(item, stated.what, stated.value, stated.half_step, stated.limit)
    _find_sentences(item, found)
    return len(found.claims) + len(found.unread) > before


def _find_sentences(item: Item, found: Promises) -> None:
    """Note the promises that have no key. The words are looked for first: most lines have none of them."""
    text = item.text.casefold()
    if "each" in text or "every" in text:
        for what, pattern in _EACH:
            for said in pattern.finditer(item.text):
                found.add(item, what, float(said[1].replace(",", "")), half_of_last_digit(said[1]))
    if "=" in text:
        for product in _PRODUCT.finditer(item.text):
            if product["result"]:
                found.add(item, "gpu_product", float(product["result"]), 0.5)
            else:
                found.skip(item, "a product of degrees without its result")
    if item.broken or (item.form == "text" and item.section != "checklist"):
        return  # prose promises nothing
    if ("compatib" not in text and "balanc" not in text) or _DENIED.search(item.text):
        return
    if _COMPATIBLE.search(item.text):
        found.add(item, "compatible", None)
    if _BALANCE.search(item.text) and (item.form == "mark" or _PROMISED.search(item.text)):
        found.add(item, "balanced", None)
