"""Fits find the constants that measurements were made with, and leave alone what these cannot tell."""

from __future__ import annotations

from math import exp, log
from pathlib import Path

import numpy as np
import pytest
from shardwise.models import InputError
from shardwise.models.measurement import Measurement
from shardwise.solver.calibration.cases import Constants
from shardwise.solver.calibration.fit import IDENTIFIED, PRIOR, Fitted, fit
from shardwise.solver.calibration.problem import Name, Problem

from ..costs.silicon.made import write_card
from .made import measured, one, setup, setups

PACE, MFU, BANDWIDTH = ("latencies", "pace"), ("efficiency", "mfu"), ("efficiency", "bandwidth")
STARTUP, WAIT = ("latencies", "startup"), ("latencies", "wait_steps")
SHARES = {"expert_bandwidth": 0.84, "kv_bandwidth": 0.84}
"""As they are by default; `bandwidth` alone would speak for them."""
CLUSTER: Constants = {"latencies": {"pace": 1.3, "wait_steps": 4.0}, "efficiency": {"bandwidth": 0.5, **SHARES}}


def fitted(rows: list[Measurement], names: tuple[Name, ...] | None = None) -> Fitted:
    problem = Problem(rows, "datasheet")
    return fit(problem) if names is None else fit(problem, names)


def assert_found(found: Fitted, truth: dict[Name, float]) -> None:
    for name, value in truth.items():
        off = abs(log(found.values[name] / value))
        assert off <= 2.5 * found.spread[name], (name, found.values[name], found.spread[name])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_known_constants_from_noise_and_outliers(seed: int) -> None:
    """5 % noise, and one row in ten off by a factor of 2 to 4."""
    found = fitted(measured(setups(), CLUSTER, noise=0.05, outliers=0.1, seed=seed), (PACE, BANDWIDTH, WAIT))
    assert_found(found, {PACE: 1.3, BANDWIDTH: 0.5, WAIT: 4.0})
    assert max(found.spread.values()) < 0.15
    assert np.median(np.abs(found.after)) < 0.05 < 0.2 < np.median(np.abs(found.before))


def test_among_all_constants() -> None:
    """What was not changed stays near, or is left alone with the reason."""
    found = fitted(measured(setups(), CLUSTER, noise=0.05, outliers=0.1))
    assert_found(found, {PACE: 1.3, BANDWIDTH: 0.5, WAIT: 4.0})
    assert_found(found, {name: found.start[name] for name in found.values if name not in (PACE, BANDWIDTH, WAIT)})
    assert all(spread <= IDENTIFIED * PRIOR * 1.1 for spread in found.spread.values())
    assert not found.values.keys() & found.left_alone.keys()
    for name in (("efficiency", "expert_mfu"), ("latencies", "indexer"), ("latencies", "send_token")):
        assert found.left_alone[name].startswith("no measurement depends on it")  # no experts, indexers, stages here
    assert found.left_alone["latencies", "linear_layer"] == "it is 0"
    assert found.left_alone["latencies", "sequence"].startswith("it cannot be told from the others")


def test_exact_measurements_change_nothing() -> None:
    found = fitted(measured(setups(), {}), (PACE, BANDWIDTH, WAIT))
    assert found.values == pytest.approx({name: found.start[name] for name in found.values}, rel=1e-3)
    assert np.abs(found.after).max() < 1e-3


def test_of_two_constants_that_do_the_same_one_is_fitted() -> None:
    """Decoding a dense model on one card reads its weights, whatever the batch: bandwidth or pace, not both."""
    rows = measured((setup(amount=clients) for clients in (1, 2)), {"latencies": {"pace": 1.3}}, quantities=["tpot"])
    found = fitted(rows, (PACE, BANDWIDTH))
    assert len(found.values) == 1 and len(found.left_alone) == 1
    assert "cannot be told from the others" in next(iter(found.left_alone.values()))
    assert np.abs(found.after).max() < 0.05 < np.abs(found.before).min()


def test_two_points_of_one_cell_move_the_pace() -> None:
    rows = measured((setup(amount=clients) for clients in (4, 32)), {"latencies": {"pace": 1.5}}, quantities=["tpot"])
    found = fitted(rows)
    assert set(found.values) == {PACE} and 1.3 < found.values[PACE] < 1.55


@pytest.mark.parametrize(
    "rows",
    [
        [],
        measured([setup()], {}),  # three figures of one setup
        [one(setup(), "ttft", 0.1), one(setup(model="unheard-of"), "ttft", 0.1)],
        [one(setup(amount=n), "tpot", 0.01, speculative=True) for n in (1, 2, 3)],
        [one(setup(load="offline_max", output_tokens=n), "ttft", 0.1) for n in (100, 200, 300)],
    ],
)
def test_too_little_is_refused(rows: list[Measurement]) -> None:
    with pytest.raises(InputError, match="setups can be compared, a fit needs 2"):
        Problem(rows, "datasheet")


def test_what_tells_nothing_is_refused() -> None:
    problem = Problem(measured([setup(), setup(amount=2)], {}), "datasheet")
    with pytest.raises(InputError, match="identify none"):
        fit(problem, (("latencies", "indexer"),))


