"""What real Keras is asked of each layer of images and sounds: options, and what was drawn, in our form and Keras's.

`golden/make_images.py` writes Keras's images, and test_image_numbers.py compares ours.
"""

import numpy as np

HEIGHT, WIDTH = 20, 24
CORNERS = np.array([[0, 0], [WIDTH - 1, 0], [0, HEIGHT - 1], [WIDTH - 1, HEIGHT - 1]], "float32")
MOVED = np.array([[0, 0], [-0.2, 0.3], [0.1, -0.15], [0.05, 0.1]], "float32")

# layer, options, what is given to ours as drawn (None: it is run, with limits that leave nothing to chance), what is
# given to Keras's as its transformation
ENTRIES = [
    ("Resizing", dict(height=13, width=31), None, None),
    ("Resizing", dict(height=13, width=31, interpolation="bicubic"), None, None),
    ("Resizing", dict(height=9, width=9, interpolation="lanczos3", crop_to_aspect_ratio=True), None, None),
    ("Resizing", dict(height=30, width=20, pad_to_aspect_ratio=True, fill_value=7.0), None, None),
    ("Resizing", dict(height=7, width=10, antialias=True), None, None),
    ("CenterCrop", dict(height=9, width=10), None, None),
    ("CenterCrop", dict(height=30, width=11), None, None),
    ("RandomCrop", dict(height=9, width=10), np.array([4, 5], "int32"), (4, 5)),
    ("RandomCrop", dict(height=30, width=11), None, None),
    ("RandomFlip", dict(mode="horizontal"), np.array([True, False]), dict(flips=np.ones((1, 1, 1, 1), bool))),
    ("RandomFlip", dict(mode="vertical"), np.array([False, True]), dict(flips=np.ones((1, 1, 1, 1), bool))),
    ("RandomTranslation", dict(height_factor=(0.13, 0.13), width_factor=(-0.21, -0.21)), None, None),
    ("RandomTranslation", dict(height_factor=(0.4, 0.4), width_factor=(0.3, 0.3), fill_mode="wrap"), None, None),
    ("RandomRotation", dict(factor=(0.07, 0.07)), None, None),
    (
        "RandomRotation",
        dict(factor=(-0.2, -0.2), fill_mode="constant", fill_value=9.0, interpolation="nearest"),
        None,
        None,
    ),
    ("RandomZoom", dict(height_factor=(0.3, 0.3), fill_mode="nearest"), None, None),
    ("RandomZoom", dict(height_factor=(-0.4, -0.4), width_factor=(0.2, 0.2)), None, None),
    (
        "RandomShear",
        dict(x_factor=0.5, y_factor=0.5),
        np.float32([0.3, -0.12]),
        dict(shear_factor=np.float32([[0.3, -0.12]])),
    ),
    (
        "RandomPerspective",
        dict(fill_value=3.0),
        dict(applied=np.array(True), moved=MOVED),
        dict(apply_perspective=np.array([True]), start_points=CORNERS[None], end_points=(CORNERS * (1 + MOVED))[None]),
    ),
    ("RandomBrightness", dict(factor=(0.2, 0.2)), None, None),
    ("RandomContrast", dict(factor=0.5), np.float32(1.4), dict(contrast_factor=np.full((1, 1, 1, 1), 1.4, "float32"))),
    ("RandomSaturation", dict(factor=(0.3, 0.3)), None, None),
    ("RandomSaturation", dict(factor=(0.6, 0.6)), None, None),
    ("RandomHue", dict(factor=0.5), np.float32(0.2), dict(factor=np.float32([0.2]))),
    ("RandomHue", dict(factor=0.5), np.float32(-0.1), dict(factor=np.float32([-0.1]))),
    ("RandomColorJitter", dict(brightness_factor=(0.1, 0.1), saturation_factor=(0.4, 0.4)), None, None),
    ("RandomColorDegeneration", dict(factor=(0.7, 0.7)), None, None),
    ("RandomGrayscale", dict(factor=1.0), None, None),
    ("RandomPosterization", dict(factor=(3, 3)), None, None),
    ("RandomInvert", dict(factor=(1, 1)), None, None),
    (
        "Solarization",
        dict(addition_factor=0.5, threshold_factor=0.5),
        np.float32([20, 100]),
        dict(additions=np.full((1, 1, 1, 1), 20.0, "float32"), thresholds=np.full((1, 1, 1, 1), 100.0, "float32")),
    ),
    (
        "RandomGaussianBlur",
        dict(kernel_size=(5, 3), sigma=1.0),
        dict(applied=np.array(True), sigma=np.float32([0.9, 0.6])),
        dict(should_apply_blur=np.array([True]), blur_factor=np.float32([0.9, 0.6])),
    ),
    ("RandomSharpness", dict(factor=(0.9, 0.9)), None, None),
    ("RandomSharpness", dict(factor=(0.1, 0.1)), None, None),
    ("AutoContrast", dict(), None, None),
    ("Equalization", dict(), None, None),
    ("Equalization", dict(bins=64), None, None),
    ("ContrastLimitedAdaptiveHistogramEqualization", dict(tile_grid_size=(3, 4)), None, None),
    ("ContrastLimitedAdaptiveHistogramEqualization", dict(tile_grid_size=(2, 2), clip_limit=0.0), None, None),
    ("Resizing", dict(height=13, width=31, interpolation="nearest"), None, None),
    ("Resizing", dict(height=7, width=31, interpolation="lanczos5", antialias=True), None, None),
    (
        "Resizing",
        dict(height=7, width=10, interpolation="bicubic", antialias=True, pad_to_aspect_ratio=True),
        None,
        None,
    ),
    (
        "Resizing",
        dict(height=11, width=5, interpolation="lanczos3", antialias=True, crop_to_aspect_ratio=True),
        None,
        None,
    ),
]
WEIGHTS = np.float32([0.3, 0.8])  # of MixUp
EDGES = np.float32([[3.3, 5.0], [11.6, 17.2]])  # of a rectangle that is cut out: top, left; bottom, right

