"""Measured operator times a second time: one call at a time, in plain floats (docs/silicon.md)."""

from .attention import GroupedAttention
from .collectives import Collectives
from .exchange import Exchanges
from .experts import Experts
from .latent import LatentAttention
from .matrix import Products

__all__ = ["PlainSilicon"]


class PlainSilicon(Products, GroupedAttention, LatentAttention, Experts, Collectives, Exchanges):
    """The questions of `costs.silicon.Silicon`; shares no code with it."""
