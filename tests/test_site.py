"""The documentation site: it builds without a warning, fetches nothing, and lacks nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module

import pytest

import shapmix
from documents import PAGES, ROOT

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
ROOMS = ("layouts", "losses", "metrics", "mixing", "models")


class Page(HTMLParser):
    """The ids of a page, and what a browser loads to show it."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.fetched = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "id" in found:
            self.ids.add(found["id"])
        if FETCHED.get(tag) in found and found.get("rel") not in ("canonical", "prev", "next"):
            self.fetched.add(found[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_page_is_there(site, pages):
    for page in PAGES:
        if page.is_relative_to(ROOT / "docs"):
            html = page.relative_to(ROOT / "docs").with_suffix(".html")
            assert site / html in pages
    assert not list(site.rglob("*.py"))


def test_nothing_is_fetched_from_elsewhere(site, pages):
    for path, page in pages.items():
        for target in page.fetched:
            assert not re.match(r"(\w+:)?//", target), f"{path.name} loads {target}"
            if not target.startswith("data:"):
                file = target.partition("?")[0].partition("#")[0]
                base = site if file.startswith("/") else path.parent  # 404.html is for a server
                assert (base / file.lstrip("/")).is_file(), f"{path.name}: no {target}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(.?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_formulas_are_drawn(site):
    card = (site / "methods" / "shapmix.html").read_text(encoding="utf-8")
    assert '<svg class="formula" role="img" aria-label="\\phi_k' in card
    assert "$$" not in card


def test_every_public_name_is_described(pages):
    ids = set().union(*(page.ids for page in pages.values()))
    homes = {f"{home}.{name}" for name, home in shapmix._HOME.items()}
    for room in ROOMS:
        module = import_module(f"shapmix.{room}")
        homes |= {f"{module.__name__}.{name}" for name in module.__all__ if not name.isupper()}
    assert homes - ids == set()


def test_search_knows_the_pages(site):
    text = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("var __index = "))
    assert any("Balanced softmax" in entry["title"] for entry in index["docs"])
    assert {entry["location"].partition("#")[0] for entry in index["docs"]} >= {"faq.html"}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on this machine")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


def test_search_works_from_disk(site, browser):
    """Without a server: from typing a word to the page that has it, and nothing goes wrong."""
    page = browser.new_page()
    trouble, asked = [], []
    page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "index.html").as_uri())
    page.click(".md-search__input")
    page.keyboard.type("influence-balanced")
    page.click(".md-search-result__link")
    page.wait_for_url("**/*losses.html*")
    assert page.inner_text("h1").startswith("Losses")
    page.close()
    assert trouble == []
    assert [url for url in asked if not re.match(r"file:|data:|about:|blob:", url)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "name"), [(1280, "methods/shapmix"), (390, "api/models")])
def test_everybody_can_read_it(site, browser, width, name, scheme):
    """On a phone and on a desk: nothing is cut off, and axe finds nothing serious."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    page.goto((site / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.run(page).response["violations"]
    page.close()
    assert [v["help"] for v in found if v["impact"] in ("serious", "critical")] == []


def anchors(page):
    """The ids that headings of a Markdown page get."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Within the repository, as it is read without the site; headings included."""
    for target in (a or b for a, b in LINK.findall(page.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target}: no {file}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{target}: no such heading"
