"""Draw the README's pictures again: docs/images holds what the README's own programs write."""

import contextlib
import pathlib
import re
import shutil
import tempfile
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"


def run_readme(folder: pathlib.Path) -> dict[str, Any]:
    """Run the README's programs in that folder, one after the other, and return the names that they leave."""
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf8"), re.DOTALL)
    names: dict[str, Any] = {}
    with contextlib.chdir(folder):
        for program in programs:
            exec(compile(program, "README.md", "exec"), names)
    return names


def main() -> None:
    """Replace every picture in docs/images by the one of the same name."""
    with tempfile.TemporaryDirectory() as folder:
        run_readme(pathlib.Path(folder))
        for image in IMAGES.iterdir():
            shutil.copy(pathlib.Path(folder) / image.name, image)


if __name__ == "__main__":
    main()
