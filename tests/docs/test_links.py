"""No link between the pages of the repository leads nowhere: files and headings, on the forge and on the site."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCED = re.compile(r"^```.*?^```$", flags=re.MULTILINE | re.DOTALL)


def _links(page: Path) -> Iterator[str]:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    yield from (each for each in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in each)


def _headings(page: Path) -> set[str]:
    """The anchors of a page, as the forge and the site make them of its headings."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    """Each names a file that exists, and a heading that the file has."""
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in _headings(target), link


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    line = re.search(r"-m sphinx (.+) docs site$", makefile, flags=re.MULTILINE)
    assert line is not None
    doctrees = ["--doctree-dir", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *line[1].split(), *doctrees, str(ROOT / "docs"), str(folder / "site")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "site"


def test_the_site_has_every_page_within_reach(site: Path) -> None:
    """Each Markdown page became one of the site, and its contents at the side lead to it."""
    front = (site / "index.html").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if not (site / page).exists()] == []
    assert [str(page) for page in pages if f'href="{page}"' not in front and page.stem != "index"] == []


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    """No script, style, font or picture comes from another host: the site works where there is no network."""
    foreign = re.compile(r"""(?:<script[^>]+src|<link[^>]+href|<img[^>]+src)=["'](?:https?:)?//[^"']+""")
    fetched = {hit for page in site.rglob("*.html") for hit in foreign.findall(page.read_text(encoding="utf-8"))}
    sheets = [style.read_text(encoding="utf-8") for style in site.rglob("*.css")]
    styles = {hit for sheet in sheets for hit in re.findall(r"url\(\s*[\"']?(?:https?:)?//|@import", sheet)}
    assert fetched | styles == set()
