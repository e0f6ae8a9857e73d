"""Write the site: python docs/site/build.py (extra `docs`) puts it into build/site/html.

The pages are made from the layers' classes and from what stands in the repository, so none of them is committed. A
link to a page or heading that is not there ends the build.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import activation_pages
import copied_pages
import layer_pages
import reference_pages
import yaml
from places import HERE, ROOT


def pages() -> Iterator[tuple[str, str]]:
    """The path and the Markdown of every page."""
    yield from copied_pages.pages()
    yield from layer_pages.pages()
    yield activation_pages.PATH, activation_pages.page()
    yield from reference_pages.pages()


def navigation(entries: list[Any]) -> list[Any]:
    """The menu of site.yml, with the parts that are made here in place of their names in capitals."""
    shown = {
        copied_pages.title(p): copied_pages.site_path(p.relative_to(ROOT).as_posix()) for p in copied_pages.programs()
    }
    lessons = {copied_pages.title(program) for program in copied_pages.tutorial()}
    parts = {
        "TUTORIAL": ["examples/tutorial/index.md", *({name: path} for name, path in shown.items() if name in lessons)],
        "PROGRAMS": ["examples/index.md", *({name: path} for name, path in shown.items() if name not in lessons)],
        "NOTEBOOKS": [
            {copied_pages.title(p): f"notebooks/{p.stem}.md"}
            for p in copied_pages.notebooks()
            if p.stem != "quickstart"  # the tour
        ],
        "LAYERS": layer_pages.navigation(),
        "REFERENCE": reference_pages.navigation(),
    }

    def filled(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {title: filled(value) for title, value in entry.items()}
        if isinstance(entry, list):
            return [filled(value) for value in entry]
        return parts.get(entry, entry)

    return filled(entries)


def write(folder: pathlib.Path) -> pathlib.Path:
    """Write the pages and the settings into an empty folder, and return the path of the settings."""
    shutil.rmtree(folder, ignore_errors=True)
    sources = folder / "pages"
    for path, text in pages():
        (sources / path).parent.mkdir(parents=True, exist_ok=True)
        (sources / path).write_text(text, encoding="utf8")
    shutil.copytree(ROOT / "docs" / "images", sources / "images")
    style = (HERE / "style.css").read_text(encoding="utf8") + activation_pages.dark_style()
    (sources / "style.css").write_text(style, encoding="utf8")
    settings = yaml.safe_load((HERE / "site.yml").read_text(encoding="utf8"))
    settings |= {"docs_dir": "pages", "site_dir": "html", "nav": navigation(settings["nav"])}
    config = folder / "mkdocs.yml"
    config.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf8")
    return config


def main() -> None:
    """Write the pages, then the site from them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "site", help="the folder to write to")
    out = parser.parse_args().out.resolve()
    config = write(out)
    zensical = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(config)]
    subprocess.run(zensical, check=True)
    print(out / "html" / "index.html")


if __name__ == "__main__":
    main()
