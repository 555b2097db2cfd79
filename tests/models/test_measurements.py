"""Tables of measurements: what a good one becomes, and each way to be wrong with its file, line and way out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shardwise.models import InputError, InputErrors
from shardwise.models.measurement import Measurement, Setup
from shardwise.models.reading.measurements import MOST_ROWS, Measurements, read_measurements

HEADER = "id,model,gpu,n_gpus,tp,pp,isl,osl,load_type,batch_or_concurrency,request_rate,metric,value,unit,framework"
GOOD = {
    "id": "LAB-1",
    "model": "Llama-3.1-8B",
    "gpu": "H100",
    "n_gpus": "2",
    "tp": "2",
    "pp": "",
    "isl": "1000",
    "osl": "200",
    "load_type": "concurrency",
    "batch_or_concurrency": "16",
    "request_rate": "",
    "metric": "tpot",
    "value": "12.5",
    "unit": "ms",
    "framework": "vLLM 0.19",
}
Table = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Write rows that differ from the good one in what is given; or any text or bytes at all."""

    def write(*rows: dict[str, str], text: str | bytes | None = None, name: str = "table.csv") -> Path:
        if text is None:
            lines = [HEADER, *(",".join({**GOOD, **row}.values()) for row in rows)]
            text = "\n".join(lines) + "\n"
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def only(found: Measurements) -> Measurement:
    [one] = found.rows
    return one


def problem(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_measurements(path)
    return caught.value


def test_a_row_in_si_units(table: Table) -> None:
    one = only(read_measurements(table({})))
    assert one.setup == Setup(
        model="Llama-3.1-8B", accelerator="H100", gpus=2, tensor=2, pipeline=1, data=1, expert=1, attention_data=1,
        precision="", input_tokens=1000, output_tokens=200, load="concurrency", amount=16, framework="vLLM 0.19",
    )  # fmt: skip
    assert (one.id, one.line, one.source, one.quantity, one.value) == ("LAB-1", 2, "LAB", "tpot", pytest.approx(0.0125))
    assert one.setup.engine == "vllm" and not one.speculative


@pytest.mark.parametrize(
    ("metric", "unit", "value", "quantity", "counts"),
    [
        ("ttft", "s", 12.5, "ttft", "output"),
        ("ttft_mean", "", 0.0125, "ttft", "output"),
        ("TPOT_mean", "us", 12.5e-6, "tpot", "output"),
        ("itl_mean", "MS", 0.0125, "tpot", "output"),
        ("output_throughput", "tok/s", 12.5, "throughput", "output"),
        ("output_throughput_per_gpu", "tok/s/gpu", 25, "throughput", "output"),
        ("output_throughput", "tok/s/GPU", 25, "throughput", "output"),  # the unit says it too
        ("total_token_throughput", "", 12.5, "throughput", "all"),
        ("total_tokens_per_sec_per_gpu", "", 25, "throughput", "all"),
        ("request_throughput", "", 12.5, "throughput", "requests"),
    ],
)
def test_metrics(table: Table, metric: str, unit: str, value: float, quantity: str, counts: str) -> None:
    one = only(read_measurements(table({"metric": metric, "unit": unit})))
    assert (one.quantity, one.counts, one.value) == (quantity, counts, pytest.approx(value))


@pytest.mark.parametrize(
    ("row", "load", "amount"),
    [
        ({"load_type": "static_batch"}, "static_batch", 16),
        ({"load_type": "request_rate", "request_rate": "2.5"}, "request_rate", 2.5),
        ({"load_type": "request_rate", "request_rate": "inf"}, "offline_max", None),
        ({"load_type": "offline_max"}, "offline_max", None),
    ],
)
def test_loads(table: Table, row: dict[str, str], load: str, amount: float | None) -> None:
    setup = only(read_measurements(table(row))).setup
    assert (setup.load, setup.amount) == (load, amount)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"metric": "ttft_p99"}, "metric ttft_p99"),
        ({"metric": "p95_ttft"}, "metric p95_ttft"),
        ({"metric": "tpot_p50x"}, "metric tpot_p50x (did you mean tpot?)"),
        ({"metric": "ttft_maen"}, "metric ttft_maen (did you mean ttft_mean?)"),
        ({"metric": "output_troughput"}, "metric output_troughput (did you mean output_throughput?)"),
        ({"metric": "e2el_mean"}, "metric e2el_mean"),
        ({"metric": ""}, "metric (blank)"),
        ({"load_type": "concurency"}, "load concurency (did you mean concurrency?)"),
        ({"load_type": "sharegpt"}, "load sharegpt"),
        ({"isl": ""}, "lengths not stated"),
        ({"tp": ""}, "layout not stated"),
    ],
)
def test_what_nothing_predicts_is_counted(table: Table, row: dict[str, str], reason: str) -> None:
    found = read_measurements(table(row, {}, row))
    assert dict(found.left_out) == {reason: 2} and len(found.rows) == 1


def test_mode_and_speculation(table: Table) -> None:
    head, row = "model,gpu,n_gpus,tp,isl,osl,load_type,metric,value,mode,spec_decode", "m,g,1,1,9,9,offline_max,ttft,1"
    found = read_measurements(table(text=f"{head}\n{row},Disaggregated,\n{row},,MTP 3\n{row},,not recorded\n"))
    assert dict(found.left_out) == {"disaggregated": 1}
    assert [one.speculative for one in found.rows] == [True, False]


