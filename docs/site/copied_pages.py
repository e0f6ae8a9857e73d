"""What stands in the repository as pages of the site: README, docs/*.md, programs, notebooks. Links follow them."""

import ast
import json
import pathlib
import posixpath
import re
from collections.abc import Iterator

from places import ROOT

_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(#[^)\s]*)?(?=\))")
_COMMENT = re.compile(r"^<!--.*-->\n", re.MULTILINE)
TUTORIAL = "examples/tutorial"


def site_path(path: str) -> str:
    """Where a file or folder of the repository is on the site."""
    special = {
        "README.md": "index.md",
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
        "SECURITY.md": "reporting.md",
        "examples": "examples/index.md",
        "examples/models": "examples/index.md#models",
        "examples/tutorial/README.md": "examples/tutorial/index.md",
    }
    if path in special:
        return special[path]
    folder, _, name = path.rpartition("/")
    stem, _, extension = name.rpartition(".")
    if extension in ("py", "ipynb") and folder.startswith(("examples", "notebooks")):
        return f"{folder}/{stem}.md"
    if folder.startswith("docs") and (ROOT / path).is_file():
        return path.removeprefix("docs/")
    raise KeyError(f"{path} is linked to, but is no page of the site (docs/site/copied_pages.py)")


def moved(text: str, path: str) -> str:
    """The text of a file of the repository, with the links that it has on the site."""
    here = posixpath.dirname(site_path(path))

    def follow(link: re.Match) -> str:
        address, anchor = link[1], link[2] or ""
        if "://" in address:
            return link[0]
        target = site_path(posixpath.normpath(posixpath.join(posixpath.dirname(path), address)))
        return posixpath.relpath(target, here or ".") + ("" if "#" in target else anchor)

    parts = re.split(r"(^```.*?^```|`[^`\n]+`)", text, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [_LINK.sub(follow, part) for part in parts[::2]]
    return "".join(parts)


def pages() -> Iterator[tuple[str, str]]:
    """The path and the text of each page."""
    files = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", f"{TUTORIAL}/README.md"]
    files += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))]
    for path in files:
        text = _COMMENT.sub("", (ROOT / path).read_text(encoding="utf8"))
        if path == f"{TUTORIAL}/README.md":
            text = re.sub(r"`(\d\d_\w+)\.py`", r"[\1](\1.md)", text)
            text = re.sub(r"\]\((\d\d_\w+)\.md\)", r"](\1.py)", text)
        yield site_path(path), moved(text, path)
    for program in programs():
        path = program.relative_to(ROOT).as_posix()
        yield site_path(path), _program_page(program, path)
    for notebook in notebooks():
        path = notebook.relative_to(ROOT).as_posix()
        yield site_path(path), moved(_notebook_page(notebook), path)
    yield "examples/index.md", _index()


def programs() -> list[pathlib.Path]:
    """The programs in examples/, those of the tutorial last."""
    folders = ("examples", "examples/models", TUTORIAL)
    return [path for folder in folders for path in sorted((ROOT / folder).glob("*.py")) if path.stem != "__init__"]


def notebooks() -> list[pathlib.Path]:
    """The notebooks."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def tutorial() -> list[pathlib.Path]:
    """The programs of the tutorial, in order."""
    return [path for path in programs() if path.parent.name == "tutorial"]


def title(path: pathlib.Path) -> str:
    """07_convolution.py is shown as 07 convolution."""
    return path.stem.replace("_", " ")


def _docstring(program: pathlib.Path) -> str:
    return ast.get_docstring(ast.parse(program.read_text(encoding="utf8"))) or ""


def _program_page(program: pathlib.Path, path: str) -> str:
    source = program.read_text(encoding="utf8")
    return f"# {title(program)}\n\n`python {path}`\n\n```python\n{source.rstrip()}\n```\n"


def _notebook_page(notebook: pathlib.Path) -> str:
    parts = []
    for block in json.loads(notebook.read_text(encoding="utf8"))["cells"]:
        text = "".join(block["source"])
        parts.append(text if block["cell_type"] == "markdown" else f"```python\n{text}\n```")
    text = "\n\n".join(parts)
    # The badge is a picture of another host: a link in words instead
    return re.sub(r"\[!\[Open in Colab\]\([^)]*\)\]", "[Open in Colab]", text) + "\n"


def _index() -> str:
    """The table of all programs."""
    lines = ["# Programs", "", "Each runs by itself; the first lines of each say what it does.", ""]
    headings = {"examples": "Jobs", "examples/models": "Models", TUTORIAL: "Tutorial"}
    for folder, heading in headings.items():
        lines += [f"## {heading}", ""]
        for program in programs():
            if program.parent == ROOT / folder:
                target = posixpath.relpath(site_path(program.relative_to(ROOT).as_posix()), "examples")
                first = " ".join(_docstring(program).split("\n\n")[0].split())
                lines.append(f"- [{title(program)}]({target}): {first}")
        lines.append("")
    return "\n".join(lines)
