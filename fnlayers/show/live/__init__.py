"""A model as a page in a browser: its graph, and of each layer the config, shapes, weights, and output for an input.

`described.py` says what the page shows, as plain data; `files.py` reads inputs, `drawn.py` turns arrays into small
pictures, `server.py` answers the browser; `page/` is what runs in it.
"""

from fnlayers.show.live.view import LivePage, view

__all__ = ["LivePage", "view"]