def test_other_names_columns_in_any_order_and_mean_lengths(table: Table) -> None:
    head = "value,metric,load_type,osl,isl,tp,n_gpus,gpu,gpu_std,model_arch,engine,notes,notes"
    found = read_measurements(table(text=f"{head}\n9,ttft,offline_max,291.7,0.4,1,1,NVIDIA H100,H100,m,SGLang,a,b\n"))
    setup = only(found).setup
    assert (setup.accelerator, setup.model, setup.engine) == ("H100", "m", "sglang")
    assert (setup.output_tokens, setup.input_tokens) == (292, 1)


def test_the_first_filled_name_counts(table: Table) -> None:
    head = "model_arch,model,gpu,n_gpus,tp,isl,osl,load_type,metric,value"
    rows = "arch,name,g,1,1,9,9,offline_max,ttft,1\n,name,g,1,1,9,9,offline_max,ttft,1\n"
    assert [one.setup.model for one in read_measurements(table(text=f"{head}\n{rows}")).rows] == ["arch", "name"]


def test_quoted_commas_a_mark_of_utf_8_and_windows_lines(table: Table) -> None:
    text = "\ufeff" + HEADER.replace("id,", '"id",') + "\r\n"
    row = {**GOOD, "framework": '"vLLM 0.19, CUDA ""12"""'}
    one = only(read_measurements(table(text=text + ",".join(row.values()) + "\r\n\r\n,,,,,,,,,,,,,,\r\n")))
    assert one.setup.framework == 'vLLM 0.19, CUDA "12"' and one.line == 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"value": "-3"}, "value: '-3' is not a number above 0"),
        ({"value": "0"}, "value: '0' is not"),
        ({"value": "nan"}, "value: 'nan' is not"),
        ({"value": "1e999"}, "value: '1e999' is not"),
        ({"value": ""}, "value: '' is not"),
        ({"value": "9" * 400}, "value: '9999"),
        ({"unit": "minutes"}, "unit: 'minutes' is no time"),
        ({"tp": "1.5"}, "tp: 1.5 is not a whole number"),
        ({"n_gpus": "1e12"}, "n_gpus: 1e+12 is not a whole number below 10^9"),
        ({"isl": "1e10"}, "isl: 1e+10 is not below 10^9"),
        ({"pp": "two"}, "pp: 'two' is not a number"),
        ({"batch_or_concurrency": ""}, "batch_or_concurrency: '' is not"),
        ({"load_type": "request_rate"}, "request_rate: '' is not"),
    ],
)
def test_a_bad_cell_is_named_with_its_line(table: Table, row: dict[str, str], said: str) -> None:
    error = problem(table({}, row))
    assert said in error.message and len(error.message) < 120
    assert error.place is not None and (error.place.file or Path()).name == "table.csv" and error.place.line == 3


def test_ten_mistakes_at_most(table: Table) -> None:
    error = problem(table(*[{"value": "-1"}] * 30))
    assert isinstance(error, InputErrors) and len(error.errors) == 10


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("", "the file is empty", None),
        ("\n\n", "the file is empty", None),
        (HEADER.replace(",osl", "") + "\n", "the table has no column osl", 1),
        (HEADER.replace(",gpu", ",cards") + "\n", "the table has no column gpu", 1),
        (HEADER + ",value\n", "two columns are called value", 1),
        (HEADER + "\na,b\n", "the row has 2 cells, the header 15", 2),
        (HEADER + '\n"open,1\n', "quot", 2),
        (HEADER.encode() + b"\n\xff\xfe\n", "the file is not UTF-8 text", 2),
        (HEADER.encode("utf-16"), "the file is not UTF-8 text", 1),
        (HEADER.encode() + b"\na\0b\n", "a NUL byte", 2),
        ("x" * 2**21, "a line of more than", 1),
    ],
)
def test_a_bad_file(table: Table, text: str | bytes, said: str, line: int | None) -> None:
    error = problem(table(text=text))
    assert said in error.message and error.place is not None and error.place.line == line


def test_a_header_alone_has_no_rows(table: Table) -> None:
    assert read_measurements(table()).rows == []


def test_no_file_a_folder_another_ending(table: Table, tmp_path: Path) -> None:
    assert problem(tmp_path / "none.csv").message == "no such file"
    (tmp_path / "folder.csv").mkdir()
    assert "this is a folder" in problem(tmp_path / "folder.csv").message
    assert "that ends in '.txt' is not read" in problem(table({}, name="table.txt")).message


def test_a_million_rows_are_refused_in_time(table: Table) -> None:
    text = "model,gpu,n_gpus,tp,isl,osl,load_type,metric,value\n" + "m,g,1,1,9,9,offline_max,ttft,1\n" * 1_000_000
    path, started = table(text=text), time.process_time()
    error = problem(path)
    assert f"more than {MOST_ROWS:,} rows" in error.message and time.process_time() - started < 30
    assert error.place is not None and error.place.line == MOST_ROWS + 2


def test_a_larger_file_is_not_opened(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shardwise.models.reading.measurements.LARGEST_FILE", 100)
    assert "the file is larger than 100 bytes" in problem(table({})).message


@given(st.lists(st.lists(st.text(max_size=8), max_size=16), max_size=4))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("any") / "table.csv"
    path.write_text("\n".join([HEADER, *(",".join(row) for row in rows)]), encoding="utf-8", errors="replace")
    try:
        read_measurements(path)
    except InputError as error:
        assert str(error)
