"""The same slices from a dataset of another year, from another layout, from scans, and from pictures."""

import zipfile

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tools.data.phantoms.brats import write_brats_phantoms
from tools.data.phantoms.rsna_ich import write_rsna_ich_phantoms
from tools.data.sample_store import SampleStore
from tools.data.slice_classes import ClassedSlices, SomeSlices
from tools.data.slice_datalist import slice_datalist
from tools.datasets.bleedings import RSNA_ICH
from tools.datasets.brats import BRATS
from tools.transforms.channels import Channels
from tools.transforms.samples import sample_slices

CHANNELS = Channels({"t1": 99.5, "flair": 99.5}, BRATS.labels.classes)


def stored(items, channels=CHANNELS, **options):
    return SampleStore(items, sample_slices(channels, 16, **options), channels, None)


@pytest.mark.parametrize(("year", "values"), [(2020, (1, 2, 4)), (2023, (1, 2, 3))])
def test_brats_of_either_year_gives_the_same_classes(tmp_path, year, values):
    write_brats_phantoms(tmp_path / "brats", 2, shape=(26, 40, 40), names=year, progress=False)
    items = slice_datalist(BRATS, tmp_path / "brats", "training", CHANNELS)
    store = SampleStore(items, sample_slices(CHANNELS, 40), CHANNELS, None)
    label = np.asarray(nib.load(items[0]["label"]).dataobj)
    for name, value in zip(CHANNELS.labels, values, strict=True):
        pixels = (label == value).sum((0, 1))[store.slice_of[store.volume_of == 0]]
        assert store.pixels([name])[store.volume_of == 0].tolist() == pixels.tolist()
        assert pixels.any()


def test_scans_of_single_slices_with_what_each_shows(tmp_path):
    write_rsna_ich_phantoms(tmp_path / "rsna", 4, shape=(16, 32, 32), progress=False)
    channels = Channels({"ct": [0, 80]})
    items = slice_datalist(RSNA_ICH, tmp_path / "rsna", "training", channels, findings=True)
    store = stored(items, channels, modality="CT")
    assert store.classes().shape == (len(store), len(RSNA_ICH.findings))


@pytest.mark.parametrize("zipped", [True, False])
def test_pictures(tmp_path, zipped):
    for number in range(25):
        Image.fromarray(np.full((16, 16), 10 * number, np.uint8)).save(tmp_path / f"{number:03d}.png")
    place = tmp_path
    if zipped:
        place = tmp_path / "all.zip"
        with zipfile.ZipFile(place, "w") as archive:
            for path in sorted(tmp_path.glob("*.png")):
                archive.write(path, path.name)
    channels = Channels({"image": [0, 255]})
    training, validation = (slice_datalist(BRATS, place, part, channels) for part in ("training", "validation"))
    assert [name for item in validation for name in item["names"]] == ["023.png", "024.png"]
    store = stored(training, channels)
    assert len(store) == 22  # the first is blank
    assert store[0]["image"].unique().tolist() == pytest.approx([10 / 127.5 - 1], abs=1e-3)
    assert store.fields_of_view() == [[1.0, 16, 16]]
    assert [SomeSlices(ClassedSlices(store), 2)[n]["id"] for n in range(2)] == ["006", "017"]
    with pytest.raises(ValueError, match="holds pictures, which have no labels"):
        slice_datalist(BRATS, place, "training", CHANNELS)
