"""Small scans to prepare, for the tests of preprocessing and of the cache."""

import numpy as np
import SimpleITK as sitk

from tools.preprocess import preprocess

SIZE = 16


def write_ct(path, seed=0, shape=(20, 48, 40), oblique=False):
    """A body of 40 HU in noisy air; the first two slices are padding of -2000 HU."""
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    hu = np.where(x**2 + (y / 0.6) ** 2 < 0.6, 40, -985) + 15 * np.random.default_rng(seed).standard_normal(shape)
    hu[:2] = -2000
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing((0.7 + 0.01 * seed, 0.8, 2.5))
    image.SetOrigin((-10, 20, -30))
    if oblique:
        c, s = np.cos(0.2), np.sin(0.2)
        image.SetDirection((1, 0, 0, 0, c, -s, 0, s, c))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), path.name.endswith("gz"))


def prepare(dataset, output, **kwargs):
    preprocess(str(dataset), str(output), **{"image_size": SIZE, "workers": 1, **kwargs})
