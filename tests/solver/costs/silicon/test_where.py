"""Which folder, card, engine and version a table is taken from."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from shardwise.models import catalog, silicon_folder
from shardwise.models.errors import InputError
from shardwise.models.silicon_folder import tables_folder
from shardwise.solver.costs.silicon import ESTIMATED, Silicon
from shardwise.solver.costs.silicon.files import version_key

from . import made


def test_versions_in_order() -> None:
    ordered = ["0.5.9", "0.5.10rc2", "0.5.10", "0.5.10.post1", "0.6", "1.3.0rc9", "1.3.0rc10", "1.3.0", "2021.17.2"]
    assert sorted(set(ordered), key=version_key) == ordered


def test_the_newest_version_that_is_no_addition(tmp_path: Path) -> None:
    """A newer table of one model's shapes does not hide the full one; a newer full one does."""
    rows = made.gemm(["bfloat16"])
    made.write(made.place(tmp_path, "gemm", "gemm", version="0.9.0"), rows)
    made.write(made.place(tmp_path, "gemm", "gemm", version="0.10.0rc1"), rows)
    made.write(made.place(tmp_path, "gemm", "gemm", version="0.11.0"), rows[:5])
    card = Silicon(made.card(), "vllm", tmp_path)
    card.matrix("bf16", 8, 256, 256)
    assert "0.10.0rc1" in card.sources["matrix bf16 (vllm)"]


def test_engines_in_order_of_preference(tmp_path: Path) -> None:
    for engine in ("sglang", "trtllm"):
        made.write(made.place(tmp_path, "attention", "generation_attention", engine), made.attention("generation"))
    for asked, served in ((None, "trtllm"), ("vllm", "trtllm"), ("sglang", "sglang")):
        card = Silicon(made.card(), asked, tmp_path)
        card.decode_attention(4, 1024, 32, 8, 128)
        [source] = card.sources.values()
        assert source.startswith(served)


def test_older_versions_add_shapes_of_exchanges(tmp_path: Path) -> None:
    """Exchanges over several nodes were measured once."""
    made.write(made.place(tmp_path, "comm", "wideep_deepep_ll", "sglang", "0.5.12"), made.deep_ep("ll"))
    far = [{**row, "node_num": 2, "dispatch_avg_t_us": 99.0} for row in made.deep_ep("ll")]
    old = [{**row, "dispatch_avg_t_us": 77.0} for row in made.deep_ep("ll")]
    made.write(made.place(tmp_path, "comm", "wideep_deepep_ll", "sglang", "0.5.6"), far + old)
    card = Silicon(made.card(), "vllm", tmp_path)
    assert card.exchange(128, 7168, 8, 256, 16, "dispatch")[0] == pytest.approx(99e-6)
    assert card.exchange(128, 7168, 8, 256, 8, "dispatch")[0] != pytest.approx(77e-6)


def test_a_folder_under_the_id_of_a_card_we_do_not_know(tmp_path: Path) -> None:
    made.write_card(tmp_path, "my-card")
    own = made.card().model_copy(update={"id": "my-card"})
    assert Silicon(own, "vllm", tmp_path).matrix("bf16", 8, 2048, 8192)[1] == 0


@pytest.mark.parametrize("id", ["mi300x", "inline", ".", "..", "", "../h100_sxm"])
def test_a_card_without_tables(folder: Path, id: str) -> None:
    with pytest.raises(InputError, match="no silicon tables for card") as caught:
        Silicon(made.card().model_copy(update={"id": id}), "vllm", folder)
    assert "h100-sxm" in str(caught.value.help)


def test_an_engine_that_nobody_measured_has_the_others_tables(folder: Path) -> None:
    seconds, kind = Silicon(made.card(), "my-engine", folder).decode_attention(4, 1024, 32, 8, 128)
    assert seconds == Silicon(made.card(), None, folder).decode_attention(4, 1024, 32, 8, 128)[0]
    assert kind == ESTIMATED


def test_the_variable_names_a_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARDWISE_SILICON", str(folder))
    assert tables_folder() == folder
    monkeypatch.setenv("SHARDWISE_SILICON", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="no such folder of silicon tables"):
        tables_folder()


def test_the_package_is_found_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / silicon_folder.PACKAGE
    (package / "systems" / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("SHARDWISE_SILICON", raising=False)
    importlib.invalidate_caches()
    assert tables_folder() == package / "systems" / "data"


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHARDWISE_SILICON", raising=False)
    monkeypatch.setattr(silicon_folder, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(InputError, match="no silicon tables are installed") as caught:
        Silicon(made.card())
    assert "pip install 'shardwise[silicon]'" in str(caught.value.help)


def test_cards_are_those_of_the_catalog() -> None:
    for name in {*silicon_folder.CARDS, *silicon_folder.RELATIVES}:
        assert catalog.accelerator(name)
    assert {of for pair in silicon_folder.RELATIVES.values() for of in pair} <= set(silicon_folder.CARDS)
