"""What strategies take and give: times, bytes, rates, vectorised over rows. The specification is docs/costs.md."""

from .serving import Candidates, price

__all__ = ["Candidates", "price"]
