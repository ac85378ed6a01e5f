"""Labelled data preprocessed once: what is written is what a training from originals keeps, and is read as it is."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from tests.real import REAL, needs_real
from tools.data.cases import case_datalist
from tools.data.cubes import Cubes
from tools.data.phantoms.msd import write_msd_phantoms
from tools.data.phantoms.rsna_ich import write_rsna_ich_phantoms
from tools.data.provenance import data_provenance
from tools.data.sample_store import SampleStore
from tools.data.scans import scan_datalist
from tools.data.stored_samples import SampleMaker
from tools.data.volume_samples import VolumeSamples
from tools.datasets.bleedings import RSNA_ICH
from tools.datasets.decathlon import HIPPOCAMPUS
from tools.io.volume import VolumeError
from tools.preprocess import preprocess
from tools.transforms.channels import Channels
from tools.transforms.sample_volumes import sample_volumes
from tools.transforms.samples import sample_slices

SIZE = [12, 16, 12]
CHANNELS = Channels({"mr": 99.5}, {"anterior": 1, "posterior": 2})


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_msd_phantoms(tmp_path_factory.mktemp("set") / "msd", "hippocampus", 6, 0, (18, 25, 17))


def volumes(folder, cache, section="training", **options):
    data = case_datalist(HIPPOCAMPUS, folder, section, ["mr"], labelled=True)
    return VolumeSamples(data, sample_volumes(CHANNELS, SIZE, "MR"), CHANNELS, cache, **options)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "preprocessed.json"}


def same(one, other):
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else a[k] == b[k] for k in a)


@pytest.mark.filterwarnings("ignore:.*is for validation")
def test_volumes_are_those_of_a_training(original, tmp_path, capsys):
    preprocess(original, tmp_path / "out", SIZE, kind="volumes", workers=1)
    assert "6 cases as volumes, mr, anterior, posterior, are in" in capsys.readouterr().out
    for section in ("training", "validation"):
        same(volumes(tmp_path / "out", None, section), volumes(original, None, section))
    volumes(original, tmp_path / "cache", num_workers=2)
    volumes(original, tmp_path / "cache", "validation")
    assert content(tmp_path / "cache") == content(tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "moved")  # of which nothing needs the original
    same(volumes(tmp_path / "moved", tmp_path / "cache"), volumes(original, None))
    sample = volumes(tmp_path / "moved", None)[0]
    assert sample["image"].shape == (1, *SIZE)
    assert sample["label"].shape == (1, *SIZE)
    assert sample["field_of_view_mm"].tolist() == pytest.approx([36, 50, 34], rel=0.1)
    told = data_provenance(tmp_path / "moved", volumes(tmp_path / "moved", None).data, [[1, 2, 3]])
    assert told["kind"] == "phantom"
    assert told["preprocessed"]["labels"] == {"anterior": 1, "posterior": 2}


def test_what_else_an_item_says_comes_with_its_sample(original, tmp_path):
    data = case_datalist(HIPPOCAMPUS, original, "training", ["mr"], labelled=True)
    chain = sample_volumes(CHANNELS, SIZE, "MR")
    plain = VolumeSamples(data, chain, CHANNELS, tmp_path)
    before = content(tmp_path)
    seeded = [item | {"seed": 7} for item in data]
    with_seed = VolumeSamples(seeded, chain, CHANNELS, tmp_path)
    assert content(tmp_path) == before
    assert with_seed[1].keys() - plain[1].keys() == {"seed"}
    assert with_seed[1]["seed"] == 7


@pytest.mark.parametrize("bits", [8, 16])
def test_slices(original, tmp_path, bits):
    preprocess(original, tmp_path / "out", 16, kind="slices", field_of_view=60, bits=bits, workers=1)
    chain = sample_slices(CHANNELS, 16, 60, "MR")
    data = case_datalist(HIPPOCAMPUS, original, "training", ["mr"], labelled=True)
    stored = case_datalist(HIPPOCAMPUS, tmp_path / "out", "training", ["mr"], labelled=True)
    same(SampleStore(stored, chain, CHANNELS, None), SampleStore(data, chain, CHANNELS, None, bits=bits))


def test_other_settings_are_refused_and_say_what_to_run(original, tmp_path):
    preprocess(original, tmp_path / "out", SIZE, kind="volumes", workers=1)
    data = case_datalist(HIPPOCAMPUS, tmp_path / "out", "training")
    other = Channels({"mr": 100}, {"anterior": 1, "posterior": 2})
    with pytest.raises(ValueError, match=r"mr': 99.5.*asked for is volumes.*mr': 100.*--images \"\{'mr': 100"):
        VolumeSamples(data, sample_volumes(other, SIZE, "MR"), other, None)
    with pytest.raises(ValueError, match="asked for is slices with image_size 16"):
        SampleStore(data, sample_slices(CHANNELS, 16, modality="MR"), CHANNELS, None)
    with pytest.raises(VolumeError, match="no classes of the dataset's table, expected the findings"):
        case_datalist(HIPPOCAMPUS, tmp_path / "out", "training", findings=True)
    with pytest.raises(VolumeError, match="it was preprocessed as labelled volumes"):
        Cubes("t1", tmp_path / "out", 16)
    with pytest.raises(ValueError, match=r"asked for is volumes with image_size \[8, 8, 8\]"):
        preprocess(original, tmp_path / "out", 8, kind="volumes")
    with pytest.raises(ValueError, match="has 32 bits a voxel, asked for are 16"):
        preprocess(original, tmp_path / "out", SIZE, kind="volumes", bits=16)
    with pytest.raises(ValueError, match="labels are options of the kinds volumes and slices, but kind is 'ct'"):
        preprocess(original, tmp_path / "new", 8, labels={"a": 1})
    with pytest.raises(ValueError, match="no image is CT"):
        preprocess(original, tmp_path / "new", 8, kind="slices", window=(0, 80))
    with pytest.raises(ValueError, match="preprocessed already"):
        preprocess(tmp_path / "out", tmp_path / "new", 8, kind="slices")
    assert not (tmp_path / "new").exists()


def test_a_damaged_sample_is_named(original, tmp_path):
    preprocess(original, tmp_path / "out", SIZE, kind="volumes", workers=1)
    first = case_datalist(HIPPOCAMPUS, tmp_path / "out", "training")[0]
    array = next((tmp_path / "out").glob(f"{first['id']}-*.image.npy"))
    content = bytearray(array.read_bytes())
    content[-100] ^= 0x10
    array.write_bytes(content)
    assert len(volumes(tmp_path / "out", None)) == 4
    with pytest.warns(UserWarning, match="another checksum.*preprocess the original dataset again"):
        assert len(volumes(tmp_path / "out", None, verify=True)) == 3


def test_an_interrupted_run_is_continued(original, tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    shutil.copytree(original, mine)
    bad = sorted((mine / "imagesTr").glob("*.nii*"))[2]
    whole = bad.read_bytes()
    bad.write_bytes(whole[:400])
    made = []
    computed = SampleMaker._computed

    def watched(self, item):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(item["id"])
        return computed(self, item)

    with monkeypatch.context() as patch:
        patch.setattr(SampleMaker, "_computed", watched)
        with pytest.raises(KeyboardInterrupt):
            preprocess(mine, tmp_path / "out", SIZE, kind="volumes", workers=1)
    with pytest.raises(VolumeError, match="its preprocessing was interrupted"):
        case_datalist(HIPPOCAMPUS, tmp_path / "out", "training")
    again = []
    monkeypatch.setattr(SampleMaker, "_computed", lambda self, item: again.append(item["id"]) or computed(self, item))
    preprocess(mine, tmp_path / "out", SIZE, kind="volumes", workers=1)
    assert not {*made} & {*again}
    info = json.loads((tmp_path / "out/preprocessed.json").read_text())
    assert (len(info["volumes"]), len(info["bad"])) == (5, 1)


def test_volumes_under_any_names(tmp_path):
    """A label map is told by its name; the image may be given any name, so that a bundle's own reads the folder."""
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        voxels = rng.uniform(0, 90, (8, 9, 10)).astype(np.float32)
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / f"{name}.nii")
        if name != "c":
            values = rng.integers(0, 3, (8, 9, 10), np.uint8)
            nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / f"{name}_seg.nii")
    out, labels = tmp_path.with_name("own_out"), {"anterior": 1, "posterior": 2}
    preprocess(tmp_path, out, SIZE, kind="volumes", images={"mr": 99.5}, labels=labels, modality="MR", workers=1)
    with pytest.warns(UserWarning, match="is for validation"):
        assert len(volumes(out, None, "validation")) == 2
    assert json.loads((out / "preprocessed.json").read_text())["bad"] == {"c": "lacks a label map"}


