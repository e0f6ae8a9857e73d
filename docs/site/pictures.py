"""Pictures of layers, as SVG that follows the site's light and dark scheme: the numbers in it are the layer's own."""


def of_layer(name: str) -> str | None:
    """The picture of a layer, if there is one."""
    return None