def test_what_a_load_does_not_have_is_skipped() -> None:
    queue = setup(load="offline_max", amount=None)
    rows = [one(queue, "ttft", 0.1), one(queue, "tpot", 0.1), one(setup(output_tokens=1), "tpot", 0.1)]
    rows += [one(setup(), "tpot", 0.01, speculative=True), one(setup(tensor=3), "tpot", 0.01)]
    problem = Problem([*rows, *measured([setup(), setup(amount=2), queue], {}, quantities=["throughput"])], "datasheet")
    assert problem.skipped == {
        "no ttft under this load": 1,
        "no tpot under this load": 2,
        "speculative decoding": 1,
        "the degrees do not divide the GPUs": 1,
    }
    assert len(problem.rows) == 3


def test_a_server_is_fitted_beside_batches_that_have_none() -> None:
    """Static batches come first in the file; they have no start-up and no waiting."""
    batches = [setup(load="static_batch", amount=n, input_tokens=100) for n in (1, 8)]
    served = [setup(amount=n, input_tokens=length) for n in range(1, 21) for length in (50, 70, 90, 110)]
    rows = measured([*batches, *served], {"latencies": {"startup": 0.012}}, quantities=["ttft"])
    found = fitted(rows, (STARTUP,))
    assert found.start[STARTUP] == pytest.approx(0.0034, rel=0.1)  # vLLM's
    assert found.values[STARTUP] == pytest.approx(0.012, rel=0.1)


def test_a_load_beyond_saturation_on_the_way_is_no_crash() -> None:
    """15 requests/s can be carried at the constants in force, not at three times the pace; there it takes longer."""
    loads = [setup(amount=n) for n in (1, 16, 64)] + [setup(load="request_rate", amount=15.0)]
    rows = measured(loads, {"latencies": {"pace": 1.2}}, quantities=["tpot", "throughput"])
    problem = Problem(rows, "datasheet")
    slow = problem.residuals({PACE: 3.0})
    assert np.isfinite(slow).all() and slow[6] > 1 and slow[7] < -0.3
    assert fit(problem, (PACE,)).values[PACE] == pytest.approx(1.2, rel=0.02)


def test_held_out_errors_are_those_of_fits_without_the_group() -> None:
    """A Gauss–Newton step stands for a whole fit; one group that is off is off by more without it."""
    usual = [setup(model=model) for model in ("llama-3.1-8b", "qwen3-8b", "mistral-7b", "gemma-2-9b")]
    rows = measured(usual, {}, quantities=["tpot"])
    rows[0] = one(rows[0].setup, "tpot", rows[0].value * 1.2)
    found = fitted(rows, (PACE,))
    assert found.groups == 4 and len(found.held_out) == 4
    assert abs(found.held_out[0]) > abs(found.after[0])
    without = fitted(rows[1:], (PACE,))
    assert found.held_out[0] == pytest.approx(log(without.values[PACE] / 1.2), abs=0.02)


def test_groups_fall_back_to_layouts_and_then_to_setups() -> None:
    def groups(*of: object) -> int:
        return fitted(measured(of, {"latencies": {"pace": 1.2}}), (PACE,)).groups  # type: ignore[arg-type]

    same = [setup(amount=n) for n in (1, 4, 16)]
    assert groups(*same) == 3
    assert groups(*same, setup(input_tokens=500)) == 2
    assert groups(*same, setup(accelerator="H100", input_tokens=500), setup(gpus=2, tensor=2)) == 3
    assert groups(*same, setup(accelerator="H200")) == 2


def test_shares_stay_below_one() -> None:
    rows = measured(setups(), {"latencies": {"pace": 0.4}}, quantities=["tpot"])
    found = fitted(rows, (MFU, BANDWIDTH))
    assert all(0 < value <= 1 for value in found.values.values())


def test_beside_tables_what_they_say_is_not_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To state such a constant would set the tables aside."""
    monkeypatch.setenv("SHARDWISE_SILICON", str(write_card(tmp_path)))
    rows = measured([setup(amount=n) for n in (1, 4, 16)], {"latencies": {"pace": 1.3}})
    problem = Problem(rows)
    assert problem.operators == "measured"
    found = fit(problem)
    assert found.operators == "measured" and all(group == "latencies" for group, _ in found.values)
    assert found.left_alone[BANDWIDTH] == "the tables of measured operators say it"
    assert PACE in found.values


def test_one_source_of_operator_times_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARDWISE_SILICON", str(write_card(tmp_path)))
    cards = [setup(), setup(accelerator="a100-sxm-80gb")]
    assert Problem([one(each, "tpot", 0.01) for each in cards]).operators == "datasheet"


def test_residuals_are_logarithms() -> None:
    rows = measured([setup(), setup(amount=2)], {}, quantities=["tpot"])
    rows = [one(row.setup, "tpot", row.value * exp(-0.3)) for row in rows]
    assert Problem(rows, "datasheet").residuals({}) == pytest.approx([0.3, 0.3])
