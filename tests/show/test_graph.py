"""Pictures of models: what they say, that nothing overlaps, and that they can be read at every size."""

import functools
import itertools
import re
import sys
from typing import Any
from xml.etree import ElementTree

import pytest

import fnlayers as fl
from counting import python_calls
from fnlayers.show import graph
from fnlayers.show.layout import Link, layout
from fnlayers.show.svg import areas


def small() -> fl.Sequential:
    return fl.Sequential([fl.Conv2D(4, 3, activation="relu"), fl.Flatten(), fl.Dense(2, trainable=False)])


def residual(blocks: int = 50) -> fl.Functional:
    x = a = fl.Input((8, 8, 4))
    for _ in range(blocks):
        x = fl.Add()(x, fl.ReLU()(fl.Conv2D(4, 3, padding="same")(x)))
    return fl.functional(a, fl.Dense(10)(fl.GlobalAveragePooling2D()(x)))


def branches() -> fl.Functional:
    x = a = fl.Input((8, 8, 4))
    for _ in range(2):
        parts = [x, fl.Conv2D(4, 1)(x), fl.Conv2D(4, 3, padding="same")(fl.Conv2D(2, 1)(x))]
        parts.append(fl.Conv2D(4, 1)(fl.ReLU()(fl.MaxPooling2D(3, 1, padding="same")(x))))
        x = fl.Concatenate()(*parts)
    return fl.functional(a, x)


def unet() -> fl.Functional:
    x = a = fl.Input((16, 16, 1))
    skips = []
    for n in (2, 4, 8):
        x = fl.Conv2D(n, 3, padding="same")(x)
        skips.append(x)
        x = fl.MaxPooling2D(2)(x)
    for skip, n in zip(skips[::-1], (8, 4, 2), strict=True):
        x = fl.Concatenate()(skip, fl.Conv2DTranspose(n, 2, 2)(x))
    return fl.functional(a, x)


def siamese() -> fl.Functional:
    a, b = fl.Input((4,), name="a"), fl.Input((4,), name="b")
    encoder = fl.Sequential([fl.Dense(3), fl.BatchNormalization()], name="encoder")
    return fl.functional({"a": a, "b": b}, {"y": fl.Add()(encoder(a), encoder(b)), "z": a})


def circles() -> fl.Sequential:
    """A layer that is called on its own output, at once and later."""
    shared = fl.Dense(4, "relu")
    return fl.Sequential([fl.Dense(4), shared, fl.Dropout(0.1), shared, shared, fl.Dense(2)])


def nested() -> fl.Functional:
    p, q = fl.Input((8,), name="p"), fl.Input((8,), name="q")
    pair = fl.functional({"second": q, "first": p}, {"sum": fl.Add()(p, q), "product": fl.Multiply()(p, q)})
    a, b = fl.Input((8,)), fl.Input((8,))
    outputs: Any = pair({"first": a, "second": fl.Dense(8)(b)})
    deep = fl.Sequential([fl.Dense(8), fl.Sequential([fl.Dense(8), fl.Sequential([fl.Dense(8), fl.ReLU()])])])
    return fl.functional((a, b), fl.Concatenate()(deep(outputs["sum"]), outputs["product"], a))


def text() -> fl.Sequential:
    block = fl.Sequential([fl.LayerNormalization(), fl.Dense(8, "gelu")])
    return fl.Sequential(
        [fl.Embedding(9, 8), fl.Repeat(block, 6), fl.TimeDistributed(fl.Dense(3)), fl.Bidirectional(fl.LSTM(2))]
    )


def twice() -> fl.Functional:
    x = fl.Input((3,))
    return fl.functional(x, fl.Add()(x, x))


def conditioned(blocks: int) -> fl.Functional:
    """One array that all blocks are given."""
    x, t = a, b = fl.Input((8,)), fl.Input((8,), name="time")
    for _ in range(blocks):
        x = fl.Add()(fl.Dense(8)(x), t)
    return fl.functional((a, b), x)


def densely(layers: int) -> fl.Functional:
    """All layers feed the last."""
    x = a = fl.Input((8,))
    layers_before = [x := fl.Dense(8)(x) for _ in range(layers)]
    return fl.functional(a, fl.Add()(*layers_before))


def abreast(layers: int) -> fl.Functional:
    """All layers side by side."""
    a = fl.Input((8,))
    return fl.functional(a, fl.Add()(*[fl.Dense(8)(a) for _ in range(layers)]))


