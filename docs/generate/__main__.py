"""Writes every generated page of docs/reference anew, and says which of them changed."""

from docs.generate.pages import FOLDER, PAGES


def main() -> None:
    """Run by `make reference`."""
    for name, write in PAGES.items():
        path, text = FOLDER / name, write()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(FOLDER.parents[1])} is new")


if __name__ == "__main__":
    main()
