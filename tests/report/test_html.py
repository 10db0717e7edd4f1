"""The page in a real browser, from disk and without network: no error, tables that sort, tooltips that show."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.report import redraw
from tests.support.report_records import FULL, LORAS, PROBE, RIVALS, keep

pytestmark = pytest.mark.xdist_group("html")  # one worker: the page takes seconds to make

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study's page."""
    folder = tmp_path_factory.mktemp("results") / "rank-sweep" / "laptop"
    keep(folder, [PROBE, FULL, LORAS[3], RIVALS[0]])
    redraw(folder, question="Does <rank> matter?")
    return folder / "report.html"


def offline(page: Path) -> Iterator[Any]:
    """Headless Chromium that reaches no host, with the page open."""
    if not CHROMIUM or not DRIVER:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,1600",
    ):
        options.add_argument(flag)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_network_conditions(offline=True, latency=0, throughput=0)
    driver.get(page.as_uri())
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Any]:
    yield from offline(page)


def waited(browser: Any, script: str) -> Any:
    """What a script returns, as soon as that is something."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30).until(lambda driver: driver.execute_script(script))


def test_nothing_is_fetched_from_elsewhere(page: Path) -> None:
    text = page.read_text()
    body = text[text.index("<body>") :]
    assert "Does &lt;rank&gt; matter?" in body
    assert 'src="http' not in text.replace('src="https://itables', "")
    assert len(text) < 12_000_000


def test_tables_sort_and_filter(browser: Any) -> None:
    from selenium.webdriver.common.by import By

    scores = "return [...document.querySelectorAll('#results tbody tr')].map(r => parseFloat(r.cells[2].textContent))"
    before = waited(browser, f"{scores}.filter(s => s > 0)")
    assert len(before) == 4
    head = browser.find_element(By.XPATH, "//table[@id='results']/thead//th[.//span[.='score']]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", head)
    for wanted in (sorted(before), sorted(before, reverse=True)):
        head.click()
        assert waited(browser, f"return (() => {{{scores}}})().join() == '{','.join(map(str, wanted))}'")
    search = browser.find_element(By.CSS_SELECTOR, "input[type=search]")
    search.send_keys("BitFit")
    assert waited(browser, f"{scores.replace('return', 'const s =')}; return s.length == 1 ? s : null") == [
        pytest.approx(0.847, abs=1e-3)
    ]


def test_a_tooltip_tells_what_is_known_of_a_point(browser: Any) -> None:
    from selenium.webdriver import ActionChains

    place = (
        "const d = document.getElementById('scatter-0'); if (!d || !d._fullLayout) return null;"
        "d.scrollIntoView({block: 'center'}); const b = d.getBoundingClientRect(), l = d._fullLayout;"
        "const c = d.calcdata[d.data.findIndex(t => t.name == 'BitFit')][0];"
        "return [b.x + l.xaxis._offset + l.xaxis.c2p(c.x), b.y + l.yaxis._offset + l.yaxis.c2p(c.y)]"
    )
    x, y = waited(browser, place)
    hover = ActionChains(browser)
    hover.w3c_actions.pointer_action.move_to_location(int(x) - 40, int(y) - 40)
    hover.w3c_actions.pointer_action.move_to_location(round(x), round(y))
    hover.perform()
    said = waited(browser, "const h = document.querySelector('.hoverlayer text'); return h && h.textContent")
    assert "BitFit" in said
    assert "51,456 backbone parameters" in said


def test_no_console_error(browser: Any) -> None:
    waited(browser, "return document.querySelector('#differences.dataTable') && 1")
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "ERROR")] == []


def test_nothing_is_cut_and_nothing_says_none(browser: Any) -> None:
    """At 1,280 px a table fits, or scrolls within itself."""
    waited(browser, "return document.querySelector('#differences.dataTable') && 1")
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    cells = browser.execute_script("return [...document.querySelectorAll('table td')].map(c => c.textContent)")
    assert not {"None", "nan", "NaN", "null"} & set(cells)
    assert "21,589,632" in cells
    clear = (
        "return [...document.querySelectorAll('.wide table')].every("
        "t => t.offsetWidth <= t.closest('.wide').clientWidth)"
    )
    assert browser.execute_script(clear)


def test_what_trains_nothing_has_a_place_on_the_axis_and_on_the_front(browser: Any) -> None:
    place = (
        "const d = document.getElementById('scatter-0'); if (!d || !d._fullLayout) return null;"
        "const of = name => d.data.find(t => t.name == name);"
        "return [of('linear probe').x[0], of('LoRA').x[0], of('Pareto front').x[0], d._fullLayout.xaxis.ticktext[0]]"
    )
    zero, least, front, tick = waited(browser, place)
    assert 0 < zero < least and front == zero and tick == "0"
