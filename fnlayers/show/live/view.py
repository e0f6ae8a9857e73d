"""The page in Python: opened by a call, served by a thread until it is closed."""

import threading
import webbrowser
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape, check_model
from fnlayers.core.types import Params, StateDict
from fnlayers.show.features import inputs_of
from fnlayers.show.live.described import Described
from fnlayers.show.live.files import packed
from fnlayers.show.live.server import FirstInput, Server


class LivePage:
    """A page that is being served; `url` is where. `close()`, or the end of a `with`, ends it."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the page is closed by another thread, or until Ctrl+C."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def close(self) -> None:
        """Stop serving; a second time does nothing."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> "LivePage":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LivePage at {self.url}>" if self._thread.is_alive() else "<LivePage, closed>"


def view(
    model: Layer,
    params: Params,
    state: StateDict | None = None,
    shape: Shape = None,
    *,
    x: Any = None,
    port: int = 0,
    browser: bool = True,
) -> LivePage:
    """Show a model on a page in the browser: its graph, and of each layer the config, shapes, weights and output.

    The page comes from this process, on this machine's loopback address alone, and fetches nothing else; its URL holds
    a key, without which nothing is answered. An .npy, .npz or image file that is dropped on it is run through the
    model, in inference, and each layer shows what it returns for one example.

    Arguments:
        model, params, state: as for `run`.
        shape: the input's, as given to init; None: the model's own.
        x: a batch to begin with, as for `run`.
        port: of the server; 0: any that is free.
        browser: whether to open the page in the browser.

    Returns:
        A LivePage, with `url` and `close()`. It is served until it is closed, or Python ends.

    Raises:
        MissingError: the model does not know its input's shape, and none is given.
        OSError: the port is in use.
    """
    check_model(model, "show.view")
    described = Described(model, params, state, shape)
    first_input = None
    if x is not None:
        arrays = {name: np.asarray(array) for name, array in inputs_of(described.graph, x).items()}
        first_input = FirstInput("x.npz", packed(arrays))
    return serve(described, first_input, port, browser)


def serve(described: Described, first_input: FirstInput | None = None, port: int = 0, browser: bool = True) -> LivePage:
    """Serve a model that is described; a browser is opened if there is one."""
    if not (isinstance(port, int) and 0 <= port < 65536):
        raise ConfigError(f"port={port!r}: give a number from 0, for any that is free, to 65535")
    page = LivePage(Server(described, first_input, port))
    if browser:
        webbrowser.open(page.url)
    return page
