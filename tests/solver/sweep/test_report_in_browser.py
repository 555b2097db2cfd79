"""The report in a real browser: loads without errors or a network, filters filter, numbers are the store's."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from shardwise.models import ScenarioFile
from shardwise.solver import solve
from shardwise.solver.report.build import report
from shardwise.solver.sweep.row import Row, row_of

pytest.importorskip("plotly", reason="an extra: pip install -e '.[report]'")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
SCENARIO = Path(__file__).parents[3] / "scenarios" / "llama-3.1-8b-h100-1.yaml"


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    plan = solve(ScenarioFile.read(SCENARIO).scenario, alternatives=0, readings=False)
    one = row_of("one", {"hardware.gpus": 1, "model": "</script><b>x"}, plan, 0.1)
    why = "at most 1 GPUs: it needs two\nand another"
    return [one, Row("two", "infeasible", {"hardware.gpus": 2, "model": "m"}, binding="a.b + c.d; e.f", why=why)]


@pytest.fixture(scope="module")
def page(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(report(rows, "Sweep <one>", "two & more"), encoding="utf-8")
    return file


def shown(page: Path, hash: str = "") -> tuple[str, str]:
    """(the page as it stands after its script ran, what the console said)."""
    assert BROWSER is not None
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--virtual-time-budget=5000",
    ]
    address = f"{page.as_uri()}{hash}"
    done = subprocess.run(
        [BROWSER, *options, "--dump-dom", address], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if ":CONSOLE" in line)


def body(text: str) -> list[list[str]]:
    inside = re.search(r"<tbody>(.*?)</tbody>", text, re.DOTALL)
    assert inside is not None
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in inside[1].split("</tr>") if "<td" in row]
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in row] for row in cells]


def test_it_loads_and_shows_the_stores_numbers(page: Path, rows: list[Row]) -> None:
    text, console = shown(page)
    assert console == ""
    assert "data-ready=" in text
    assert "Sweep &lt;one&gt;" in text
    table = body(text)
    assert len(table) == 2
    assert table[0][:4] == ["1", "</script><b>x", "optimal", "TP1"]
    assert rows[0].ttft is not None
    assert f"{rows[0].ttft:.4g}".rstrip("0") in [cell.rstrip("0") for cell in table[0]]
    assert "a.b + c.d; e.f" in table[1]
    assert text.count('class="js-plotly-plot') >= 1 or text.count("js-plotly-plot") >= 3


@pytest.mark.parametrize(
    ("words", "left"),
    [("infeasible", ["2"]), ("TP1", ["1"]), ("nothing%20at%20all", []), ("100%", [])],
)
def test_filters_filter(page: Path, words: str, left: list[str]) -> None:
    text, console = shown(page, f"#contains={words}")
    assert console == ""
    inside = body(text) if "<td" in text else []
    assert [row[0] for row in inside] == left


def test_a_plan_has_a_picture(page: Path) -> None:
    text, console = shown(page, "#plan=one")
    assert console == ""
    assert re.search(r"GPU 0 · engine 0.*layers 0–31, heads 0–31", text, re.DOTALL)


def test_what_is_infeasible_has_a_page_that_says_why(page: Path) -> None:
    text, console = shown(page, "#plan=two")
    assert console == ""
    assert "<h2>Why there is no plan</h2><p>at most 1 GPUs: it needs two</p><p>and another</p>" in text
    assert '<a href="#plan=two">infeasible</a>' in shown(page)[0]


def test_an_address_that_somebody_mistyped(page: Path) -> None:
    text, console = shown(page, "#plan=%zz")
    assert console == ""
    assert len(body(text)) == 2


def test_keyboards_and_readers(page: Path, tmp_path: Path) -> None:
    """Sorting draws the heading anew: the focus must stay on it."""
    click = "document.querySelector('[data-sort=ttft]').click(); document.body.dataset.focus = document.activeElement"
    file = tmp_path / "clicked.html"
    text = page.read_text(encoding="utf-8").replace("</body>", f"<script>{click}.dataset.sort</script></body>")
    file.write_text(text, encoding="utf-8")
    after, console = shown(file)
    assert console == ""
    assert 'data-focus="ttft"' in after
    assert 'aria-sort="ascending"' in after
    assert '<th scope="col"' in after
    assert '<div class="scroll" tabindex="0"' in after


def test_no_point_is_left_out_of_the_plots(rows: list[Row], tmp_path: Path) -> None:
    """More groups than colours; one axis alone has no map; memory has its limit."""
    many = [replace(rows[0], key=str(i), changes={"model": f"m{i}"}) for i in range(30)]
    file = tmp_path / "many.html"
    file.write_text(report(many, "many", ""), encoding="utf-8")
    text, console = shown(file)
    assert console == ""
    assert "other (21 values)" in text
    assert ">usable<" in text
    assert re.search(r'<div class="plot[^"]*" id="heat" hidden', text)
    assert re.search(r'<span id="heat-controls" hidden', text)
    numbers = [replace(rows[0], key=str(i), changes={"hardware.gpus": i + 1}) for i in range(30)]
    file.write_text(report(numbers, "many", ""), encoding="utf-8")
    assert not re.search(r"other \(\d", shown(file)[0])


def test_factors_without_x1(rows: list[Row], tmp_path: Path) -> None:
    file = tmp_path / "factors.html"
    points = [replace(rows[0], key=x, changes={"efficiency.mfu": x}) for x in ("x0.8", "x1.2")]
    file.write_text(report(points, "factors", ""), encoding="utf-8")
    assert "efficiency.mfu: no factor is x1" in re.sub(r"<script.*?</script>", "", shown(file)[0], flags=re.DOTALL)


def test_no_network(page: Path) -> None:
    """The policy in the page forbids it, whatever the plotting library would like."""
    assert "default-src 'none'" in page.read_text(encoding="utf-8")[:2000]


def test_plots_name_what_else_is_varied(rows: list[Row], tmp_path: Path) -> None:
    """Two cells over gpus and load, each the better of two models: the title says so, hovers name the model."""
    some = []
    for load in (1, 2):
        for model, rate in (("m", 5.0), ("n", 9.0)):
            changes = {"gpus": 1, "load": load, "model": model}
            some.append(replace(rows[0], key=f"{load}{model}", changes=changes, tokens_per_s_per_gpu=rate))
    look = "<script>document.body.append(JSON.stringify([heat.data[1].customdata, memory.data[0].customdata]))</script>"
    file = tmp_path / "r.html"
    file.write_text(report(some, "a", "b").replace("</body>", f"{look}</body>"), encoding="utf-8")
    text, console = shown(file)
    assert console == ""
    text = html.unescape(text)
    assert "Best strategy by tokens per s per gpu, the best over model (hover names it)" in text
    assert '[[["<br>model n"],["<br>model n"]],' in text
    assert '"<br>gpus 1<br>load 1<br>model m"' in text
    file.write_text(report(some[::2], "a", "b"), encoding="utf-8")
    assert "the best over" not in re.sub(r"<script.*?</script>", "", shown(file)[0], flags=re.DOTALL)
