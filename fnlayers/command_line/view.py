"""A model's file as a page in the browser, until Ctrl+C."""

from pathlib import Path

from fnlayers.command_line.convert import read
from fnlayers.core.errors import ConfigError
from fnlayers.show.live.described import Described
from fnlayers.show.live.files import LIMIT
from fnlayers.show.live.server import FirstInput
from fnlayers.show.live.view import serve


def view(path: str, *, input_path: str | None = None, port: int = 0, browser: bool = True) -> str:
    """Serve the page of a file's model, and print where; returns what there is to say after Ctrl+C.

    Arguments:
        path: told by its first bytes, whatever its name.
        input_path: of an .npy, .npz or image file that the model is run on first.
        port: of the page; 0: any that is free.
        browser: whether to open it.
    """
    start = None if input_path is None else _first_input(Path(input_path))
    model, params, state, shape = read(Path(path))
    if shape is None and model.in_shape is None:
        raise ConfigError(
            f"{path} does not say the shape of its model's input; in Python, give it: "
            "fnlayers.show.view(model, params, state, shape)"
        )
    with serve(Described(model, params, state, shape), start, port, browser) as page:
        print(f"{path}: {page.url}   (Ctrl+C ends it)", flush=True)
        try:
            page.wait()
        except KeyboardInterrupt:
            pass
    return "closed"


def _first_input(path: Path) -> FirstInput:
    if path.is_file() and path.stat().st_size > LIMIT:
        raise ConfigError(f"{path} has {path.stat().st_size:,} bytes; at most {LIMIT:,} are read")
    return FirstInput(path.name, path.read_bytes())
