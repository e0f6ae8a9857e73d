"""The contact sheet of augmentations: a row for each image and layer, boxes where they are known."""

import numpy as np
import pytest

import fnlayers as fl


def test_a_sheet_has_each_image_its_versions_and_their_boxes():
    boxes = {"boxes": np.float32([[[1, 1, 4, 3]]] * 2), "labels": np.int32([[1], [-1]])}
    data = {"images": np.full((2, 6, 8, 3), 90.0), "bounding_boxes": boxes}
    sheet = fl.show.augmentations(fl.RandomFlip(bounding_box_format="xyxy"), data, columns=2)
    assert [len(axes.images) for axes in sheet.axes] == [1] * 6
    assert [len(axes.lines) for axes in sheet.axes] == [1, 1, 1, 0, 0, 0]  # padding is not drawn
    masks = {"images": data["images"], "segmentation_masks": np.ones((2, 6, 8), "int32")}
    drawn = fl.show.augmentations(fl.RandomFlip(), masks, columns=1, rows=1)
    assert [len(axes.images) for axes in drawn.axes] == [2] * 2  # the mask over the first image
    with pytest.raises(fl.ConfigError, match=r"takes images \(n, height, width, channels\)"):
        fl.show.augmentations(fl.RandomFlip(), np.zeros((6, 8, 3)))
