"""How Sphinx makes the site of this folder: `make docs`. Pages are Markdown that also reads well without it."""

import posixpath
import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]

project = "watchkeeper"
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser"]
exclude_patterns = ["generate/**"]
myst_heading_anchors = 4  # links to headings are written as on the forge, and a dead one is a warning

smartquotes = False  # --asset is an option, not a dash
highlight_language = "none"  # a block without a language is text

html_theme = "furo"
html_title = "watchkeeper"
html_static_path = ["_static"]
html_css_files = ["watchkeeper.css"]
html_copy_source = False
html_use_index = False
html_show_copyright = False

# Files at the root of the repository that are pages of the site as well: page -> file.
FROM_ROOT = {
    "explanation/architecture": "ARCHITECTURE.md",
    "how-to/contribute": "CONTRIBUTING.md",
    "reference/changelog": "CHANGELOG.md",
}
_LINK = re.compile(r"(?<=\]\()(?!https?:)([^)#\s]+)")


def _read_from_root(_app: Sphinx, page: str, source: list[str]) -> None:
    """Puts a root file's text in place of its page, and turns links to root files into links to their pages."""
    folder = posixpath.join("docs", posixpath.dirname(page))
    if page in FROM_ROOT:
        source[0] = (ROOT / FROM_ROOT[page]).read_text(encoding="utf-8")
    pages = {file: f"docs/{name}.md" for name, file in FROM_ROOT.items()}

    def lead(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("" if page in FROM_ROOT else folder, found[1]))
        return posixpath.relpath(pages.get(target, target), folder)

    source[0] = _LINK.sub(lead, source[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _read_from_root)
