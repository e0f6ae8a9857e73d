"""The gallery of activations."""

import re
import sys
from typing import Any
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.functions.activations import ACTIVATIONS
from fnlayers.show import activations

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def gallery() -> fl.show.Gallery:
    return activations()


def facts(which: Any) -> str:
    (curve,) = activations(which).curves
    return "; ".join(curve.facts)


def test_every_activation_is_drawn_once(gallery: fl.show.Gallery) -> None:
    names = [name for curve in gallery.curves for name in curve.name.split(", ")]
    assert sorted(names) == sorted(ACTIVATIONS)
    assert all(curve.formula for curve in gallery.curves)


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "selu", "softplus", "tanh_shrink"])
def test_curves_are_the_functions(gallery: fl.show.Gallery, name: str) -> None:
    curve = next(curve for curve in gallery.curves if name in curve.name.split(", "))
    x = jnp.asarray(curve.x)
    np.testing.assert_allclose(curve.y, ACTIVATIONS[name](x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        curve.slope[~np.isnan(curve.slope)],
        jax.vmap(jax.grad(ACTIVATIONS[name]))(x)[~np.isnan(curve.slope)],
        rtol=1e-6,
        atol=1e-6,
    )


def test_what_is_known_of_them() -> None:
    assert facts("sigmoid") == (
        "flat for x < -2.9 and for x > 2.9; goes to y = 0 on the left, y = 1 on the right; slope at most 0.25"
    )
    assert facts("relu6") == (
        "flat for x < 0 and for x > 6; goes to y = 0 on the left, y = 6 on the right; slope at most 1.00"
    )
    assert facts("leaky_relu").startswith("nowhere flat; goes to y = 0.2x on the left, y = x on the right")
    assert "y = x + 1 on the left, y = x - 1 on the right" in facts("tanh_shrink")
    assert "y = -1.76 on the left" in facts("selu") and "slope at most 1.76" in facts("selu")
    assert facts("exponential") == "flat for x < -3; goes to y = 0 on the left; slope without bound"
    assert (
        facts(lambda x: 0 * x) == "flat everywhere; goes to y = 0 on the left, y = 0 on the right; slope at most 0.00"
    )


def test_no_line_is_drawn_across_a_jump() -> None:
    (curve,) = activations("hard_shrink").curves
    assert np.isnan(curve.y).sum() == 2 and np.isnan(curve.slope).sum() == 2


def test_functions_of_a_row_say_what_is_drawn() -> None:
    (curve,) = activations("softmax").curves
    assert curve.description == "softmax([x, 0])[0]"
    np.testing.assert_allclose(curve.y, jax.nn.sigmoid(curve.x), rtol=1e-5)


def test_one_several_or_ones_own() -> None:
    def cube(x: Any) -> Any:
        """`x ** 3`."""
        return x**3

    curves = activations(["relu", cube]).curves
    assert [(curve.name, curve.formula[:6]) for curve in curves] == [("relu", "max(x,"), ("cube", "x ** 3")]
    assert [float(curve.x[-1]) < 3 for curve in activations(["relu"], limit=3).curves] == [True]


def test_the_figure(gallery: fl.show.Gallery) -> None:
    figure = gallery.figure()
    assert len(figure.axes) == len(gallery.curves)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert lines["activation"].get_linestyle() != lines["derivative"].get_linestyle()
    (legend,) = figure.legends
    texts = {text.get_text() for text in legend.get_texts()}
    assert texts == {"activation", "derivative", "asymptote", "flat: |slope| < 0.05"}


def test_the_page_stands_alone(gallery: fl.show.Gallery) -> None:
    page = gallery.html
    for name in ACTIVATIONS:
        assert re.search(rf"<h2>[^<]*\b{name}\b[^<]*</h2>", page)
    assert not re.search(r"<script|<link|src=|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page and "minmax(min(300px, 100%)" in page
    assert "var(" not in page
    for chart in re.findall(r'<svg viewBox="0 0 320 220".*?</svg></svg>', page):
        for element in ElementTree.fromstring(chart).iter():
            assert element.tag.endswith("svg") or element.get("fill") or element.get("stroke"), element.attrib
    assert len(page) < 600_000


def test_files_and_notebooks(tmp_path: Any) -> None:
    gallery = activations("relu")
    gallery.save(tmp_path / "a.html")
    for name, start in {"a.png": PNG, "a.pdf": b"%PDF", "a.svg": b"<?xml"}.items():
        gallery.save(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    assert (tmp_path / "a.html").read_text(encoding="utf8").startswith("<!doctype html>")
    assert gallery._repr_png_().startswith(PNG)
    with pytest.raises(fl.ConfigError, match=r"'a.gif' names no format .* one of .png, .svg, .pdf, .html"):
        gallery.save(tmp_path / "a.gif")


def test_the_page_needs_no_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    activations("relu").save(tmp_path / "a.html")
    with pytest.raises(fl.MissingError, match=r"show.activations draws .* pip install 'fnlayers\[plot\]'"):
        activations("relu").figure()


def test_nothing_to_draw() -> None:
    with pytest.raises(fl.ConfigError, match="nothing to draw"):
        activations([])
    with pytest.raises(fl.ConfigError, match="a number above 0"):
        activations(limit=0)
    with pytest.raises(ValueError, match="relu"):
        activations("reluu")
