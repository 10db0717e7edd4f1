"""The index of all studies: a row a study, and a page that filters configurations in a real browser, offline."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.records import Records
from bench.report.page.index import Entry, entry, write_index
from bench.study import SCALES
from tests.report.test_html import offline
from tests.support.report_records import FULL, LORAS, PROBE, RIVALS, keep, other_task, record, reference

pytestmark = pytest.mark.xdist_group("index")  # one worker: the page takes seconds to make

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies with their pages as far as the index reads them."""
    folder = tmp_path_factory.mktemp("results")
    for study, task in (("rank-sweep", "elpv"), ("low-data", "reviews")):
        place = folder / study / "laptop"
        keep(place, [PROBE, FULL, LORAS[0], LORAS[3], RIVALS[0]], **other_task(task, model=f"net of {task}"))
        Records(place).write(reference(0, 0.8, **other_task(task, model="none")))
        (place / "README.md").write_text(f"# {study}\n\n> Does <{study}> | matter?\n")
        (place / "figures").mkdir()
        for name in ("overview.png", "accuracy_vs_samples.png", "learning_curves.png"):
            (place / "figures" / name).write_bytes(b"")
    write_index(folder, [entry(runs.parent) for runs in sorted(folder.glob("*/*/runs"))])
    return folder


def test_a_row_has_question_answer_and_main_figure(results: Path) -> None:
    rows = [line for line in (results / "README.md").read_text().splitlines() if line.startswith("| [")]
    assert [row.split("]")[0] for row in rows] == ["| [low-data", "| [rank-sweep"]
    assert "Does <rank-sweep> \\| matter?" in rows[1]
    assert "elpv: LoRA r=8 has the highest mean, 0.852; " in rows[1]
    for row in rows:
        links = re.findall(r'\]\(([^)]+)\)|(?:href|src)="([^"]+)"', row)
        assert len(links) == 3 and all((results / (one or other)).is_file() for one, other in links)
    assert "accuracy_vs_samples.png" in rows[0]


def test_the_main_figure_is_the_one_that_is_named_like_the_study(tmp_path: Path) -> None:
    for study, name in (
        ("placement", "placements"),
        ("learning-rate", "learning_rate"),
        ("mine", "overview"),
        ("no", ""),
    ):
        folder = tmp_path / study / "laptop"
        (folder / "runs").mkdir(parents=True)
        (folder / "figures").mkdir()
        for stem in filter(None, {name, "pareto_fronts"}):
            (folder / "figures" / f"{stem}.png").write_bytes(b"")
        found = entry(folder)
        assert found.figure == (f"{study}/laptop/figures/{name}.png" if name else "")
        assert found.answer == ("Nothing can be concluded: no final run has a score.",)


def test_the_explorer_is_small_self_contained_and_again_the_same(results: Path) -> None:
    text = (results / "index.html").read_text()
    assert len(text) < 200_000 and "src=" not in text and "@import" not in text
    assert set(re.findall(r"https?://[^\"']+", text)) == {"http://www.w3.org/2000/svg"}, "a name, not an address"
    assert "Does &lt;rank-sweep&gt; | matter?" in text
    panels = json.loads(text.split('type="application/json">')[1].split("</script>")[0])
    assert [len(panel["points"]) for panel in panels] == [5, 5]
    before = text
    write_index(results, [entry(runs.parent) for runs in sorted(results.glob("*/*/runs"))])
    assert (results / "index.html").read_text() == before


@pytest.fixture(scope="module")
def browser(results: Path) -> Iterator[Any]:
    yield from offline(results / "index.html")


