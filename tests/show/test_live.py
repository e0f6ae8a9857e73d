"""The live page: what it says of a model, what the server refuses, which files are read, what is drawn."""

import base64
import http.client
import io
import json
import urllib.error
import urllib.request
import webbrowser
import zipfile
from contextlib import closing

import jax
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.core.errors import ConfigError, MissingError
from fnlayers.show.live import files
from fnlayers.show.live.described import Described
from fnlayers.show.live.drawn import drawn, histogram
from fnlayers.show.live.files import arrays_in, packed

BINARY = {"Content-Type": "application/octet-stream"}


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def small():
    base = fl.Sequential([fl.Conv2D(4, 3, activation="relu"), fl.BatchNormalization()], name="base")
    return fl.Sequential(
        [fl.Input((6, 6, 3)), fl.Rescaling(0.5), base, fl.Flatten(), fl.Dense(5, "softmax")], name="a<b>c"
    )


@pytest.fixture(scope="module")
def model():
    model = small()
    return model, model.init(jax.random.key(0)), model.init_state()


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(3, 6, 6, 3)).astype("float32")


@pytest.fixture(scope="module")
def page(model, x):
    with fl.show.view(*model, x=x, browser=False) as page:
        yield page


def get(page, path):
    with urllib.request.urlopen(page.url + path) as answer:
        return answer.read(), answer.headers


def asked(page, path):
    return json.loads(get(page, path)[0])


