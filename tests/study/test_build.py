"""What a study folder holds, that a seed fixes it, and which images are refused."""

import io
import json
import os
import shutil
import struct

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tests.real import REAL, needs_real
from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.study.build import Settings, build_2afc, build_survey
from tools.study.folder import load_access, load_key, load_study
from tools.study.order import reading_order
from tools.study.pictures import Geometry, grey_png, grey_values, levels_of, quantised, slice_picture
from tools.transforms.planes import centred
from tools.transforms.window import Window

MODELS = ("crf_gan", "ha_gan")


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_seed_same_bytes_but_for_the_links(make_study):
    first, second = contents(make_study()), contents(make_study())
    assert first.pop("readers.json") != second.pop("readers.json")
    assert first == second
    other = contents(make_study(seed=2))
    assert first["study.json"] != other["study.json"]
    assert set(first) != set(other)


def test_pairs_are_of_the_right_sets_and_volumes_are_not_repeated(study):
    key, questions = load_key(study)["images"], load_study(study).questions
    origins = [sorted(key[name]["origin"] for name in q.images) for q in questions]
    assert [o for o, q in zip(origins, questions, strict=True) if q.section == "origin"] == [["crf_gan", "real"]] * 4
    assert [o for o, q in zip(origins, questions, strict=True) if q.section == "preference"] == [list(MODELS)] * 6
    sources = [image["source"] for image in key.values()]
    assert len(set(sources)) == len(sources) == 20
    assert {q.plane for q in questions} == {"axial", "coronal", "sagittal"}


def test_survey_is_half_real(make_study):
    folder = make_study("survey", scans=8)
    origins = [image["origin"] for image in load_key(folder)["images"].values()]
    assert sorted(origins) == ["real"] * 4 + ["synthetic"] * 4


