"""The report in a real browser: it opens, can be used, and asks for nothing."""

import json
import re

import numpy as np
import pytest
from example_files import make_row, write_examples
from run_folders import write_run

from shapmix.reporting import load_run
from shapmix.reporting.report import write_report
from shapmix.reporting.report.confusion import confused_pairs

HOSTILE = (
    "<img src=x onerror=window.broken=1>",
    "</script><script>window.broken=1</script>",
    "\"quoted\" & 'single'",
    "<!-- <script>",
    "<a href='https://example.org'>link</a>",
    "${window.broken=1}",
    "{{ 7 * 7 }}",
)


@pytest.fixture(scope="module")
def report(three_runs, tmp_path_factory):
    return write_report(three_runs, tmp_path_factory.mktemp("page") / "report.html")


def rename_classes(folder, names):
    path = folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"class_names": list(names)}))
    return folder


def column(page, number):
    cells = f"#classes-table tbody tr:not([hidden]) > :nth-child({number})"
    return page.locator(cells).all_inner_texts()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_accessible(open_page, report, see_all, check_axe, width, dark):
    page = open_page(report, width, dark=dark)
    see_all(page)
    check_axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_every_picture_is_drawn(open_page, report, see_all, until):
    page = open_page(report)
    see_all(page)
    until(
        page,
        "[...document.querySelectorAll('.plot')].filter((e) => e.offsetParent)"
        ".every((e) => e.querySelector('svg.main-svg'))",
    )
    assert page.locator(".plot:visible").count() >= 5
    for plot in page.locator(".plot:visible").all():
        assert len(plot.get_attribute("aria-label")) > 30


def test_navigation(open_page, report, until):
    page = open_page(report)
    links = page.locator("nav a")
    titles = links.all_inner_texts()
    assert titles[0] == "Overview"
    assert page.locator("main h2").all_inner_texts() == titles
    links.filter(has_text="Reliability").click()
    until(page, "document.querySelector('nav a[aria-current]').textContent === 'Reliability'")
    assert 0 <= page.locator("#reliability").bounding_box()["y"] < 450


def test_sorting(open_page, report):
    page = open_page(report)
    counts = [int(text) for text in column(page, 2)]
    assert counts == sorted(counts, reverse=True)
    heading = page.locator("#classes-table th", has_text="Training clips")
    assert heading.get_attribute("aria-sort") == "descending"
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [int(text) for text in column(page, 2)] == sorted(counts)
    name = page.locator("#classes-table th", has_text="Class").first
    name.get_by_role("button").click()
    assert column(page, 1) == sorted(column(page, 1))
    assert heading.get_attribute("aria-sort") == "none"
    gain = page.locator("#classes-table th", has_text="Gain")
    gain.get_by_role("button").click()
    gains = [float(text.replace("−", "-")) for text in column(page, 5)]
    assert gains == sorted(gains, reverse=True)


def test_searching(open_page, report):
    page = open_page(report)
    page.get_by_label("Search").fill("FEW ju")
    assert column(page, 1) == ["jump"]
    assert page.locator("#classes-found").inner_text() == "1 of 7"
    page.get_by_label("Search").fill("")
    assert len(column(page, 1)) == 7


def test_gain_over_a_chosen_baseline(open_page, report):
    page = open_page(report)
    before = [float(text.replace("−", "-")) for text in column(page, 5)]
    names = page.locator("#classes-baseline").locator("option").all_inner_texts()
    page.locator("#classes-baseline").select_option(names[1])
    assert set(column(page, 5)) == {"0.0"}
    page.locator("#classes-method").select_option(names[0])
    after = [float(text.replace("−", "-")) for text in column(page, 5)]
    assert after == [-gain for gain in before]
    assert any(before)


def test_theme(open_page, report, until):
    page = open_page(report)
    button = page.get_by_role("button", name="Dark", exact=True)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#overview-bars").scroll_into_view_if_needed()
    page.locator("#overview-bars .xtick text").first.wait_for()
    ink = "getComputedStyle(document.querySelector('#overview-bars .xtick text')).fill"
    fill = page.evaluate(ink)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    until(page, f"{ink} !== '{fill}'")
    button.click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_dark_by_the_system(open_page, report):
    page = open_page(report, dark=True)
    button = page.get_by_role("button", name="Dark", exact=True)
    assert button.get_attribute("aria-pressed") == "true"


