"""Silicon tables a second time: which file, and its rows as plain numbers (docs/silicon.md, sections 1 and 2)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

PREFERENCE = ("vllm", "trtllm", "sglang")
FOLDERS = {
    "h100-sxm": "h100_sxm",
    "h200-sxm": "h200_sxm",
    "b200-sxm": "b200_sxm",
    "b300-sxm": "b300_sxm",
    "gb200-nvl72": "gb200",
    "gb300-nvl72": "gb300",
    "a100-sxm-80gb": "a100_sxm",
    "l40s": "l40s",
    "rtx-pro-6000-server": "rtx_pro_6000_server",
    "arc-pro-b60": "b60",
}
STAND_INS = {
    "a100-sxm-40gb": ("a100-sxm-80gb", "a100-sxm-80gb"),
    "a100-pcie-80gb": ("a100-sxm-80gb", "l40s"),
    "a30": ("a100-sxm-80gb", "l40s"),
    **dict.fromkeys(("a10", "l4", "l20", "rtx-4090"), ("l40s", "l40s")),
    "h20": ("h200-sxm", "h200-sxm"),
    "h100-pcie": ("h100-sxm", "l40s"),
    "h100-nvl": ("h100-sxm", "h100-sxm"),
    "h800-sxm": ("h100-sxm", "h100-sxm"),
    "gh200-96gb": ("h100-sxm", "h100-sxm"),
    **dict.fromkeys(("rtx-5090", "rtx-pro-6000-workstation"), ("rtx-pro-6000-server", "rtx-pro-6000-server")),
}
"""Card -> (whose computing, whose links)."""

READ = {
    *("gemm_dtype", "m", "n", "k", "attn_dtype", "kv_cache_dtype", "head_dim", "window_size"),
    *("batch_size", "isl", "step", "num_heads", "num_key_value_heads", "bmm_dtype", "op_name", "num_tokens"),
    *("moe_dtype", "distribution", "kernel_source", "hidden_size", "inter_size", "topk", "num_experts"),
    *("moe_tp_size", "moe_ep_size", "num_gpus", "message_size", "nccl_dtype", "node_num", "num_token", "num_topk"),
    *("latency", "dispatch_avg_t_us", "combine_avg_t_us", "dispatch_transmit_us", "combine_transmit_us"),
}
"""Columns that some operator asks for."""

Columns = list[list[Any]]


def root_of(folder: Path | None) -> Path:
    """The folder with a folder for each card."""
    if folder is not None:
        return folder
    if named := os.environ.get("SHARDWISE_SILICON"):
        return Path(named)
    found = find_spec("aiconfigurator_core")
    if found is None or not found.submodule_search_locations:
        raise LookupError("no silicon tables")
    return Path(found.submodule_search_locations[0]) / "systems" / "data"


@dataclass(frozen=True)
class File:
    """One table file and the engine it is of."""

    path: Path
    engine: str

    def table(self) -> Any:
        """What arrow reads; a window that is not stated is none."""
        opened = import_module("pyarrow.parquet").ParquetFile(self.path)  # its read_table would import pandas
        table = opened.read(columns=[name for name in opened.schema_arrow.names if name in READ])
        if "window_size" in table.column_names:
            return table
        return table.append_column("window_size", [[0] * table.num_rows])


def _plain(column: Any) -> list[Any]:
    """Through the memory that arrow keeps: asking it for one value after the other takes ten times as long."""
    values: list[Any] = []
    for chunk in column.chunks:
        if "string" in str(chunk.type):
            coded = chunk.dictionary_encode()
            words = coded.dictionary.to_pylist()
            values += [words[i] for i in _numbers(coded.indices.cast("int32"), "i")]
        else:
            values += _numbers(chunk.cast("float64"), "d")
    return values


def _numbers(chunk: Any, kind: Literal["i", "d"]) -> list[Any]:
    kept = memoryview(chunk.buffers()[1]).cast(kind)
    return kept[chunk.offset : chunk.offset + len(chunk)].tolist()


class Shelf:
    """The tables of one card, in one engine's order."""

    def __init__(self, root: Path, card: str, engine: str | None) -> None:
        self.card, self.engine = card, engine
        mapped = root / FOLDERS.get(card, card)
        self._folder = mapped if mapped.is_dir() else root / card
        self._tables: dict[Path, Any] = {}

    def columns(self, file: File, *names: str, **held: object) -> Columns:
        """Some columns, as plain floats and texts, of the rows in which others hold what is given."""
        if file.path not in self._tables:
            self._tables[file.path] = file.table()
        table, equal = self._tables[file.path], import_module("pyarrow.compute").equal
        for name, value in held.items():
            table = table.filter(equal(table[name], value))
        return [_plain(table[name]) for name in names]

    def own(self, file: File) -> bool:
        """Whether no engine was stated or it is this one."""
        return self.engine is None or self.engine == file.engine

    def each(self, operator: str, table: str) -> Iterator[File]:
        """One file for each engine that has the table, the stated engine first."""
        for engine in sorted(PREFERENCE, key=lambda name: (name != self.engine, PREFERENCE.index(name))):
            files = self.all_versions(operator, table, engine)
            lengths = [import_module("pyarrow.parquet").read_metadata(file.path).num_rows for file in files]
            for file, length in zip(files, lengths, strict=True):
                if 2 * length >= max(lengths):
                    yield file
                    break

    def first(self, operator: str, table: str) -> File:
        """The first of them."""
        for file in self.each(operator, table):
            return file
        raise LookupError(f"no {table} of {self.card}")

    def all_versions(self, operator: str, table: str, engine: str) -> list[File]:
        """Every version of one engine's table, newest first."""
        base = self._folder / operator / engine
        names = [entry.name for entry in base.iterdir()] if base.is_dir() else []
        paths = [base / name / f"{table}_perf.parquet" for name in sorted(names, key=_age, reverse=True)]
        return [File(path, engine) for path in paths if path.is_file()]


def _age(version: str) -> list[tuple[float, int]]:
    """rc1 < the release < post1 < a further number."""
    words = re.findall("[0-9]+|[a-z]+", version.lower())
    key = [(1.0, int(word)) if word[0].isdigit() else (2.0 if word == "post" else -1.0, 0) for word in words]
    return [*key, (0.0, 0)]