def post(page, data, example=0, **headers):
    request = urllib.request.Request(f"{page.url}input/{example}", data, {**BINARY, **headers}, method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def status(page, method, path, headers=None, body=None):
    """The status and error of a request, with exactly those headers."""
    host = page.url.split("/")[2]
    with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": host, **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_the_page_comes_from_the_package_with_a_strict_policy(page):
    for path, kind, part in (
        ("", "text/html", b'<script src="view.js" defer>'),
        ("view.js", "text/javascript", b'"use strict"'),
        ("view.css", "text/css", b"prefers-color-scheme: dark"),
        ("graph.css", "text/css", b"prefers-color-scheme: dark"),
        ("graph.svg", "image/svg+xml", b"<title>a&lt;b&gt;c</title>"),
    ):
        body, headers = get(page, path)
        assert part in body and headers["Content-Type"].startswith(kind)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in headers["Content-Security-Policy"] and headers["X-Content-Type-Options"] == "nosniff"
        assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in body
        assert b"<style" not in body and b" style=" not in body and b"onclick" not in body


def test_index_and_layers_say_what_the_model_is(page, model):
    index = asked(page, "model.json")
    assert index["title"] == "a<b>c" and index["params"] == 445 and index["state"] == 8
    assert index["inputs"] == {"input": "float32(None, 6, 6, 3)"} and index["first"] == "x.npz"
    assert index["image"] == {"height": 6, "width": 6, "channels": 3, "channels_first": False, "scale": "255"}
    named = {layer["path"]: layer["index"] for layer in index["layers"]}
    assert list(named) == [
        "input", "rescaling", "base", "base/conv2d", "base/batch_normalization", "flatten", "dense", "output",
    ]  # fmt: skip
    svg = get(page, "graph.svg")[0].decode()
    assert all(f'data-layer="{i}"' in svg for i in named.values()) and svg.count('class="hit"') == len(named)

    conv = asked(page, f"layers/{named['base/conv2d']}")
    assert (conv["title"], conv["params"], conv["trainable"]) == ("Conv2D", 112, 112)
    assert conv["calls"] == [{"inputs": ["float32(None, 6, 6, 3)"], "outputs": ["float32(None, 4, 4, 4)"]}]
    assert ["filters", "4", False] in conv["config"] and ["padding", "'valid'", True] in conv["config"]
    kernel, bias = conv["weights"]
    assert kernel["name"] == "kernel" and kernel["shape"] == [3, 3, 3, 4] and kernel["kind"] == "trained"
    assert sum(kernel["histogram"]["counts"]) == 108
    weight = np.asarray(model[1]["base"]["conv2d"]["kernel"])
    assert kernel["histogram"]["low"] == weight.min() and kernel["histogram"]["high"] == weight.max()
    assert bias["histogram"]["counts"][20] == 4 and sum(bias["histogram"]["counts"]) == 4
    norm = asked(page, f"layers/{named['base/batch_normalization']}")
    assert [w["kind"] for w in norm["weights"]] == ["trained"] * 2 + ["state"] * 2
    base = asked(page, f"layers/{named['base']}")
    assert base["inside"] == [named["base/conv2d"], named["base/batch_normalization"]] and not base["weights"]
    assert asked(page, f"layers/{named['output']}")["calls"] == [{"inputs": ["(None, 5)"], "outputs": []}]


def test_an_input_gives_each_layer_its_output(page, model, x):
    named = {layer["path"]: layer["index"] for layer in asked(page, "model.json")["layers"]}
    assert post(page, get(page, "first")[0], 1) == {"examples": 3, "example": 1}
    y = model[0].apply(model[1], x[1:2], state=model[2])[0]
    (dense,), (out,) = asked(page, f"outputs/{named['dense']}"), asked(page, f"outputs/{named['output']}")
    np.testing.assert_allclose(dense["values"], y, atol=1e-6)
    assert out["values"] == dense["values"] and [i for i, _ in dense["greatest"]] == list(np.argsort(-y))
    (conv,) = asked(page, f"outputs/{named['base/conv2d']}")
    assert (conv["kind"], conv["shape"], conv["of"]) == ("maps", [4, 4, 4], [4, 4, 4])
    (norm,), (base,) = (asked(page, f"outputs/{named[name]}") for name in ("base/batch_normalization", "base"))
    assert {**norm, "name": ""} == {**base, "name": ""}
    (photo,) = asked(page, f"outputs/{named['input']}")
    assert photo["kind"] == "photo" and photo["of"] == [6, 6]
    assert post(page, npy(x[2].astype("float64"))) == {"examples": 1, "example": 0}  # no batch axis


def test_what_the_model_cannot_take_is_an_error_that_says_so(page, x):
    for data, example, text in (
        (npy(x[:, :5]), 0, "input is float32(3, 5, 6, 3); the model takes float32(None, 6, 6, 3)"),
        (npy(x[0, 0]), 0, "the model takes float32(None, 6, 6, 3)"),
        (npy(x), 3, "there is no example 3: the inputs hold [3]"),
        (packed({"a": x, "b": x}), 0, "the file holds ['a', 'b']; the model's inputs are ['input']"),
        (b"no array", 0, "give an .npy or .npz file, or an image"),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(page, data, example)
        with refused.value as answer:
            assert answer.code == 400 and text in json.loads(answer.read())["error"]


def test_what_is_not_ours_is_refused(page, x):
    _, _, host, key, _ = page.url.split("/")
    port = host.split(":")[1]
    ours = f"/{key}/model.json"
    assert status(page, "GET", ours)[0] == 200
    assert status(page, "GET", ours, {"Host": f"localhost:{port}"})[0] == 200
    for other in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil.example", ""):
        assert status(page, "GET", ours, {"Host": other})[0] == 403
    for path in (
        "/", "/model.json", f"/{key[:-1]}x/model.json", f"/{key}/../{key}/", f"/{key}/server.py", f"/{key}/..%2fserver.py",
        f"/{key}/view.js/", f"/{key}/view.js?x", f"/{key}/layers/-1", f"/{key}/layers/99", f"/{key}/layers/",
        f"/{key}/input/0", f"/{key}/page/view.js", f"http://{host}/{key}/",
    ):  # fmt: skip
        assert status(page, "GET", path)[0] == 404, path
    data = npy(x)
    fine = {**BINARY, "Content-Length": str(len(data))}
    run = f"/{key}/input/0"
    assert status(page, "POST", run, {**fine, "Origin": f"http://{host}"}, data)[0] == 200
    assert status(page, "POST", run, {**fine, "Origin": "http://evil.example"})[0] == 403
    assert status(page, "POST", run, {**fine, "Origin": "null"})[0] == 403
    assert status(page, "POST", run, {**fine, "Host": "evil.example"})[0] == 403
    assert status(page, "POST", run, {**fine, "Content-Type": "text/plain"})[0] == 415
    assert status(page, "POST", run, BINARY)[0] == 411
    assert status(page, "POST", run, {**fine, "Transfer-Encoding": "chunked"})[0] == 411
    assert status(page, "POST", run, {**BINARY, "Content-Length": str(files.LIMIT + 1)})[0] == 413
    assert status(page, "POST", run, {**BINARY, "Content-Length": "-1"})[0] == 411
    assert status(page, "POST", f"/{key}/layers/0", fine)[0] == 404
    for method in ("OPTIONS", "PUT", "DELETE", "HEAD"):
        assert status(page, method, run)[0] == 501


def test_a_page_listens_on_loopback_until_it_is_closed(model):
    opened = []
    page = fl.show.view(*model, browser=False)
    assert page._server.server_address[0] == "127.0.0.1" and page.url in repr(page)
    with pytest.raises(OSError):
        fl.show.view(*model, port=page._server.server_port, browser=False)
    page.close()
    page.close()
    page.wait()
    assert repr(page) == "<LivePage, closed>"
    with pytest.raises(OSError):
        urllib.request.urlopen(page.url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webbrowser, "open", opened.append)
        with fl.show.view(*model) as page:
            assert opened == [page.url]
    with pytest.raises(ConfigError, match="port=70000"):
        fl.show.view(*model, port=70000)
    with pytest.raises(MissingError, match="show.view: Dense does not know its input"):
        fl.show.view(fl.Dense(2), {})


def test_one_layer_shared_layers_loops_and_several_inputs():
    dense = fl.Dense(2)
    params = dense.init(jax.random.key(0), (None, 3))
    alone = Described(dense, params, None, (None, 3))
    alone.run({"": np.ones((1, 3), "float32")}, 0)
    assert [box.path for box, _ in alone.boxes] == ["input", "dense", "output"]
    np.testing.assert_allclose(alone.output(1)[0]["values"], dense.apply(params, np.ones((1, 3), "float32"))[0], 1e-6)

    a, b = fl.Input((4, 3), name="a"), fl.Input((4, 3), name="b")
    both = fl.TimeDistributed(fl.Dense(3), name="both")
    model = fl.functional((a, b), {"sum": fl.Add()([both(a), both(b)])})
    described = Described(model, model.init(jax.random.key(0)), None, None)
    named = {box.path: i for i, (box, _) in enumerate(described.boxes)}
    assert len(described.layer(named["both"])["calls"]) == 2
    arrays = {"b": np.ones((2, 4, 3), "int64"), "a": np.zeros((2, 4, 3), "float32")}
    assert described.run(arrays, 1) == {"examples": 2, "example": 1}
    assert [output["name"] for output in described.output(named["both"])] == ["both", "both (call 2)"]
    assert described.output(named["both/layer"]) == [] and described.layer(named["both/layer"])["weights"][0][
        "shape"
    ] == [3, 3]
    assert described.index()["image"] is None


def test_files_are_read_as_data_within_limits(monkeypatch):
    array = np.arange(6, dtype="int16").reshape(2, 3)
    np.testing.assert_array_equal(arrays_in(npy(np.asfortranarray(array)))[""], array)
    read = arrays_in(packed({"a": array, "b": np.array(["x", "yz"])}))
    np.testing.assert_array_equal(read["a"], array)
    assert read["b"].tolist() == ["x", "yz"]
    data = npy(array)
    objects = io.BytesIO()
    np.save(objects, np.array([None]), allow_pickle=True)
    for damaged, text in (
        (data[:-1], "holds 11 bytes"),
        (data + b"x", "holds 13 bytes"),
        (data.replace(b"(2, 3)", b"(9**9,)"), "header is damaged"),
        (data.replace(b"(2, 3), ", b"(-2, -3)"), "holds 12 bytes"),
        (data[:20], "header is damaged"),
        (objects.getvalue(), "holds object"),
        (npy(np.zeros(2, [("a", "f4")])), "numbers and text are read"),
        (packed({"a": array})[:-30], "damaged"),
    ):
        with pytest.raises(ConfigError, match=text.replace("(", r"\(")):
            arrays_in(damaged)
    monkeypatch.setattr(files, "LIMIT", 1000)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(np.zeros(10_000)))
    with pytest.raises(ConfigError, match="more than 100 arrays, or 0 MiB"):
        arrays_in(bomb.getvalue())


def test_what_is_drawn():
    codes = lambda output: np.frombuffer(base64.b64decode(output["codes"]), "uint8")  # noqa: E731
    maps = drawn(np.array([[[-2.0, 1.0], [0.0, np.nan]]]))
    assert maps["kind"] == "maps" and maps["of"] == [1, 2, 2] and maps["spread"]["bad"] == 1
    assert codes(maps).tolist()[1:] == [127, 191, 255] and codes(maps)[0] == 0
    large = drawn(np.ones((200, 97, 40), "float32"))
    assert large["of"] == [67, 49, 16] and codes(large).size == 67 * 49 * 16
    steps = drawn(np.array([[0.0, 1.0], [2.0, 4.0], [8.0, 8.0]], "float32"))
    assert steps["kind"] == "sequence" and codes(steps).tolist() == [143, 190, 254, 127, 159, 254]
    bars = drawn(np.array([1.0, np.inf, 3.0, np.nan]))
    assert bars["values"] == [1.0, "inf", 3.0, "nan"] and [i for i, _ in bars["greatest"]][:2] == [2, 0]
    assert drawn(np.array(["a", "b"]))["text"] == ["a", "b"] and drawn(np.zeros((0, 3)))["text"] == []
    assert drawn(np.array(2.0, "float32"))["values"] == [2.0] and drawn(np.zeros((2, 2, 2, 3)))["of"] == [2, 2, 3]
    assert json.dumps([maps, large, steps, bars], allow_nan=False)

    many = histogram(np.arange(2_500_000))
    assert many["every"] == 3 and sum(many["counts"]) == -(-2_500_000 // 3) and many["bad"] == 0
    assert histogram(np.array([np.nan]))["counts"] == [] and histogram(np.array([]))["counts"] == []
    assert sum(histogram(np.array([-3e38, 3e38, np.inf], "float32"))["counts"]) == 2
