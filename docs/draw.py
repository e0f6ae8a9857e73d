"""Draw the pictures of README and docs again.

docs/images holds what the README's own programs write, and the contact sheet of docs/images.md: `draw.py sheet` draws
that one alone.
"""

import contextlib
import pathlib
import re
import shutil
import sys
import tempfile
from typing import Any

import jax
import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SHEET = "augmentations.png"


def run_readme(folder: pathlib.Path) -> dict[str, Any]:
    """Run the README's programs in that folder, one after the other, and return the names that they leave."""
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf8"), re.DOTALL)
    names: dict[str, Any] = {}
    with contextlib.chdir(folder):
        for program in programs:
            exec(compile(program, "README.md", "exec"), names)
    return names


def all_augmentations() -> list[Any]:
    """Each layer that augments images by itself, or acts on their colors, so strong that it is seen."""
    import fnlayers as fl

    return [
        *(fl.RandomFlip(), fl.RandomCrop(96, 96), fl.RandomTranslation(0.3, 0.3), fl.RandomRotation(0.15)),
        *(fl.RandomZoom(0.4, 0.4), fl.RandomShear(0.4, 0.4)),
        *(fl.RandomPerspective((1, 1)), fl.RandomElasticTransform((1, 1))),
        *(fl.RandomBrightness(0.3), fl.RandomContrast((0.6, 0.9)), fl.RandomSaturation((0.1, 0.9)), fl.RandomHue(0.5)),
        fl.RandomColorJitter(brightness_factor=0.2, contrast_factor=0.5, saturation_factor=(0.3, 0.7), hue_factor=0.1),
        *(fl.RandomColorDegeneration((0, 1)), fl.RandomGrayscale(), fl.RandomPosterization((1, 5)), fl.RandomInvert()),
        *(fl.Solarization(0.2, 0.8), fl.AutoContrast(), fl.Equalization()),
        fl.ContrastLimitedAdaptiveHistogramEqualization(),
        *(fl.RandomGaussianBlur((1, 1), 9, (0.5, 1)), fl.RandomSharpness((0, 1)), fl.RandomErasing((1, 1))),
        *(fl.MixUp(1), fl.CutMix(), fl.RandAugment(), fl.AugMix()),
    ]  # fmt: skip


def draw_augmentations(path: pathlib.Path, layers: Any = None) -> None:
    """Write the contact sheet of docs/images.md: a photograph in the first column, and what each layer makes of it."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    import fnlayers as fl

    house, flower = load_sample_images().images
    pair = np.stack([house[100:356:2, 200:456:2], flower[80:336:2, 180:436:2]]).astype("float32")
    sheet = fl.show.augmentations(layers or all_augmentations(), pair, rng=jax.random.key(4), columns=4, rows=1)
    sheet.savefig(path, dpi=70)
    with Image.open(path) as drawn:
        drawn.convert("RGB").quantize(128).save(path, optimize=True)


def main() -> None:
    """Replace every picture in docs/images by the one of the same name."""
    draw_augmentations(IMAGES / SHEET)
    if sys.argv[1:] == ["sheet"]:
        return
    with tempfile.TemporaryDirectory() as folder:
        run_readme(pathlib.Path(folder))
        for image in IMAGES.iterdir():
            if image.name != SHEET:
                shutil.copy(pathlib.Path(folder) / image.name, image)


if __name__ == "__main__":
    main()
