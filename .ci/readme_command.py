"""Print a command of the README: the code block that follows `<!-- command: NAME -->`."""

import pathlib
import re
import sys

text = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
match = re.search(rf"<!-- command: {re.escape(sys.argv[1])} -->\s*```\w*\n(.*?)\n```", text, re.DOTALL)
sys.exit(f"README.md has no command {sys.argv[1]!r}") if match is None else print(match[1])
