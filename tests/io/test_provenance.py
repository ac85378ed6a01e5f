"""Every file says that it is synthetic and where it comes from, to nibabel, pydicom and Pillow."""

import hashlib
import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.transforms import Compose, Orientationd, SaveImaged
from PIL import Image

from tools.engines.generation import write_by_slabs
from tools.engines.montage import MontageSaver
from tools.io.dicom_writer import write_dicom_series
from tools.io.provenance import Provenance, description
from tools.networks.hierarchical_gan import Generator
from tools.transforms.save import SaveTranslationd
from tools.transforms.volume import PlaceVolumed, StateProvenanced, WholeFileWriter

NAME = "cyclegan_mri2ct_inphase_plus"


@pytest.fixture
def provenance(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"weights")
    return Provenance(NAME, "0.2.0", tmp_path / "model.pt")


def told(path):
    """What nibabel reads of a file: (descrip, the extension's record)."""
    header = nib.load(path).header
    (extension,) = header.extensions
    assert extension.get_code() == 6  # a comment, of which no reader expects anything
    assert header.get_xyzt_units()[0] == "mm"
    return bytes(header["descrip"]).rstrip(b"\0").decode("ascii"), extension.json()


def check(record, seed):
    assert record["synthetic"] is True
    assert (record["bundle"], record["version"], record["seed"]) == (NAME, "0.2.0", seed)
    assert record["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert record["software"]["PyTorch"] == torch.__version__


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_generated_nifti(tmp_path, provenance, ending):
    chain = Compose(
        [
            PlaceVolumed("pred", (100.0, 90.0, 80.0)),
            Orientationd("pred", axcodes="RAS"),
            StateProvenanced("pred", provenance),
            SaveImaged(
                "pred",
                output_dir=tmp_path,
                output_postfix="",
                output_ext=ending,
                output_dtype="int16",
                writer=WholeFileWriter,
                separate_folder=False,
                resample=False,
            ),
        ]
    )
    volume = torch.arange(4 * 5 * 6.0).reshape(1, 4, 5, 6)
    chain({"pred": volume, "name": "one", "seed": torch.tensor(4294967295)})
    text, record = told(tmp_path / f"one{ending}")
    check(record, 4294967295)
    assert text == f"synthetic {NAME} 0.2.0 sha256 {record['weights_sha256'][:10]} seed 4294967295"
    assert len(text) <= 79
    # the voxels behind the extension are where the header says
    values = np.asarray(nib.load(tmp_path / f"one{ending}").dataobj)
    assert np.array_equal(np.sort(values, axis=None), np.arange(4 * 5 * 6))


def test_a_volume_in_slabs(tmp_path, provenance):
    generator = Generator(image_size=32, latent_dim=4, base_channels=16).eval()
    given = (generator, torch.randn(1, 4))
    with torch.no_grad():
        write_by_slabs(*given, tmp_path / "plain.nii", (-1000, 1000), (320.0,) * 3)
        write_by_slabs(*given, tmp_path / "told.nii", (-1000, 1000), (320.0,) * 3, provenance=provenance.record(3))
    check(told(tmp_path / "told.nii")[1], 3)
    plain, with_words = (np.asarray(nib.load(tmp_path / f"{name}.nii").dataobj) for name in ("plain", "told"))
    assert np.array_equal(plain, with_words)


def test_translated_nifti_and_dicom(tmp_path, provenance):
    affine = np.diag([-2.0, -2.0, 5.0, 1.0])
    made = MetaTensor(torch.ones(1, 3, 4, 5), affine=torch.as_tensor(affine))
    made.meta |= {"original_affine": affine, "filename_or_obj": "somewhere.nii"}
    for modality in ("CT", "MR"):
        save = SaveTranslationd(
            "pred", tmp_path, names=[modality], modality=modality, dicom=True, provenance=provenance
        )
        save({"pred": made, "id": "a"})
        check(told(tmp_path / f"a_{modality}.nii.gz")[1], None)
        for path in (tmp_path / f"a_{modality}").iterdir():
            dataset = pydicom.dcmread(path)
            assert dataset[0x0008, 0x001C].value == "YES"
            assert dataset.ManufacturerModelName == NAME
            assert dataset.SoftwareVersions[0] == "0.2.0"
            assert f"PyTorch {torch.__version__}" in list(dataset.SoftwareVersions)
            check(json.loads(dataset.ImageComments), None)
            assert "synthetic" in dataset.SeriesDescription
            assert "EchoTime" not in dataset
            assert "RepetitionTime" not in dataset


def test_dicom_says_that_it_is_synthetic_whoever_writes_it(tmp_path):
    """Phantoms too; a known echo time is written."""
    folder = write_dicom_series(tmp_path / "mr", np.ones((3, 3, 2)), np.eye(4), "MR", rescale=(1, 0), echo_time=2.3)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        assert (dataset.SyntheticData, dataset.EchoTime) == ("YES", 2.3)
        assert "RepetitionTime" not in dataset
        assert "ManufacturerModelName" not in dataset


def test_montage(tmp_path, provenance):
    engine = Engine(lambda engine, batch: [{"pred": torch.rand(1, 4, 4, 4)}])
    MontageSaver(tmp_path, provenance=provenance).attach(engine)
    engine.run([0])
    text = Image.open(tmp_path / "montage.png").text
    check(json.loads(text["provenance"]), None)
    assert text["Description"].startswith(f"synthetic {NAME}")


def test_weights_that_are_not_there_have_no_hash(tmp_path):
    """As in an exported network."""
    record = Provenance("b", "1.0.0", tmp_path / "none.pt").record()
    assert record["weights_sha256"] is None
    assert description(record) == "synthetic b 1.0.0"


def test_a_long_name_is_cut_and_nothing_else(provenance):
    long = Provenance("ä" * 100, "0.2.0", provenance.weights).record(7)
    text = description(long)
    assert len(text.encode()) == 79
    assert text.isascii()
    assert text.endswith(f" 0.2.0 sha256 {long['weights_sha256'][:10]} seed 7")
