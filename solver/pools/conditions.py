"""What a deployment may be asked for with: a scenario of our own pricing, or one over a table."""

from __future__ import annotations

from ...models import Scenario
from ...models.table_scenario import TableScenario

Conditions = Scenario | TableScenario