def shown(browser: Any) -> list[str]:
    """The configurations in the table."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#table tbody tr')].map(r => r.cells[2].textContent)"
    )


def choose(browser: Any, script: str) -> None:
    browser.execute_script(f"{script}; document.getElementById('filters').dispatchEvent(new Event('input'))")


def test_filters_by_task_model_method_and_budget(browser: Any) -> None:
    select = "document.getElementById('{}').value = '{}'"
    assert len(shown(browser)) == 10
    choose(browser, select.format("task", "elpv"))
    assert len(shown(browser)) == 5
    choose(browser, select.format("parameters", "60k"))
    assert sorted(shown(browser)) == ["BitFit", "LoRA r=1", "linear probe"]
    choose(browser, "document.querySelector('[value=LoRA]').checked = false")
    assert sorted(shown(browser)) == ["BitFit", "linear probe"]
    choose(browser, select.format("model", "net of reviews"))
    assert shown(browser) == [] and "0 of 10" in browser.execute_script(
        "return document.getElementById('count').textContent"
    )
    choose(browser, "document.getElementById('parameters').value = 'many'")
    assert browser.execute_script("return document.getElementById('parameters').matches('.wrong')")
    browser.execute_script("document.getElementById('filters').reset()")
    from selenium.webdriver.support.ui import WebDriverWait

    assert WebDriverWait(browser, 10).until(lambda _: len(shown(browser)) == 10)


def test_the_front_begins_with_what_trains_nothing(browser: Any) -> None:
    """0 parameters have a place left of the logarithmic axis, and are on the front."""
    first = "document.querySelector('.panel')"
    x = browser.execute_script(
        f"return [...{first}.querySelectorAll('.point')].map(p => "
        "[p.querySelector('title').textContent.split('\\n')[0], parseFloat(p.getAttribute('transform').slice(10))])"
    )
    places = dict(x)
    assert places["linear probe"] < places["LoRA r=1"] < places["LoRA r=8"] < places["full fine-tuning"]
    path = browser.execute_script(f"return {first}.querySelector('.front').getAttribute('d')")
    assert float(path[1:].split(" ")[0]) == pytest.approx(places["linear probe"])
    bold = browser.execute_script("return [...document.querySelectorAll('tr.front')].map(r => r.cells[2].textContent)")
    assert sorted(set(bold)) == ["BitFit", "LoRA r=1", "LoRA r=8", "linear probe"], "full costs more and is no better"


def test_a_click_on_a_heading_sorts_numbers_as_numbers(browser: Any) -> None:
    numbers = (
        "return [...document.querySelectorAll('#table tbody tr')].map(r => +r.cells[6].textContent.replaceAll(',', ''))"
    )
    for wanted in (sorted, lambda values: sorted(values, reverse=True)):
        browser.execute_script("document.querySelectorAll('#table th')[6].click()")
        found = browser.execute_script(numbers)
        assert found == list(wanted(found)) and max(found) == 21_589_632


def test_panels_link_to_pages_and_nothing_is_cut(browser: Any) -> None:
    links = browser.execute_script("return [...document.querySelectorAll('.panel a')].map(a => a.getAttribute('href'))")
    assert links == ["low-data/laptop/report.html", "rank-sweep/laptop/report.html"]
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "ERROR")] == []


def test_the_command_writes_the_index_of_all_studies_even_for_one(tmp_path: Path) -> None:
    for study in ("one", "other"):
        Records(tmp_path / study / "smoke").write(record(PROBE, 0))
    done = CliRunner().invoke(app, ["figures", "one", "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "README.md").read_text()
    assert "[one]" in page and "[other]" in page and (tmp_path / "index.html").is_file()
    assert not (tmp_path / "other" / "smoke" / "README.md").exists()


def test_only_records_tables_pages_and_png_are_committed() -> None:
    listed = subprocess.run(["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode or not listed.stdout:
        pytest.skip("not in a git repository")
    kept = r"results/(README\.md|[^/]+/[^/]+/(README\.md|table\.csv|runs/[^/]+\.json|pictures/.+|figures/[^/]+\.png))"
    memory = {"results/costs/published/estimates.json", "results/costs/activations/activations.json"}
    made = memory | {f"results/claims/{scale}/claims.png" for scale in SCALES}
    assert [path for path in listed.stdout.splitlines() if not re.fullmatch(kept, path) and path not in made] == []


def test_an_entry_without_a_figure_has_an_empty_cell(tmp_path: Path) -> None:
    write_index(tmp_path, [Entry("new", "smoke", "", ("Nothing yet.",), "")])
    assert "| [new](new/smoke/README.md)<br>smoke |  | Nothing yet. |  |" in (tmp_path / "README.md").read_text()