def columns(features: int) -> fl.Functional:
    """An input for each column of a table, and a chain of layers for each."""
    inputs = tuple(fl.Input((1,), name=f"column_{i}") for i in range(features))
    ends = [fl.ReLU()(fl.Dense(8)(column)) for column in inputs]
    return fl.functional(inputs, fl.Dense(1)(fl.Concatenate()(*ends)))


MODELS: dict[str, tuple[fl.Layer, Any]] = {
    "small": (small(), (None, 6, 6, 1)),
    "residual": (residual(), None),
    "branches": (branches(), None),
    "unet": (unet(), None),
    "siamese": (siamese(), None),
    "circles": (circles(), (None, 4)),
    "nested": (nested(), None),
    "text": (text(), (None, None)),
    "twice": (twice(), None),
    "dense": (fl.Dense(3), (None, 4)),
    "nothing": (fl.Sequential([]), (None, 4)),
    "deep": (fl.Sequential([fl.Dense(4) for _ in range(150)]), (None, 4)),
    "conditioned": (conditioned(12), None),
    "densely": (densely(20), None),
    "abreast": (abreast(40), None),
    "columns": (columns(20), None),
    "called often": (fl.Sequential([fl.Dense(4, name="again")] * 40), (None, 4)),
    "states": (fl.Sequential([fl.LSTM(3, return_state=True), fl.Lambda(lambda x: x[0])]), (None, 5, 2)),
}


@pytest.mark.parametrize("name", MODELS)
def test_no_boxes_overlap(name: str) -> None:
    boxes = areas(graph(*MODELS[name]).plan)
    for (a, *one), (b, *other) in itertools.combinations(boxes, 2):
        left, top, right, bottom = one
        if b.startswith(f"{a}/"):
            assert left <= other[0] and top <= other[1] and other[2] <= right and other[3] <= bottom, f"{b} leaves {a}"
        else:
            separate = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert separate, f"{a} and {b}"


@pytest.mark.parametrize("name", MODELS)
def test_the_svg_is_well_formed_and_all_of_it_is_inside(name: str) -> None:
    picture = graph(*MODELS[name])
    root = ElementTree.fromstring(picture.svg)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    assert picture.svg == picture._repr_svg_()
    for path in root.iter("{http://www.w3.org/2000/svg}path"):
        numbers = [float(n) for n in re.findall(r"-?\d+\.\d", path.attrib["d"])]
        assert all(0 <= x <= width for x in numbers[::2]) and all(0 <= y <= height for y in numbers[1::2])
    assert "prefers-color-scheme: dark" in picture.svg


def test_a_chain_says_what_its_layers_are() -> None:
    plan = graph(small(), (None, 6, 6, 1)).plan
    assert [(box.kind, box.title, box.brief, box.facts) for box in plan.boxes] == [
        ("input", "input", "", "input"),
        ("layer", "Conv2D", "4, 3, relu", "conv2d, 40 params"),
        ("layer", "Flatten", "", "flatten"),
        ("layer", "Dense", "2", "dense, 130 params, frozen"),
        ("output", "output", "", "output"),
    ]
    shapes = ["(None, 6, 6, 1)", "(None, 4, 4, 4)", "(None, 64)", "(None, 2)"]
    assert [(arrow.source, arrow.target, arrow.label) for arrow in plan.arrows] == [
        (n, n + 1, shape) for n, shape in enumerate(shapes)
    ]


def test_a_shared_layer_is_drawn_once_and_its_calls_are_distinguished() -> None:
    plan = graph(siamese()).plan
    assert [box.path for box in plan.boxes] == ["a", "b", "encoder", "add", "y", "z"]
    assert plan.boxes[2].facts == "encoder, 21 params, 2 calls"
    assert {(plan.boxes[a.source].path, plan.boxes[a.target].path, a.label) for a in plan.arrows} == {
        ("a", "encoder", "(None, 4) to call 1"),
        ("b", "encoder", "(None, 4) to call 2"),
        ("encoder", "add", "call 1: (None, 3)"),
        ("encoder", "add", "call 2: (None, 3)"),
        ("add", "y", "(None, 3)"),
        ("a", "z", "(None, 4)"),
    }


