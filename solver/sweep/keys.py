"""Keys of scenarios: a hash of everything that a result depends on, by which it is known again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ...models import InputError, ScenarioFile
from ...models.edit import edited
from ...models.knowledge import files_of
from ...models.reading.hf_config import regular_config
from ...models.reading.tree import LARGEST_FILE
from ...models.silicon_folder import tables_state
from .code import code_digest
from .factors import edits_of


class Keys:
    """Hashes of the whole raw scenario, the knowledge, the code and catalogue that answer, and the measured tables."""

    def __init__(self, base: ScenarioFile) -> None:
        self.base = base
        self.files: dict[str, bytes] = {}
        fixed = hashlib.sha256(code_digest())
        for path in base.knowledge:
            for file in files_of(path):
                fixed.update(file.read_bytes())
        fixed.update(tables_state(base.scenario.operator_times.tables).encode())
        self.fixed = fixed.digest()

    def of(self, changes: Mapping[str, Any]) -> str:
        """The key of one point."""
        data = edited(self.base.tree.data, edits_of(changes, self.base.scenario), self.base.scenario)
        data.pop("name", None)
        text = json.dumps(data, sort_keys=True, ensure_ascii=False, default=str)
        found = hashlib.sha256(self.fixed + text.encode("utf-8", "surrogatepass"))
        model = data.get("model")
        if isinstance(model, str) and ("/" in model or model.endswith(".json")):
            found.update(self._file(model))
        return found.hexdigest()[:32]

    def _file(self, model: str) -> bytes:
        """The content of a config.json that the scenario names, found as solving finds it: a pipe would block."""
        if model not in self.files:
            try:
                with regular_config(self.base.path.parent / model).open("rb") as stream:
                    self.files[model] = stream.read(LARGEST_FILE + 1)
            except (InputError, OSError):
                self.files[model] = b""  # solving says what is wrong with it
        return self.files[model]
