"""The filters of a convolution, as small images."""

import numpy as np
import pytest

import fnlayers as fl
from fnlayers.show import filters

KERNEL = np.random.default_rng(0).normal(size=(2, 3, 3, 5)).astype("float32")


def images(figure):
    return [axes.get_images()[0].get_array() for axes in figure.axes]


def test_kernels_that_read_three_channels_are_in_color(tmp_path):
    drawn = images(filters(KERNEL, tmp_path / "filters.png"))
    assert np.shape(drawn) == (5, 2, 3, 3)
    for i, image in enumerate(drawn):
        one = KERNEL[..., i]
        np.testing.assert_allclose(image, (one - one.min()) / (one.max() - one.min()), rtol=1e-6)
    assert (tmp_path / "filters.png").read_bytes().startswith(b"\x89PNG")


def test_others_have_a_row_for_each_filter_in_one_scale():
    kernel = KERNEL.transpose(0, 1, 3, 2)  # 5 channels, 3 filters
    figure = filters(kernel, channels=2)
    for position, image in enumerate(images(figure)):
        np.testing.assert_array_equal(image, kernel[:, :, position % 2, position // 2])
    assert len(figure.axes) == 6
    top = float(np.abs(kernel).max())
    assert {axes.get_images()[0].get_clim() for axes in figure.axes} == {(-top, top)}


def test_kernels_of_one_channel_stand_side_by_side():
    figure = filters(KERNEL[:, :, :1], limit=4, columns=3)
    np.testing.assert_array_equal(images(figure), np.moveaxis(KERNEL[:, :, 0, :4], -1, 0))


def test_a_filter_of_one_number_is_gray():
    np.testing.assert_array_equal(images(filters(np.ones((1, 1, 3, 1)))), np.full((1, 1, 1, 3), 0.5))


@pytest.mark.parametrize(
    ("kernel", "options", "message"),
    [
        (np.ones((3, 4)), {}, r"takes a kernel \(height, width, channels in, filters\).*got one of shape \(3, 4\)"),
        (np.ones((3, 3, 0, 4)), {}, r"shape \(3, 3, 0, 4\)"),
        ({"kernel": KERNEL}, {}, r"such as params\['conv2d'\]\['kernel'\]"),
        (KERNEL, {"limit": 0}, r"\(limit=0\): give a whole number above 0"),
        (KERNEL, {"columns": 1.5}, r"\(columns=1.5\)"),
    ],
)
def test_what_is_no_such_kernel(kernel, options, message):
    with pytest.raises(fl.ConfigError, match=f"show.filters.*{message}"):
        filters(kernel, **options)
