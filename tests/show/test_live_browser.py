"""The live page in a real browser: Debian's chromium, driven by Playwright; skipped where one of them is not there."""

import re
import shutil

import jax
import numpy as np
import pytest

import fnlayers as fl

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
expect = sync_api.expect


@pytest.fixture(scope="module")
def page():
    base = fl.Sequential([fl.Conv2D(4, 3), fl.BatchNormalization()], name="base")
    model = fl.Sequential(
        [fl.Input((8, 8, 3)), base, fl.Flatten(), fl.Dense(5, "softmax", name="<img src=x>")], name="a<b>c"
    )
    with fl.show.view(model, model.init(jax.random.key(0)), model.init_state(), browser=False) as page:
        yield page


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser, page):
    """The page, opened; at the end nothing may have gone wrong in it, and nothing been fetched from elsewhere."""
    tab, wrong = browser.new_page(viewport={"width": 1280, "height": 800}), []
    # a refused input is a message of the browser's own, too
    tab.on("console", lambda message: "400 (Bad Request)" in message.text or wrong.append(message.text))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda request: request.url.startswith((page.url, "data:")) or wrong.append(request.url))
    tab.goto(page.url)
    tab.wait_for_selector("body[data-ready]")
    yield tab
    tab.close()
    assert not wrong


def hit(tab, label):
    return tab.locator(f'.hit[aria-label="{label}"]')


def test_a_click_shows_a_layer(tab):
    expect(tab.locator("h1")).to_have_text("a<b>c")
    hit(tab, "Conv2D base/conv2d").click()
    layer = tab.locator("#layer")
    for text in ("base/conv2d", "112 params, trained", "float32(None, 6, 6, 4)", "kernel (3, 3, 3, 4)", "filters"):
        expect(layer).to_contain_text(text)
    expect(layer.locator("svg.chart")).to_have_count(2)
    assert hit(tab, "Conv2D base/conv2d").get_attribute("aria-pressed") == "true"
    tab.select_option("#layers", label="base (Sequential)")
    layer.get_by_role("button", name="BatchNormalization").click()
    expect(layer).to_contain_text("moving_variance (4,) float32, state")
    hit(tab, "Dense <img src=x>").click()
    expect(layer.locator("p").first).to_have_text("<img src=x>")
    assert not tab.locator("img").count()  # text stays text


def test_the_keyboard_reaches_each_layer(tab):
    tab.locator("#file").focus()
    tab.keyboard.press("Tab")
    while tab.evaluate("document.activeElement.closest('#tools') !== null"):
        tab.keyboard.press("Tab")
    focused = "document.activeElement.getAttribute('aria-label')"
    if tab.evaluate("document.activeElement.id") == "graph":  # a pane that scrolls is a stop of its own
        tab.keyboard.press("Tab")
    assert tab.evaluate(focused) == "input input"
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowRight")
    expect(tab.locator("h2")).to_have_text("Conv2D")
    assert tab.evaluate(focused) == "Conv2D base/conv2d"
    tab.keyboard.press("End")
    expect(tab.locator("h2")).to_have_text("output")
    tab.keyboard.press("ArrowDown")  # there is no further one
    tab.keyboard.press("Home")
    expect(tab.locator("h2")).to_have_text("input")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "layer"


def test_an_image_and_arrays_are_run(tab, tmp_path):
    """A PNG that the browser itself makes, then a batch, then what the model cannot take."""
    png = tmp_path / "image.png"
    tab.locator("h1").screenshot(path=png)
    tab.set_input_files("#file", png)
    expect(tab.locator("#status")).to_have_text(re.compile(r"image\.png, run in"), timeout=60_000)
    expect(tab.locator("h2")).to_have_text("output")
    hit(tab, "Conv2D base/conv2d").click()
    expect(tab.locator(".maps canvas")).to_have_count(4)
    hit(tab, "input input").click()
    expect(tab.locator("canvas.photo")).to_have_count(1)
    expect(tab.locator("#layer")).to_contain_text("(8, 8, 3) float32")

    x = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    tab.set_input_files("#file", tmp_path / "x.npy")
    expect(tab.locator("#examples")).to_have_text("of 3")
    tab.fill("#example", "2")
    tab.locator("#example").press("Enter")
    expect(tab.locator("#layer")).to_contain_text(f"from {x[2].min():.4g} to {x[2].max():.4g}")
    np.save(tmp_path / "x.npy", x[:, 1:])
    tab.set_input_files("#file", tmp_path / "x.npy")
    expect(tab.locator("#status.wrong")).to_contain_text("the model takes float32(None, 8, 8, 3)")


@pytest.mark.parametrize("scheme, paper", [("light", "rgb(255, 255, 255)"), ("dark", "rgb(13, 17, 23)")])
def test_a_phone_scrolls_in_one_direction_and_both_schemes_have_their_colors(tab, scheme, paper):
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.emulate_media(color_scheme=scheme)
    hit(tab, "BatchNormalization base/batch_normalization").click()
    expect(tab.locator("h2")).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == paper
    assert tab.evaluate("getComputedStyle(document.querySelector('#graph .paper')).fill") == paper
