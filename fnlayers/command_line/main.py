"""The arguments of the command line, and what becomes of errors."""

import argparse
import sys
from collections.abc import Sequence

from fnlayers.command_line.convert import READERS, WRITERS, convert
from fnlayers.command_line.inspect import inspect
from fnlayers.command_line.versions import versions
from fnlayers.command_line.view import view

EPILOG = f"""convert reads {", ".join(READERS)} and writes {", ".join(WRITERS)}.
Files are data: nothing that they name is imported, called or opened. A file that needs classes or functions of yours is
read in Python, where these are given: fnlayers.load(path, layers=[...]), fnlayers.load_keras(path)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status: 0, or 2 after one line on stderr that says what is wrong."""
    options = _parser().parse_args(arguments)
    try:
        print(_answer(options))
    except BrokenPipeError:  # of `... | head`
        sys.stderr.close()
    except (ValueError, OSError) as error:  # all errors of ours are ValueErrors
        print(f"fnlayers: {_line(error)}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fnlayers",
        description="Without a command: the versions of what is installed, and the devices.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    shown = commands.add_parser(
        "inspect", help="the layers, shapes and counts of a model's file; no weights are loaded"
    )
    shown.add_argument("file", help="a .keras, .h5, .weights.h5, .safetensors, .exported or .pt file")
    shown.add_argument("--key", help="of the dict of tensors, in a checkpoint of PyTorch that holds more")
    subparser = commands.add_parser("convert", help="write a model's file in another format")
    subparser.add_argument("input", help="told by its first bytes, whatever its name")
    subparser.add_argument("output", help="the ending says which format")
    subparser.add_argument("--force", action="store_true", help="replace a file that is there")
    subparser = commands.add_parser("view", help="a model's layers, weights and outputs on a page in the browser")
    subparser.add_argument("file", help="a .keras, .h5 or .safetensors file, told by its first bytes")
    subparser.add_argument("--input", metavar="FILE", help="an .npy, .npz or image file that the model is run on first")
    subparser.add_argument("--port", type=int, default=0, help="of the page, on this machine alone; 0: any free one")
    subparser.add_argument("--no-browser", action="store_true", help="print the page's address only")
    return parser


def _answer(options: argparse.Namespace) -> str:
    if options.command == "inspect":
        return inspect(options.file, key=options.key)
    if options.command == "convert":
        return convert(options.input, options.output, force=options.force)
    if options.command == "view":
        return view(options.file, input_path=options.input, port=options.port, browser=not options.no_browser)
    return versions()


def _line(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text, notes = " ".join(str(error).split()), getattr(error, "__notes__", [])  # such as: in model.keras
    return " ".join([text, *(f"({note})" for note in notes if note.removeprefix("in ") not in text)])
