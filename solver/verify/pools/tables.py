"""Engines of a table: what the plan says of them, against the rows of the file, read again."""

from __future__ import annotations

from shardwise.models.deployment import DeploymentPlan, PoolEngine
from shardwise.models.engine_table import EngineTable
from shardwise.models.plan import Finding
from shardwise.models.table_scenario import TableScenario

from ..text import agree, at_most, equal, rule, show
from .figures import Whole
from .kinds import about
from .rating import Rated

ADDING = 1e-12
"""Share by which adding up two floats may miss their sum: 0.1 + 0.2 is no less than 0.3."""


def row_of(table: EngineTable, entry: PoolEngine) -> int:
    """The row of an engine. Raises ValueError where there is none, or more than one."""
    rows = [row for row, name in enumerate(table.names) if name == entry.name]
    if len(rows) != 1:
        raise ValueError(f"the table has {len(rows)} engines called '{entry.name[:60]}'")
    return rows[0]


def cost_of(scenario: TableScenario, table: EngineTable, row: int) -> float | None:
    """What an engine costs in an hour: as its row says, else the price of its GPUs."""
    stated = table.cost_per_hour[row]
    if stated is not None:
        return stated
    price = scenario.hardware.price_per_hour
    for stock in scenario.hardware.inventory:
        if stock.accelerator == table.accelerators[row] and stock.price_per_hour is not None:
            price = stock.price_per_hour
    return None if price is None else price * table.gpus[row]


def rated_row(scenario: TableScenario, table: EngineTable, entry: PoolEngine) -> Rated:
    """An engine as its row rates it; a decode engine without a TTFT adds nothing to it."""
    row = row_of(table, entry)
    ttft, tpot = table.ttft_s[row] or 0.0, table.tpot_s[row]
    return Rated(
        entry=entry,
        rate=table.requests_per_s[row],
        ttft=ttft,
        tpot=tpot,
        latency=ttft + (scenario.workload.output_tokens - 1) * (tpot or 0.0),
        cost=cost_of(scenario, table, row),
    )


def check_row(scenario: TableScenario, table: EngineTable, entry: PoolEngine) -> list[Finding]:
    """One engine of the plan against its row."""
    row, found = row_of(table, entry), rated_row(scenario, table, entry)
    role, card = table.roles[row], table.accelerators[row] or ""
    wanted = scenario.hardware.accelerator
    usable = wanted is None or card in (wanted, "")
    unpriced = (entry.load, entry.utilization, entry.strategy, entry.memory_bytes_per_gpu)
    idle = not entry.wait_s and not entry.transfer_s and not entry.ttft_quantiles_s and not entry.parts
    findings = [
        rule("row.role", entry.role == role, entry.role, role),
        equal("row.gpus", entry.gpus_per_engine, table.gpus[row], "GPUs"),
        rule("row.accelerator", entry.accelerator == card, entry.accelerator or "none", card or "none"),
        rule("row.card", usable, card or "any card", f"card {wanted}, or any"),
        agree("row.batch", entry.batch, table.batch[row], "sequences"),
        agree("row.requests_per_s", entry.requests_per_s, found.rate, "requests/s"),
        agree("row.ttft_s", entry.ttft_s, found.ttft, "s"),
        agree("row.tpot_s", entry.tpot_s, found.tpot, "s"),
        agree("row.request_latency_s", entry.request_latency_s, found.latency, "s"),
        agree("row.cost_per_hour", entry.cost_per_hour, found.cost, "per hour"),
        rule(
            "row.unpriced",
            idle and all(figure is None for figure in unpriced),
            "figures beside those of the row" if not idle or any(unpriced) else "the row's figures alone",
            "no load, utilisation, strategy, memory, wait, transfer, quantiles or parts: the table has none",
        ),
    ]
    return about(entry, findings)


def check_table_limits(plan: DeploymentPlan, table: EngineTable, found: Whole) -> list[Finding]:
    """Limits on the rows' figures, strictly as given; floors on sums keep the tolerance."""
    if not isinstance(plan.scenario, TableScenario):
        raise ValueError("the plan is not of a table")
    asked, served, findings = plan.scenario.requirements, found.served, []
    for name, value, limit in (("ttft", served.ttft, asked.ttft), ("tpot", served.tpot, asked.tpot)):
        if limit is not None and value is not None:
            said = f"at most {show(limit, 's')}"
            findings.append(rule(f"requirements.{name}", value <= limit * (1 + ADDING), said, show(value, "s")))
    floors = (("throughput", asked.throughput, 1), ("throughput_per_gpu", asked.throughput_per_gpu, served.gpus))
    for name, floor, share in floors:
        if floor is not None:
            value = served.requests / share
            said = f"at least {show(floor.requests, 'requests/s')}"
            kept = at_most(floor.requests, value)
            findings.append(rule(f"requirements.{name}.requests", kept, said, show(value, "requests/s")))
    if asked.memory_per_gpu is not None:
        for entry in plan.engines:
            held = table.memory_bytes[row_of(table, entry)]
            kept = held is not None and held <= asked.memory_per_gpu
            said = f"{entry.name}: at most {show(asked.memory_per_gpu, 'B')}"
            findings.append(rule("requirements.memory_per_gpu", kept, said, show(held, "B")))
    return findings