def test_arrows_find_the_inputs_and_outputs_of_a_model_inside() -> None:
    """Inputs are bound by name, outputs counted as jax.tree does."""
    plan = graph(nested()).plan
    position = next(i for i, box in enumerate(plan.boxes) if box.title == "Functional")
    inside: Any = plan.boxes[position].inside
    assert [box.title for box in inside.boxes if box.kind != "layer"] == ["p", "q", "product", "sum"]
    sources = {a.input: plan.boxes[a.source].title for a in plan.arrows if a.target == position}
    assert sources == {0: "input_layer", 1: "Dense"}
    targets = {a.output: plan.boxes[a.target].title for a in plan.arrows if a.source == position}
    assert targets == {0: "Concatenate", 1: "Sequential"}


def test_other_dtypes_are_shown() -> None:
    labels = [arrow.label for arrow in graph(text(), (None, None)).plan.arrows]
    assert labels[:2] == ["int32(None, None)", "(None, None, 8)"]


def test_levels() -> None:
    assert all(box.inside is None for box in graph(nested(), depth=0).plan.boxes)
    assert "(None, 8)" in graph(nested(), depth=0).svg
    assert [box.brief for box in graph(nested(), depth=0).plan.boxes][2:5] == ["8", "2 layers", "2 layers"]
    assert repr(graph(nested(), depth=1)) == "<Graph of Functional, 8 layers>"
    assert repr(graph(nested())) == "<Graph of Functional, 12 layers>"


def test_mermaid_of_a_model_with_models_inside() -> None:
    text = graph(siamese()).mermaid
    assert text.startswith('flowchart TD\n  n0(["a"])\n')
    assert '  subgraph n2["Sequential: encoder, 21 params, 2 calls"]\n    n2_0(("input"))\n' in text
    assert '  n0 -- "(None, 4) to call 1" --> n2_0\n' in text
    assert '  n2_3 -- "call 1: (None, 3)" --> n3\n' in text
    assert text.count("subgraph") == text.count("\n  end")


def test_names_cannot_break_out() -> None:
    layer = fl.Dense(2, name='<script>"&')
    picture = graph(fl.Sequential([layer]), (None, 2))
    ElementTree.fromstring(picture.svg)
    assert "<script>" not in picture.svg and '"&' not in picture.mermaid.replace("&,", "")
    assert "#lt;script#gt;#quot;&, 6 params" in picture.mermaid


