"""What a serving engine's command line says and knows: data of one version, read by `audit`, written by `launch`."""

from __future__ import annotations

from functools import cache

from pydantic import Field

from . import catalog
from .base import Model


class Formats(Model):
    """Number formats as the engine names them."""

    kv: dict[str, str] = Field(description="of the KV cache: ours -> the engine's")
    online: dict[str, str] = Field(default_factory=dict, description="weights made from a 16-bit checkpoint on loading")


class CommandProfile(Model):
    """The command line of one engine."""

    id: str = Field(description="catalog id, as in vllm")
    name: str
    version: str = Field(description="the version these facts were read from")
    starts: tuple[str, ...] = Field(description="what begins a command, the one that is written first")
    positional_model: bool = Field(default=False, description="the model may stand without a flag")
    says: dict[str, tuple[str, ...]] = Field(description="quantity -> the flags that state it, the written one first")
    file_says: dict[str, str] = Field(default_factory=dict, description="quantity -> dotted key of its YAML file")
    per_rank: tuple[str, ...] = Field(
        default=(), description="quantities stated for one attention data rank; others are of all of them together"
    )
    formats: Formats
    layer_partition: str | None = Field(default=None, description="environment variable for uneven pipeline stages")
    beyond_engine: tuple[str, ...] = Field(default=(), description="flags of wrappers, which the engine does not know")
    takes: tuple[str, ...] = Field(description="all flags that take a value")
    switches: tuple[str, ...] = Field(description="all flags that take none")
    file_takes: tuple[str, ...] = Field(default=(), description="all keys of its YAML file; others are refused")
    sources: dict[str, str] = Field(default_factory=dict, description="what -> where it was read")

    def flag(self, quantity: str) -> str:
        """The flag that is written for a quantity."""
        return self.says[quantity][0]

    def quantity(self, flag: str) -> str | None:
        """What a flag states; None where nobody here asks for it."""
        return next((name for name, flags in self.says.items() if flag in flags), None)


@cache
def command_profile(engine: str) -> CommandProfile:
    """The command line of a serving engine. Raises InputError for an unknown id."""
    return CommandProfile.model_validate(catalog.command(engine))