def test_slices_with_findings_of_a_table(tmp_path):
    root = write_rsna_ich_phantoms(tmp_path / "rsna", 3, 0, (16, 32, 32))
    preprocess(root, tmp_path / "out", 24, kind="slices", window=(0, 80), workers=1)
    channels = Channels({"ct": (0, 80)})
    chain = sample_slices(channels, 24, modality="CT")
    made = [
        SampleStore(scan_datalist(RSNA_ICH, folder, "training"), chain, channels, None)
        for folder in (root, tmp_path / "out")
    ]
    same(*made)
    assert made[1].classes().shape == (len(made[1]), len(RSNA_ICH.findings))


def test_pictures(tmp_path):
    (tmp_path / "grey").mkdir()
    for number in range(4):
        Image.fromarray(np.full((10, 10), 60 * number, np.uint8)).save(tmp_path / f"grey/{number}.png")
    preprocess(tmp_path / "grey", tmp_path / "out", 8, kind="slices", workers=1)
    info = json.loads((tmp_path / "out/preprocessed.json").read_text())
    assert info["images"] == {"image": [0, 255]}
    with pytest.raises(ValueError, match="kind is 'volumes', but the data are 4 pictures"):
        preprocess(tmp_path / "grey", tmp_path / "volumes", 8, kind="volumes")


@needs_real
def test_real_hippocampi(tmp_path):
    part = tmp_path / "part"
    for folder in ("imagesTr", "labelsTr"):
        (part / folder).mkdir(parents=True)
        for path in sorted((REAL / "hippocampus" / folder).iterdir())[:3]:
            shutil.copy(path, part / folder)
    preprocess(part, tmp_path / "out", SIZE, kind="volumes", workers=1)
    same(volumes(tmp_path / "out", None), volumes(part, None))