def test_tabs_by_keyboard(open_page, report):
    page = open_page(report)
    tabs = page.locator("#confusion [role=tab]")
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    assert tabs.nth(1).get_attribute("aria-selected") == "true"
    assert page.locator("#confusion-panel-1").is_visible()
    assert page.locator("#confusion-panel-0").is_hidden()
    page.keyboard.press("ArrowRight")
    assert tabs.first.get_attribute("aria-selected") == "true"


def test_zoom_into_the_confusion_matrix(open_page, report):
    page = open_page(report)
    panel = page.locator("#confusion-panel-0")
    panel.locator(".plot").scroll_into_view_if_needed()
    panel.locator("svg.main-svg").first.wait_for()
    shown = "document.querySelector('#confusion-panel-0 .plot').layout.xaxis.range"
    whole = page.evaluate(shown)
    assert whole == [-0.5, 6.5]
    panel.get_by_role("button", name="Zoom in").click()
    near = page.evaluate(shown)
    assert near[1] - near[0] < 7
    panel.get_by_role("button", name="Zoom in").press("ArrowRight")
    assert page.evaluate(shown)[0] > near[0]
    panel.get_by_role("button", name="Whole matrix").click()
    assert page.evaluate(shown) == whole
    panel.locator("select.confusion-class").select_option("wave")
    rows = page.evaluate("document.querySelector('#confusion-panel-0 .plot').data[0].z")
    place = 3  # by training clips
    for k, row in enumerate(rows):
        for j, value in enumerate(row):
            assert (value is None) == (k != place and j != place)


def test_two_clips_of_a_confused_pair(open_page, tmp_path):
    folder = write_run(tmp_path / "run", signal=0.5)
    run = load_run(folder)
    one, two = confused_pairs(np.array(run.last.test["confusion"]), most=2)
    rows = [
        make_row(0, label=one[0], predicted=one[1]),
        make_row(0, label=one[1], frames=4),
        make_row(1, label=two[0], predicted=two[1]),
    ]
    write_examples(folder, rows)
    page = open_page(write_report([folder], tmp_path / "report.html"))
    player = page.locator("#confused-0")
    for pair, clips in ((two, 1), (one, 2)):
        true, taken = (run.class_names[k] for k in pair[:2])
        page.get_by_role("button", name=f"Watch {true} beside {taken}").click()
        assert player.locator(".choice option:checked").inner_text() == f"{true} → {taken}"
        assert f"taken for {taken}" in player.inner_text()
        assert player.locator("canvas").count() == clips
    assert page.get_by_role("button", name="Watch").count() == 2


def test_the_command_is_copied(open_page, report, three_runs):
    page = open_page(report)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("button[data-copies='again-0']").click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"shapmix train --config {three_runs[0]}/config.yaml --out NEW_FOLDER"


def test_printing_draws_in_light(open_page, report, until):
    page = open_page(report, dark=True)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    until(page, "document.querySelectorAll('#reliability svg.main-svg').length > 0")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_hostile_names(open_page, see_all, check_axe, tmp_path):
    folders = [
        rename_classes(write_run(tmp_path / name, mixer=mixer, saliency=False), HOSTILE)
        for name, mixer in (("<img src=x onerror=window.broken=1>", "none"), ("b&b", "<b>mixer"))
    ]
    path = write_report(folders, tmp_path / "report.html")
    page = open_page(path)
    see_all(page)
    assert page.evaluate("window.broken") is None
    assert page.locator("main img, main a[href*='example.org']").count() == 0
    assert set(column(page, 1)) == set(HOSTILE)
    check_axe(page)


def test_many_classes_and_clips(open_page, see_all, tmp_path):
    K, n = 120, 50_000
    rng = np.random.default_rng(0)
    counts = [max(1, int(500 * 0.96**k)) for k in range(K)]
    folder = write_run(
        tmp_path / "large", counts=counts, labels=rng.integers(0, K, n), best=False, signal=1.5
    )
    rename_classes(folder, (f"class {k}" for k in range(K)))
    path = write_report([folder], tmp_path / "report.html")
    assert path.stat().st_size < 12e6
    page = open_page(path)  # returns when the page has loaded
    see_all(page)
    assert len(column(page, 1)) == K
    assert page.locator("#confusion .matrix svg.main-svg").count() > 0


def test_nothing_is_loaded(report):
    """No address is named where a browser would go and look, outside of plotly.js."""
    text = report.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert "default-src 'none'" in policy
    assert not re.search(r'<(script|link|img|iframe)[^>]+(src|href)="?http', text)