def test_files(tmp_path: Any) -> None:
    picture = graph(small(), (None, 6, 6, 1))
    starts = {
        "a.svg": "<svg ",
        "a.SVG": "<svg ",
        "a.html": "<!doctype html>",
        "a.mmd": "flowchart TD",
        "a.md": "```mer",
    }
    for name, start in starts.items():
        picture.save(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf8").startswith(start)
    with pytest.raises(fl.ConfigError, match=r"'a.jpg' names no format .* one of .svg, .html, .mmd, .md, .png, .pdf"):
        picture.save(tmp_path / "a.jpg")
    with pytest.raises(fl.ConfigError, match="None is not a path"):
        picture.save(None)  # type: ignore[arg-type]


def test_a_renderer_without_style_sheets_draws_it(tmp_path: Any) -> None:
    """CairoSVG knows neither variables nor media queries; what it draws is mostly paper, with ink and blue on it."""
    try:
        import cairosvg  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: the system has no cairo library
        pytest.skip(f"cairosvg cannot be imported: {error}")
    from PIL import Image

    picture = graph(small(), (None, 6, 6, 1))
    for name, start in {"a.png": b"\x89PNG", "a.pdf": b"%PDF"}.items():
        picture.save(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    image = Image.open(tmp_path / "a.png").convert("RGB")
    width = float(re.findall(r'width="(\d+)"', picture.svg)[0])
    assert image.width == 2 * width
    counts = {color: n for n, color in image.getcolors(1 << 20) or []}
    assert counts[255, 255, 255] > 0.4 * image.width * image.height
    assert counts[0xF3, 0xF5, 0xF8] > 1000 and counts[0x00, 0x72, 0xB2] > 100  # boxes, and the mark of what is trained
    assert counts.get((0, 0, 0), 0) < 10


def test_png_without_cairosvg(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    with pytest.raises(fl.MissingError, match=r"pip install 'fnlayers\[graph\]'.*or save an .svg"):
        graph(small(), (None, 6, 6, 1)).save(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", MODELS)
def test_every_element_says_its_own_colors(name: str) -> None:
    """The style sheet holds the dark scheme alone, each kind of element in it; nothing is drawn in SVG's black."""
    svg = graph(*MODELS[name]).svg
    style = "".join(re.findall("<style>(.*?)</style>", svg))
    assert style.startswith("@media (prefers-color-scheme: dark) {") and style.count("@media") == 1
    assert "var(" not in svg and "url(" not in svg
    for element in ElementTree.fromstring(svg).iter():
        if element.tag.rpartition("}")[2] in ("rect", "path", "circle", "text", "tspan"):
            assert element.get("fill"), element.attrib
            drawn = {element.get("fill"), element.get("stroke")} - {None, "none"}
            assert not drawn or f":is(.fl-graph) .{element.get('class')} {{" in style


def test_a_model_that_does_not_know_its_input() -> None:
    with pytest.raises(fl.MissingError, match="show.graph: Sequential does not know its input"):
        graph(small())


def test_tall_pictures_are_broken_into_columns() -> None:
    root = ElementTree.fromstring(graph(*MODELS["deep"]).svg)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    assert 0.5 < width / height < 2


@pytest.mark.parametrize("name", ["abreast", "columns", "called often"])
def test_wide_pictures_are_broken_into_rows(name: str) -> None:
    root = ElementTree.fromstring(graph(*MODELS[name]).svg)
    assert float(root.attrib["width"]) < 2700


def test_a_layer_that_is_called_often_has_one_arrow_for_all_calls() -> None:
    plan = graph(*MODELS["called often"]).plan
    assert [arrow.label for arrow in plan.arrows] == ["(None, 4)", "(None, 4) x 39", "(None, 4)"]
    assert plan.boxes[1].facts == "again, 20 params, 40 calls"


def test_the_work_of_drawing_grows_with_the_model() -> None:
    """Far from quadratically: rows and lanes are sorted, so four times the boxes are eight times the calls."""
    models = [residual(n) for n in (40, 160)]
    assert all(graph(model).svg for model in models)  # once before, so that both find their shapes traced
    small, large = (python_calls(functools.partial(graph, model)) for model in models)
    assert large < 10 * small


@pytest.mark.parametrize("build", [residual, conditioned, densely, abreast])
def test_pictures_grow_with_their_models(build: Any) -> None:
    """Arrows of one array, or to one box, go together: else each of n long ones passes n ranks."""
    small, large = (len(graph(build(n)).svg) for n in (25, 100))
    assert large < 5.5 * small


def test_arrows_go_round_the_boxes() -> None:
    """A long arrow passes next to the boxes of the ranks between."""
    chain = [Link(n, n + 1) for n in range(4)]
    drawing = layout([(80.0, 30.0)] * 5, [*chain, Link(0, 4), Link(1, 3)])
    for link, way in zip([*chain, Link(0, 4), Link(1, 3)], drawing.ways, strict=True):
        for i, (x, y) in enumerate(drawing.positions):
            if i in (link.source, link.target):
                continue
            for (x0, y0), (x1, y1) in itertools.pairwise(way):
                next_to = max(x0, x1) < x - 40 or min(x0, x1) > x + 40
                above = max(y0, y1) < y - 14.9 or min(y0, y1) > y + 14.9
                assert next_to or above
    middles = [x for x, _ in drawing.positions]
    assert max(middles) - min(middles) < 1, "a chain stands in line"


def test_nothing_crosses_that_need_not() -> None:
    """Three chains side by side, listed in an order that would tangle them."""
    links = [Link(0, 5), Link(1, 4), Link(2, 3), Link(5, 7), Link(4, 6), Link(3, 8)]
    drawing = layout([(60.0, 20.0)] * 9, links)
    assert all(len({x for x, _ in way}) == 1 for way in drawing.ways)


def test_arrows_that_merge_end_side_by_side_in_their_order() -> None:
    """The first argument on the left: the way round it is taken on that side, and nothing crosses."""
    for first in (True, False):
        skip, chain = Link(0, 3), Link(2, 3)
        drawing = layout([(80.0, 30.0)] * 4, [Link(0, 1), Link(1, 2), *((skip, chain) if first else (chain, skip))])
        ends = [way[-1][0] for way in drawing.ways[2:]]
        assert ends[1] - ends[0] == 14 and drawing.positions[3][0] in ends
        around = [x for x, _ in drawing.ways[2 if first else 3]]
        assert (min(around) < drawing.positions[1][0] - 40) == first and (
            max(around) > drawing.positions[1][0] + 40
        ) != first
