"""Docstrings as Markdown: sections, lists of arguments, links to layers, and examples as programs."""

import ast
import doctest
import inspect
import io
import re
import tokenize
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import fnlayers as fl

TITLES = (
    *("Arguments", "Attributes", "Returns", "Raises", "Gradients"),
    *("Shapes", "Weights", "State", "Random", "Mask", "Reference", "References", "Example"),
)
_TITLE = re.compile(rf"({'|'.join(TITLES)}):(?: (.*))?")
_DIRECTIVE = re.compile(r"\s*# doctest: .*")
NOT_RUN = "# not run here"  # what a program says of a line that needs what the reader has
Link = Callable[[str], str | None]  # the address of what a name in backticks means, if it has a page


@dataclass(frozen=True)
class Docstring:
    """A docstring taken apart.

    Arguments:
        summary: its first paragraph.
        paragraphs: the others that have no title, joined by blank lines.
        sections: the text of each section by its title, without the indentation.
    """

    summary: str
    paragraphs: str
    sections: Mapping[str, str]


def read(documented: Any) -> Docstring:
    """The docstring of a class or function."""
    plain: list[str] = []
    sections: dict[str, list[str]] = {}
    section: list[str] = plain
    for line in inspect.cleandoc(documented.__doc__).splitlines():
        title = _TITLE.fullmatch(line)
        if title:
            section = sections.setdefault(title[1], [])
            section.append(title[2] or "")
        elif line.startswith("    ") or not line:
            section.append(line[4:] if section is not plain else line)
        else:
            if line.startswith(">>> "):  # examples without a title
                section = sections.setdefault("Example", [])
            elif section is not plain and section[-1] == "":
                plain.append("")
                section = plain
            section.append(line)
    summary, _, paragraphs = "\n".join(plain).strip().partition("\n\n")
    return Docstring(summary, paragraphs.strip(), {title: "\n".join(text).strip() for title, text in sections.items()})


def arguments(text: str) -> dict[str, str]:
    """What a section of arguments says, by the names as they stand there: one, or several with commas."""
    items: list[str] = []
    for line in text.splitlines():
        if line.startswith(" ") and items:
            items[-1] += " " + line.strip()
        elif line:
            items.append(line)
    return dict(tuple(item.split(": ", 1)) if ": " in item else (item, "") for item in items)


def prose(text: str, link: Link = lambda name: None) -> str:
    """Plain text as Markdown: what stands in backticks is code, and a link where it has a page; all else is text."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(_code(part[1:-1], link) if part.startswith("`") else _escaped(part) for part in parts)


def _code(name: str, link: Link) -> str:
    address = link(name)
    return f"[`{name}`]({address})" if address else f"`{name}`"


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\*_\[\]{}|])", r"\\\1", text)
    return re.sub(r"^(\s*)([#+-])(?=\S)", r"\1\\\2", text, flags=re.MULTILINE)


def argument_list(text: str, link: Link = lambda name: None) -> str:
    """A section of arguments, or of errors, as a list."""
    lines = []
    for names, meaning in arguments(text).items():
        shown = ", ".join(f"`{name.strip()}`" for name in names.split(","))
        lines.append(f"- {shown}: {prose(meaning, link)}" if meaning else f"- {prose(names, link)}")
    return "\n".join(lines) + "\n"


# Signatures


def signature(called: Any, shown_as: str, without: Collection[str] = ()) -> str:
    """How it is called, in one line where that is short, else with a line for each argument."""
    parts, keyword_only = [], False
    for parameter in inspect.signature(called).parameters.values():
        if parameter.name in without:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        if parameter.kind is parameter.VAR_POSITIONAL:
            keyword_only = True
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_shown(parameter.default)}"
        parts.append(f"{stars}{parameter.name}{default}")
    line = f"{shown_as}({', '.join(parts)})"
    return line if len(line) <= 88 else f"{shown_as}(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def _shown(default: Any) -> str:
    """A default as its name where it is a class or function: an address in memory says nothing."""
    if inspect.isclass(default) or inspect.isroutine(default):
        return default.__name__
    text = repr(default)
    return "..." if " at 0x" in text or "object object" in text else text


# Examples


def program(text: str, of: Any) -> str:
    """A doctest as a program that a reader can copy: values that it shows become comments, names get their `fl.`.

    Arguments:
        text: the section of the docstring.
        of: what the docstring belongs to. Names of its module that are not public in fnlayers are imported from there.
    """
    source = []
    for example in doctest.DocTestParser().get_examples(text):
        code, shown = _DIRECTIVE.sub("", example.source.rstrip("\n")), example.want.rstrip("\n")
        if example.options.get(doctest.SKIP):
            source.append(f"{code}  {NOT_RUN}")
        elif not shown:
            source.append(code)
        elif "\n" not in shown and "\n" not in code and len(code) + len(shown) < 84:
            source.append(f"{code}  # {shown}")
        else:
            source.extend([code, *(f"# {line}".rstrip() for line in shown.splitlines())])
    return completed("\n".join(source), of)


def completed(source: str, of: Any = None) -> str:
    """The program with `fl.` before public names, and with the imports that it lacks."""
    known = vars(inspect.getmodule(of)) if of is not None else {}
    assigned = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name) and _stored(node)}
    imported = {a.asname or a.name for node in ast.walk(ast.parse(source)) if _imports(node) for a in node.names}
    lines, own, before = source.splitlines(), set(), ""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    public: list[tuple[int, int]] = []
    for token, after in zip(tokens, tokens[1:], strict=False):
        name, alone = token.string, before not in (".", "import", "as", "def", "class")
        argument = after.string == "=" and before in ("(", ",")
        if token.type == tokenize.NAME and alone and not argument and name not in assigned | imported:
            if name in fl.__all__ and known.get(name, getattr(fl, name)) is getattr(fl, name):
                public.append(token.start)
            elif name in known and name not in ("jax", "jnp", "np", "optax", "fl"):
                own.add(name)
        before = name if token.type != tokenize.NL else before
    for row, column in reversed(public):
        lines[row - 1] = lines[row - 1][:column] + "fl." + lines[row - 1][column:]
    body = [line for line in lines if not re.match(r"import (jax|numpy|fnlayers|optax)\b", line)]
    text = "\n".join(body)
    heads = [
        ("jax", r"\bjax\."),
        ("jax.numpy as jnp", r"\bjnp\."),
        ("numpy as np", r"\bnp\."),
        ("optax", r"\boptax\."),
        ("fnlayers as fl", r"\bfl\."),
    ]
    needed = [head for head, used in heads if re.search(used, text)]
    first = [f"import {', '.join(needed)}"] if needed else []
    if own:
        first.append(f"from {known['__name__']} import {', '.join(sorted(own))}")
    return "\n".join([*first, "", *body] if first else body)


def _stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _imports(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)