def test_images_are_those_slices(study, sets):
    """Both images of a pair show the same plane and position of the volumes that the key names."""
    key, manifest = load_key(study)["images"], load_study(study)
    for question in manifest.questions:
        for name in question.images:
            source = key[name]
            volume = np.load(sets / source["origin"] / f"{source['source']}.npy")
            axis = ("axial", "coronal", "sagittal").index(question.plane)
            index = round(question.position * (volume.shape[axis] - 1))
            expected = np.rint(np.rint(np.clip(np.take(volume, index, axis) + 1024, 0, 1624)) * 255 / 1624)
            expected = expected if axis == 0 else expected[::-1]
            shown = np.asarray(Image.open(manifest.image_file(name)))
            top, left = ((a - b) // 2 for a, b in zip(shown.shape, expected.shape, strict=True))
            shown = shown[top : top + expected.shape[0], left : left + expected.shape[1]]
            np.testing.assert_allclose(shown, expected, atol=1)  # halves may be rounded either way


def test_images_differ_in_nothing_but_grey_values(make_study):
    """One size in pixels and bytes, one date, and only the chunks that a PNG must have."""
    for settings in ({}, {"volumes": True}):
        folder = make_study(**settings)
        files = list((folder / "images").iterdir())
        stats = [file.stat() for file in files]
        assert len({(s.st_size, s.st_mtime_ns, s.st_mode) for s in stats}) == 1
        if not settings:
            assert {chunks(file.read_bytes()) for file in files} == {("IHDR", "IDAT", "IEND")}
            assert len({file.read_bytes()[:33] for file in files}) == 1


def chunks(png):
    names, at = [], 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        names.append(name.decode())
        at += length + 12
    return tuple(names)


def test_volumes_are_the_clipped_volumes(make_study, sets):
    folder = make_study(volumes=True)
    manifest, key = load_study(folder), load_key(folder)["images"]
    assert manifest.volumes
    assert manifest.display["levels"] == 1624
    assert manifest.display["hounsfield"] is True
    for name, source in list(key.items())[:3]:
        stack = np.frombuffer(manifest.image_file(name).read_bytes(), "<u2").reshape(manifest.display["shape"])
        volume = np.load(sets / source["origin"] / f"{source['source']}.npy")
        np.testing.assert_array_equal(stack.astype(int) - 1024, np.rint(np.clip(volume, -1024, 600)))


def test_manifest_says_nothing_of_origin(study):
    text = (study / "study.json").read_text() + (study / "readers.json").read_text()
    for word in ("real", "gan", "synthetic", "npy", "source", "seed"):
        # the question of a section and the title may use these words
        assert word not in text.replace("realistic", "")
    assert oct(os.stat(study / "readers.json").st_mode)[-3:] == "600"
    assert oct(os.stat(study / "key").st_mode)[-3:] == "700"


def test_links_cannot_be_guessed(make_study):
    accesses = [load_access(make_study()) for _ in range(2)]
    tokens = [reader.token for access in accesses for reader in access.readers] + [a.admin for a in accesses]
    assert len(set(tokens)) == 8
    assert min(map(len, tokens)) >= 43  # 256 bits


def test_left_and_right_are_balanced_for_readers_and_pairs(make_study):
    folder = make_study(readers=tuple("abcdef"))
    manifest, access, key = load_study(folder), load_access(folder), load_key(folder)["images"]
    reference = {"origin": "real", "preference": "crf_gan"}
    lefts, orders = {}, set()
    for reader in access.readers:
        asked = reading_order(manifest, access, reader, 1)
        assert [one.number for one in asked] == list(range(1, 11))
        assert [one.question.section for one in asked] == ["origin"] * 4 + ["preference"] * 6
        orders.add(tuple(one.question.id for one in asked))
        left = {o.question.id: key[o.images[0]]["origin"] == reference[o.question.section] for o in asked}
        for section, half in (("origin", 2), ("preference", 3)):
            assert sum(left[q.id] for q in manifest.questions if q.section == section) == half
        for question, is_left in left.items():
            lefts.setdefault(question, []).append(is_left)
    assert {sum(of) for of in lefts.values()} == {3}
    assert len(orders) == 6
    assert reading_order(manifest, access, reader, 1) == asked
    assert reading_order(manifest, access, reader, 2) != asked


def saved(folder, volumes, spacing):
    """A folder of NIfTI volumes, each with a voxel size of its own."""
    folder.mkdir()
    for i, (volume, mm) in enumerate(zip(volumes, spacing, strict=True)):
        nib.save(nib.Nifti1Image(np.asarray(volume, np.float32).T, np.diag([mm, mm, mm, 1])), folder / f"{i}.nii.gz")
    return str(folder)


def test_other_geometry_is_refused_and_the_message_says_what_to_do(sets, tmp_path):
    real = str(sets / "real")
    (tmp_path / "other").mkdir()
    for i in range(2):
        np.save(tmp_path / "other" / f"{i}.npy", np.linspace(-1024, 600, 16 * 24 * 30).reshape(16, 24, 30))
    other = str(tmp_path / "other")
    with pytest.raises(ValueError, match=r"(?s)a pair would .* has 20 x 24 x .* 16 x 24 x .*Give --image_size 28 to"):
        build_2afc(tmp_path / "s", real, {"m": other}, 1, 0, Settings())
    with pytest.raises(ValueError, match=r"(?s)a survey's axial scans would show different geometry.*--image_size 28"):
        build_survey(tmp_path / "s", real, other, 2, Settings(planes=("axial",)))
    assert not (tmp_path / "s").exists()
    # what the message says is what helps
    for kind, volumes in (("2afc", False), ("2afc", True), ("survey", False)):
        settings = Settings(image_size=28, volumes=volumes)
        output = tmp_path / f"{kind}{volumes}"
        if kind == "2afc":
            build_2afc(output, real, {"m": other}, 2, 0, settings)
        else:
            build_survey(output, real, other, 4, settings)
        display = load_study(output).display
        assert (display["shape"] if volumes else [display["height"], display["width"]]) == [28] * (3 if volumes else 2)


@needs_real
def test_real_scans_against_phantoms(tmp_path):
    """Scans of 512 x 512 pixels in thick slices beside volumes of another grid: the first message is all one needs."""
    phantoms = write_luna16_phantoms(tmp_path / "phantoms", 2, shape=(32, 40, 40), progress=False)
    arguments = (str(REAL / "chest_ct"), {"m": str(phantoms)}, 2, 0)
    with pytest.raises(ValueError, match="--image_size 40"):
        build_2afc(tmp_path / "s", *arguments, Settings())
    for volumes in (False, True):
        study = load_study(build_2afc(tmp_path / f"{volumes}", *arguments, Settings(image_size=40, volumes=volumes)))
        origins = {image["origin"] for image in load_key(study.folder)["images"].values()}
        assert (len(study.questions), origins) == (2, {"real", "m"})


def test_resizing_keeps_the_volume_and_its_place(sets, tmp_path):
    """A volume whose value is its slice's number is still that after resizing, all along the body."""
    ramp = np.broadcast_to(np.linspace(-1000, 500, 40)[:, None, None], (40, 30, 50))
    folders = [saved(tmp_path / name, [ramp], [2.0]) for name in ("a", "b")]
    settings = Settings(image_size=20, volumes=True)
    study = load_study(build_2afc(tmp_path / "s", folders[0], {"m": folders[1]}, 1, 0, settings))
    stack = np.frombuffer(study.image_file(study.questions[0].images[0]).read_bytes(), "<u2").reshape(20, 20, 20)
    # averaging two slices each, but at the ends
    expected = ramp[:, 0, 0].reshape(20, 2).mean(1)[1:-1]
    np.testing.assert_allclose(stack[1:-1, 7, 11].astype(int) - 1024, expected, atol=1)
    assert np.ptp(stack, axis=(1, 2)).max() <= 1


def test_other_voxel_sizes_are_refused_unless_taken_for_cubes(sets, tmp_path):
    volume = np.load(sets / "real" / "real_0.npy")
    real, other = (saved(tmp_path / f"{mm}", [volume], [mm]) for mm in (1, 1.2))
    with pytest.raises(ValueError, match="as many voxels: give --as_stored"):
        build_2afc(tmp_path / "s", real, {"m": other}, 1, 0, Settings())
    build_2afc(tmp_path / "s", real, {"m": other}, 1, 0, Settings(as_stored=True))


def test_scans_of_a_survey_may_differ_across_the_plane_alone(sets, tmp_path):
    """Axial slices are of one size though one set has more of them; coronal slices are not."""
    volumes = [np.load(sets / "real" / f"real_{i}.npy") for i in range(2)]
    real, other = saved(tmp_path / "a", volumes, [1, 1]), saved(tmp_path / "b", [v[:12] for v in volumes], [1, 1])
    build_survey(tmp_path / "axial", real, other, 4, Settings(planes=("axial",)))
    with pytest.raises(ValueError, match="coronal scans would show different geometry"):
        build_survey(tmp_path / "coronal", real, other, 4, Settings(planes=("coronal",)))


def test_sets_that_end_at_other_values_are_refused(sets, tmp_path):
    """A model whose images are cut off at 200 HU would be known by that, whatever they show."""
    (tmp_path / "m").mkdir()
    for i in range(2):
        np.save(tmp_path / "m" / f"{i}.npy", np.clip(np.load(sets / "real" / f"real_{i}.npy"), -1024, 200))
    arguments = (str(sets / "real"), {"m": str(tmp_path / "m")}, 2, 0)
    with pytest.raises(ValueError, match=r"differ in their range of values .* all of them fill: --window=-10\d\d,200"):
        build_2afc(tmp_path / "s", *arguments, Settings())
    build_2afc(tmp_path / "s", *arguments, Settings(window=(-1020, 200)))


def test_other_units_are_refused(sets, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for i in range(2):
        np.save(other / f"{i}.npy", np.load(sets / "real" / f"real_{i}.npy") / 1024)
    models = {"m": str(other)}
    with pytest.raises(ValueError, match="values differ in kind"):
        build_2afc(tmp_path / "s", str(sets / "real"), models, 2, 0, Settings())
    with pytest.raises(ValueError, match="cover"):
        build_2afc(tmp_path / "s", str(sets / "real"), models, 2, 0, Settings(window=(-160, 240)))
    with pytest.raises(ValueError, match="values differ in kind"):
        build_survey(tmp_path / "s", str(sets / "real"), str(other), 4, Settings())


def test_nan_is_refused(sets, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    volume = np.load(sets / "real" / "real_0.npy")
    volume[3, 4, 5] = np.nan
    np.save(other / "x.npy", volume)
    with pytest.raises(ValueError, match="NaN"):
        build_2afc(tmp_path / "s", str(sets / "real"), {"m": str(other)}, 1, 0, Settings())


def test_volumes_that_cannot_be_shown_are_left_out_as_if_they_were_not_there(sets, tmp_path, caplog):
    """NaN, one value throughout, no image: the study is the one without them, byte for byte, and they are named."""
    folders = {name: tmp_path / name for name in ("real", *MODELS)}
    for name, folder in folders.items():
        shutil.copytree(sets / name, folder)
    arguments = (str(folders["real"]), {name: str(folders[name]) for name in MODELS}, 8, 8, Settings(seed=3))
    expected = contents(build_2afc(tmp_path / "expected", *arguments))
    volume = np.load(folders["real"] / "real_0.npy")
    np.save(folders["real"] / "a_blank.npy", np.full_like(volume, -1000))
    volume[3, 4, 5] = np.nan
    for name, folder in folders.items():
        np.save(folder / f"{name}_nan.npy", volume)
    (folders["crf_gan"] / "z_text.npy").write_text("no array")
    found = contents(build_2afc(tmp_path / "found", *arguments))
    assert expected.pop("readers.json") != found.pop("readers.json")
    assert found == expected
    for name in ("a_blank.npy: it shows nothing", "real_nan.npy: it holds values", "z_text.npy: it is no .npy"):
        assert name in caplog.text
    for file in folders["ha_gan"].iterdir():
        np.save(file, volume)
    with pytest.raises(ValueError, match=r"no volume of ha_gan can be shown: .*NaN"):
        build_2afc(tmp_path / "s", *arguments)


def test_wrong_numbers_are_named(sets, tmp_path, make_study):
    real, models = str(sets / "real"), {name: str(sets / name) for name in MODELS}
    for arguments, message in (
        ((real, models, 0, 0, Settings()), "0 real pairs and 0 model pairs"),
        ((real, {"m": models["crf_gan"]}, 1, 1, Settings()), "section 2 compares two models, got 1"),
        ((real, models, 1, 0, Settings(), ["x"]), "--against names x"),
        ((real, models, 1, 0, Settings(language="xx")), "language is 'xx', expected one of en, it"),
        ((real, models, 1, 0, Settings(planes=("oblique",))), "oblique"),
        ((real, models, 1, 0, Settings(image_size=0)), "--image_size is 0, expected voxels a side"),
        ((real, {"real": real}, 1, 0, Settings()), "a model is named 'real'"),
    ):
        with pytest.raises(ValueError, match=message):
            build_2afc(tmp_path / "s", *arguments)
    with pytest.raises(ValueError, match="--scans is 5"):
        build_survey(tmp_path / "s", real, real, 5, Settings())
    with pytest.raises(FileExistsError, match="choose another folder"):
        build_2afc(make_study(), real, models, 1, 0, Settings())
    with pytest.raises(FileNotFoundError, match="expected a study folder"):
        load_study(tmp_path)


def test_more_pairs_than_volumes_is_said(make_study, caplog):
    make_study(real_pairs=12, model_pairs=0)
    assert "real has 10 volumes" in caplog.text


def test_pixels_are_squares():
    geometry = Geometry((4, 6, 8), (2.0, 1.0, 1.0))
    assert geometry.picture_size("axial") == (6, 8)
    assert geometry.picture_size("coronal") == (8, 8)
    picture = slice_picture(np.full((4, 6, 8), 7, np.uint8), geometry, "sagittal", 3)
    assert picture.shape == (8, 6)
    assert centred(picture, 10, 10).sum() == picture.sum()


def test_png_is_read_back_and_its_size_is_that_of_its_shape():
    rng = np.random.default_rng(0)
    noise, flat = rng.integers(0, 256, (200, 300), np.uint8), np.zeros((200, 300), np.uint8)
    assert len(grey_png(noise)) == len(grey_png(flat))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(grey_png(noise)))), noise)


def test_whole_numbers_and_fractions_look_alike():
    """Real scans hold whole HU, generated ones fractions: grey values must not have another histogram for that."""
    whole = np.random.default_rng(0).integers(-1100, 700, (8, 9, 10)).astype(np.float32)
    fractions = whole + np.random.default_rng(1).uniform(-0.4, 0.4, whole.shape).astype(np.float32)
    for window in (Window(-1024, 600), Window(-160, 240)):
        np.testing.assert_array_equal(grey_values(whole, window), grey_values(fractions, window))


def test_steps_of_values():
    assert levels_of(Window(-1, 1)) == levels_of(Window(0, 255)) == 255
    assert levels_of(Window(-1024, 600)) == 1624
    steps = quantised(np.array([-3000, -1024, -1023.4, 600, 3000.0]), Window(-1024, 600), 1624)
    assert steps.tolist() == [0, 0, 1, 1624, 1624]
    assert quantised(np.array([0.5]), Window(0, 1), 255).dtype == np.uint8


def test_key_can_be_taken_away(study):
    json.loads((study / "key" / "key.json").read_text())
    (study / "key" / "key.json").rename(study / "key.moved")
    with pytest.raises(FileNotFoundError, match="key"):
        load_key(study)
