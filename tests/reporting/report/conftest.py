"""A browser for the report: the system's Chromium, or the tests that need it are skipped."""

import json
import shutil
from pathlib import Path

import axe_playwright_python
import pytest
from run_folders import write_run

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    if not CHROMIUM:
        pytest.skip("no Chromium on the path: install one to test the report in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open a file: `open_page(path, width=1280, dark=False)`, a page of playwright.

    Errors of scripts and of the console are in `page.errors`, requests that leave the file in
    `page.requests`; after the test there must be none.
    """
    contexts, pages = [], []

    def open_(path, width=1280, *, dark=False):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            has_touch=width < 600,
        )
        contexts.append(context)
        page = context.new_page()
        page.errors, page.requests = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                page.errors.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        page.on(
            "request",
            lambda request: (
                page.requests.append(request.url)
                if not request.url.startswith(("file:", "data:", "blob:"))
                else None
            ),
        )
        pages.append(page)
        page.goto(Path(path).resolve().as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    for page in pages:
        assert page.errors == []
        assert page.requests == []


@pytest.fixture
def until():
    """Wait for a JavaScript expression in an open page.

    The page's policy forbids `eval`, and with it `wait_for_function`, which fails unless the
    expression holds at once.
    """

    def wait(page, expression):
        for _ in range(400):
            if page.evaluate(expression):
                return
            page.wait_for_timeout(25)
        raise AssertionError(f"not in ten seconds: {expression}")

    return wait


@pytest.fixture
def check_axe():
    """Assert that axe finds nothing serious or critical in an open page."""

    def check(page):
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        bad = [
            (each["id"], each["impact"], [node["html"][:200] for node in each["nodes"][:3]])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert bad == [], json.dumps(bad, indent=1)

    return check


@pytest.fixture
def see_all():
    """Scroll through an open page, so that everything that waits to be seen is drawn."""

    def scroll(page):
        height = page.evaluate("document.documentElement.scrollHeight")
        for top in range(0, height, 600):
            page.evaluate(f"window.scrollTo(0, {top})")
            page.evaluate(
                "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))"
            )
        page.evaluate("window.scrollTo(0, 0)")

    return scroll


@pytest.fixture(scope="module")
def three_runs(tmp_path_factory):
    """Folders of a baseline and of two seeds of another method."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        write_run(folder / "baseline", signal=1.5, mixer="none", loss="ce"),
        write_run(folder / "mix-0", signal=2.5),
        write_run(folder / "mix-1", signal=2.5, seed=1),
    ]
