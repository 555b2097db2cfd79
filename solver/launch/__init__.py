"""From a plan to what starts it: scripts or a manifest for one serving engine, and a load test.

plan → copies of engines on nodes → one process per engine and node → files. What an engine cannot express is refused.
"""

from .files import Launched, launch
from .refusal import RefusedError, refusals

__all__ = ["Launched", "RefusedError", "launch", "refusals"]
