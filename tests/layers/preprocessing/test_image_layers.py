"""Image layers: what moves with images, keys, distributions, and wrong inputs. Numbers are in test_image_numbers.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.layers.preprocessing.image_policies import augmentations
from fnlayers.ops import boxes
from fnlayers.ops.boxes import BoxFormat

KEY = jax.random.key(5)
SIZE, SQUARE = (40, 48), (18, 14, 27, 24)  # left, top, right, bottom
OPTIONS = dict(bounding_box_format="xyxy")
# what is around the image is 0, so that the square is seen once
GEOMETRY = [
    fl.Resizing(31, 60, **OPTIONS),
    fl.Resizing(30, 40, crop_to_aspect_ratio=True, **OPTIONS),
    fl.Resizing(64, 48, pad_to_aspect_ratio=True, **OPTIONS),
    fl.CenterCrop(34, 30, **OPTIONS),
    fl.CenterCrop(60, 30, **OPTIONS),
    fl.RandomCrop(32, 36, **OPTIONS),
    fl.RandomCrop(50, 36, **OPTIONS),
    fl.RandomFlip(**OPTIONS),
    fl.RandomTranslation(0.3, 0.3, "constant", **OPTIONS),
    fl.RandomRotation(0.5, "constant", **OPTIONS),
    fl.RandomZoom(0.5, 0.4, "constant", **OPTIONS),
    fl.RandomShear(0.5, 0.3, fill_mode="constant", **OPTIONS),
    fl.RandomPerspective(**OPTIONS),
    fl.RandomElasticTransform(scale=(0.9, 0.9), fill_mode="constant", **OPTIONS),
    pytest.param(fl.RandAugment(factor=0.4, **OPTIONS), marks=pytest.mark.slow),
]


def square(batch):
    """Images with one bright square on black, its mask, its box, and one row of padding."""
    left, top, right, bottom = SQUARE
    image = np.zeros((batch, *SIZE, 3), "float32")
    image[:, top:bottom, left:right] = 200
    boxes = np.tile(np.float32([SQUARE, (0, 0, 0, 0)]), (batch, 1, 1))
    labels = np.tile(np.int32([3, -1]), (batch, 1))
    mask = (image[..., :1] > 0).astype("uint8")
    return {"images": image, "segmentation_masks": mask, "bounding_boxes": {"boxes": boxes, "labels": labels}}


def trained(layer, data, key=KEY):
    return jax.jit(lambda data, key: layer.apply({}, data, rng=key, train=True))(data, key)


@pytest.mark.parametrize("layer", GEOMETRY, ids=lambda layer: type(layer).__name__)
def test_a_box_round_a_square_still_bounds_it(layer):
    """Within a pixel, which interpolation smears; and a box of straight edges is no larger than that."""
    augmented = trained(layer, square(6))
    turned = isinstance(layer, (fl.RandomRotation, fl.RandomShear, fl.RandomPerspective, fl.RandAugment))
    for mask, box, labels in zip(
        augmented["segmentation_masks"][..., 0], *jax.tree.leaves(augmented["bounding_boxes"]), strict=True
    ):
        assert labels.tolist() in ([3, -1], [-1, -1]) and not box[1].any()
        if labels[0] == -1:
            assert mask.sum() < 8  # it has left the image, but for a corner
            continue
        rows, columns = (np.flatnonzero(np.asarray(mask).any(axis)) for axis in (1, 0))
        seen = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        assert (box[0][:2] <= seen[:2] + 1).all() and (box[0][2:] >= seen[2:] - 1).all()
        if not turned:
            np.testing.assert_allclose(box[0], seen, atol=1.5)


@pytest.mark.parametrize("layer", [GEOMETRY[5], GEOMETRY[9]], ids=lambda layer: type(layer).__name__)
def test_masks_move_with_images(layer):
    data = square(4)
    data["images"] = np.repeat(data["segmentation_masks"], 3, -1).astype("float32") * 255
    augmented = trained(layer, data)
    bright = np.asarray(augmented["images"][..., 0]) > 127
    assert (bright != (np.asarray(augmented["segmentation_masks"][..., 0]) > 0)).mean() < 0.02
    assert augmented["segmentation_masks"].dtype == np.uint8


@pytest.mark.parametrize("kind", BoxFormat.__args__)
def test_boxes_of_all_formats(kind):
    edges = np.float32([[3, 5, 11, 9], [0, 0, 20, 10]])
    converted = boxes.from_xyxy(edges, kind, 10, 20)
    np.testing.assert_allclose(boxes.to_xyxy(converted, kind, 10, 20), edges, atol=1e-5)
    layer = fl.RandomTranslation((0.1, 0.1), (0.1, 0.1), bounding_box_format=kind)
    data = {"images": np.zeros((10, 20, 1)), "bounding_boxes": {"boxes": converted, "labels": np.int32([1, 2])}}
    moved = trained(layer, data)["bounding_boxes"]["boxes"]
    wanted = boxes.from_xyxy(np.float32([[5, 6, 13, 10], [2, 1, 20, 10]]), kind, 10, 20)
    np.testing.assert_allclose(moved, wanted, atol=1e-5)


def test_formats_by_hand():
    box = jnp.float32([2, 1, 6, 4])
    wanted = {
        "yxyx": [1, 2, 4, 6], "xywh": [2, 1, 4, 3], "center_xywh": [4, 2.5, 4, 3], "center_yxhw": [2.5, 4, 3, 4],
        "rel_xyxy": [0.1, 0.1, 0.3, 0.4], "rel_yxyx": [0.1, 0.1, 0.4, 0.3], "rel_xywh": [0.1, 0.1, 0.2, 0.3],
        "rel_center_xywh": [0.2, 0.25, 0.2, 0.3],
    }  # fmt: skip
    for kind, numbers in wanted.items():
        np.testing.assert_allclose(boxes.from_xyxy(box, kind, 10, 20), numbers, rtol=1e-6)


def test_each_image_has_a_key_of_its_own():
    image = np.tile(np.arange(20.0).reshape(1, 4, 5, 1), (8, 1, 1, 1))
    brightened = np.asarray(trained(fl.RandomBrightness(0.5), image))
    assert len({float(m[0, 0, 0]) for m in brightened}) > 4
    assert (trained(fl.RandomBrightness(0.5), image, jax.random.key(6)) != brightened).any()
    np.testing.assert_array_equal(fl.RandomBrightness(0.5).apply({}, image), image)


def drawn(layer, shape=(6, 8, 3), count=4000):
    return jax.jit(jax.vmap(lambda key: layer.sample(key, shape)))(jax.random.split(KEY, count))


def test_distributions():
    """Means and limits of what is drawn, each several standard errors wide."""
    near = functools.partial(np.testing.assert_allclose, atol=0.03)
    near(drawn(fl.RandomFlip()).mean(0), [0.5, 0.5])
    assert not drawn(fl.RandomFlip("horizontal"))[:, 1].any()
    angle = drawn(fl.RandomRotation((-0.1, 0.3)))
    near(angle.mean(), 0.1)
    assert -0.1 <= angle.min() and angle.max() < 0.3
    near(drawn(fl.RandomContrast(0.5)).mean(), 1.25)
    near(drawn(fl.RandomContrast((0.5, 0.1))).mean(), 1.2)  # the smaller one is below 1, as in Keras
    hue = drawn(fl.RandomHue((0.2, 0.6)))
    near([hue.mean(), abs(hue).min(), abs(hue).max()], [0, 0.1, 0.3])
    near([drawn(fl.RandomInvert(f)).mean() for f in (1.0, (1.0, 1.0), (0.2, 0.4))], [0.5, 1, 0.3])
    near(drawn(fl.RandomGrayscale(0.3)).mean(), 0.3)
    assert set(drawn(fl.RandomPosterization((2, 5))).tolist()) == {2, 3, 4}
    assert set(map(tuple, drawn(fl.RandomCrop(5, 6)).tolist())) == {(a, b) for a in (0, 1) for b in (0, 1, 2)}
    shear = abs(drawn(fl.RandomShear((-0.2, 0.2), 0.1)))  # as Keras's files say it of 0.2
    near(shear.mean(0), [0.1, 0.05])
    assert (shear.max(0) <= jnp.array([0.2, 0.1])).all()
    near(drawn(fl.MixUp(0.2)).var(), 0.25 / 1.4)  # of Beta(0.2, 0.2)
    size = jnp.diff(drawn(fl.RandomErasing(scale=(0.25, 0.25)))["edges"], axis=1)[:, 0]
    near(size, np.tile([3.0, 4.0], (4000, 1)))
    choices = drawn(fl.RandAugment(num_ops=1))["choice"]
    near(np.bincount(choices.ravel(), minlength=11) / 4000, 1 / 11)


def test_policies_run_what_they_chose():
    """Compiled, they give what their augmentations give by hand; the laws of both are long tests."""
    image = jnp.asarray(np.random.RandomState(0).rand(4, 4, 1), "float32")
    augment, mix = fl.RandAugment((0, 1), num_ops=2), fl.AugMix((0, 1), num_chains=2, chain_depth=1, all_ops=False)

    def through(value, layers, one):
        way = int(one["choice"])
        return layers[way].transform(value, one["each"][way]) if way < len(layers) else value

    sampled = augment.sample(KEY, image.shape)
    wanted = image
    for i in range(2):
        wanted = through(wanted, augmentations(augment), jax.tree.map(lambda a, i=i: a[i], sampled))
    np.testing.assert_allclose(jax.jit(augment.transform)(image, sampled), wanted, atol=1e-5)

    sampled = mix.sample(KEY, image.shape)
    chains = [jax.tree.map(lambda a, i=i: a[i, 0], sampled["chains"]) for i in range(2)]
    versions = [through(image, augmentations(mix, mix.all_ops), one) for one in chains]
    mean = sum(weight * version for weight, version in zip(sampled["weights"], versions, strict=True))
    wanted = jnp.clip(sampled["own"] * image + (1 - sampled["own"]) * mean, 0, 1)
    np.testing.assert_allclose(jax.jit(mix.transform)(image, sampled), wanted, atol=1e-5)


def test_mixing_mixes_labels_alike():
    images = np.stack([np.full((8, 8, 1), i, "float32") for i in range(6)])
    data = {"images": images, "labels": np.eye(6, dtype="int32"), "segmentation_masks": images.astype("int32")}
    for layer in (fl.MixUp(1.0), fl.CutMix()):
        mixed = trained(layer, data)
        labels = np.asarray(mixed["labels"])
        np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
        mean = np.asarray(mixed["images"]).mean((1, 2, 3))
        near = 1e-5 if isinstance(layer, fl.MixUp) else 1.0  # a rectangle has whole pixels
        np.testing.assert_allclose(mean, labels @ np.arange(6), atol=near)
        np.testing.assert_allclose(mixed["segmentation_masks"], mixed["images"], atol=1e-5)
    with pytest.raises(fl.ShapeError, match="one-hot"):
        trained(fl.MixUp(), {"images": images, "labels": np.arange(6)})


def test_boxes_of_mixtures_are_those_of_both():
    data = square(3)
    mixed = trained(fl.MixUp(), data)["bounding_boxes"]
    assert mixed["boxes"].shape == (3, 4, 4) and mixed["labels"].tolist() == [[3, -1, 3, -1]] * 3
    few, many = (fl.MaxNumBoundingBoxes(n).apply({}, data)["bounding_boxes"] for n in (1, 3))
    assert few["labels"].tolist() == [[3]] * 3 and many["labels"].tolist() == [[3, -1, -1]] * 3
    assert many["boxes"][:, 2].tolist() == [[-1] * 4] * 3


def test_layouts_and_single_images_are_alike():
    image = np.random.RandomState(0).rand(1, 6, 7, 3).astype("float32")
    for cls, options in ((fl.RandomRotation, dict(factor=(0.1, 0.1))), (fl.AutoContrast, {}), (fl.CutMix, {})):
        whole = cls(**options).apply({}, image, rng=KEY, train=True)
        first = cls(**options, data_format="channels_first").apply({}, image.transpose(0, 3, 1, 2), rng=KEY, train=True)
        np.testing.assert_allclose(first.transpose(0, 2, 3, 1), whole, atol=1e-6)
        np.testing.assert_allclose(cls(**options).apply({}, image[0], rng=KEY, train=True), whole[0], atol=1e-6)


def test_integer_images_become_floating_ones_unless_they_are_resized():
    image = np.full((1, 4, 4, 3), 250, "uint8")
    assert fl.RandomBrightness(0.2).apply({}, image).dtype == "float32"
    resized = fl.Resizing(8, 8, "bicubic").apply({}, image)
    assert resized.dtype == "uint8" and (resized == 250).all()


WRONG = [
    (lambda: fl.RandomRotation(2.0), "give a number from -1 to 1, or two of them"),
    (lambda: fl.RandomZoom(-1.0), "give a number above -1 to 1"),
    (lambda: fl.RandomContrast((0.1, 0.2, 0.3)), "factor="),
    (lambda: fl.RandomBrightness(0.1, (255, 0)), "the least and the greatest value"),
    (lambda: fl.RandomGaussianBlur(kernel_size=4), "give odd numbers"),
    (lambda: fl.Resizing(4, 4, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "choose one"),
    (lambda: fl.RandomFlip("diagonal"), "horizontal_and_vertical"),
    (lambda: fl.RandomColorJitter(hue_factor=3), "RandomColorJitter: .*0 to 1"),
    (lambda: fl.CenterCrop(0, 3), "at least 1"),
    (lambda: fl.RandomFlip().apply({}, np.zeros((4, 5))), r"takes images \(batch, height, width, channels\)"),
    (lambda: fl.RandomHue(0.1).apply({}, np.zeros((4, 5, 1))), "3 channels, got 1"),
    (lambda: fl.RandomFlip().apply({}, {"image": np.zeros((4, 5, 1))}), "a dict of 'images'"),
    (lambda: fl.RandomFlip().apply({}, square(1)), "give bounding_box_format"),
    (lambda: fl.Pipeline([]), "takes a list of layers"),
    (lambda: fl.RandomColorJitter(hue_factor=2), "hue_factor=2 is wrong; give a number from 0 to 1"),
    (lambda: fl.MelSpectrogram(max_freq=0.0), "max_freq=0.0: give frequencies from 0, the first below the second"),
]


@pytest.mark.parametrize("make, words", WRONG, ids=lambda part: part if isinstance(part, str) else "")
def test_errors_say_what_to_write(make, words):
    with pytest.raises(fl.LayerError, match=words):
        make()


def test_a_pipeline_in_a_model():
    model = fl.Sequential([fl.Pipeline([fl.Rescaling(1 / 255), fl.RandomFlip()]), fl.Flatten(), fl.Dense(2)])
    params = model.init(KEY, (None, 4, 4, 3))
    assert model.apply(params, np.ones((2, 4, 4, 3)), rng=KEY, train=True).shape == (2, 2)
    nested = fl.Sequential([fl.Resizing(8, 8, bounding_box_format="xyxy"), fl.RandomFlip(bounding_box_format="xyxy")])
    assert trained(nested, square(2))["bounding_boxes"]["boxes"].shape == (2, 2, 4)