SOUNDS = [
    *(("STFTSpectrogram", dict(mode=mode, frame_length=20)) for mode in ("log", "psd", "imag", "stft")),
    ("STFTSpectrogram", dict(mode="magnitude", frame_length=16, frame_step=5, fft_length=40, padding="same")),
    ("STFTSpectrogram", dict(mode="log", frame_length=16, scaling="spectrum", periodic=True, expand_dims=True)),
    ("STFTSpectrogram", dict(mode="angle", frame_length=16, window=None, data_format="channels_first")),
    ("MelSpectrogram", dict(fft_length=64, sequence_stride=20, num_mel_bins=7, sampling_rate=2000)),
    ("MelSpectrogram", dict(fft_length=64, sequence_stride=20, sequence_length=50, mag_exp=1.0, power_to_db=False)),
    ("MelSpectrogram", dict(fft_length=32, sequence_stride=9, window="hamming", max_freq=3000.0, ref_power=5.0)),
]


def chirp() -> np.ndarray:
    """Two sounds of two channels that rise in pitch, (2, 150, 2)."""
    time = np.arange(150) / 150
    rates = np.array([[20, 45], [70, 31]])
    waves = np.sin(rates[:, None] * (time + time**2)[:, None]) + 0.1 * np.cos(900 * time**2)[:, None]
    return waves.astype("float32")


def photograph(whole: bool = False) -> np.ndarray:
    """A part of a photograph that scikit-learn ships, one image in a batch, of 0 to 255."""
    from sklearn.datasets import load_sample_image

    image = load_sample_image("china.jpg").astype("float32")[None]
    return image if whole else image[:, 60 : 60 + 8 * HEIGHT : 8, 250 : 250 + 8 * WIDTH : 8]
