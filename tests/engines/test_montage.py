"""Montages of what an evaluator makes."""

import logging

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from PIL import Image

from tools.engines.montage import MontageSaver
from tools.transforms.planes import GAP, HEADING, montage


def hounsfield(n, spacing=None):
    generator = torch.Generator().manual_seed(0)
    data = 1000 * torch.rand(n, 1, 8, 12, 16, generator=generator) - 1000
    if spacing is None:
        return data
    return [MetaTensor(v, affine=torch.diag(torch.tensor([*spacing, 1.0]))) for v in data]


def inference(data, saver):
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([{"image": v} for v in data]), batch_size=2),
        network=torch.nn.Identity(),
        val_handlers=[saver],
    )
    evaluator.run()


def test_saver_in_an_evaluator(tmp_path, caplog):
    data = hounsfield(5)
    with caplog.at_level(logging.INFO):
        inference(data, MontageSaver(tmp_path, max_volumes=3))
    written = np.asarray(Image.open(tmp_path / "montage.png"))
    assert np.array_equal(written, montage(list(data[:3, 0]), window=(-1024, 600)))
    assert str(tmp_path / "montage.png") in caplog.text


def test_saver_starts_afresh_and_keeps_small_slices_only(tmp_path):
    saver = MontageSaver(tmp_path, "m.png", window=(-1350, 150))
    inference(hounsfield(3), saver)
    inference(hounsfield(1), saver)
    assert np.asarray(Image.open(tmp_path / "m.png")).shape[0] == 12 + GAP
    assert [picture.shape for picture in saver._rows[0]] == [(12, 16), (8, 16), (8, 12)]
    assert all(picture.dtype == np.uint8 for picture in saver._rows[0])


def test_saver_takes_the_spacing_of_a_metatensor(tmp_path):
    inference(hounsfield(2, spacing=(2, 1, 1)), MontageSaver(tmp_path))
    assert np.asarray(Image.open(tmp_path / "montage.png")).shape == (2 * (16 + GAP), 3 * (16 + GAP))


def test_saver_names_bad_output(tmp_path):
    saver, engine = MontageSaver(tmp_path), Engine(lambda *_: None)
    for output, message in (
        ({"pred": hounsfield(1)}, "got dict"),
        ([{"image": 1}], "with keys"),
        ([{"pred": torch.zeros(8, 8)}], r"'pred' of a montage must be .* got shape \(8, 8\)"),
    ):
        engine.state.output = output
        with pytest.raises(ValueError, match=message):
            saver.collect(engine)
    with pytest.raises(ValueError, match="max_volumes"):
        MontageSaver(tmp_path, max_volumes=0)


def test_columns_are_what_was_given_and_every_channel_of_what_was_made(tmp_path):
    """In this order, each in its own window, as large as asked for."""
    saver = MontageSaver(tmp_path, window=(0, 4), beside={"mr": (0, 1)}, names=["a", "b"], view_size=40)
    engine = Engine(lambda *_: None)
    made = torch.stack([torch.full((8, 12, 16), value) for value in (1.0, 3.0)])
    engine.state.output = [{"mr": torch.ones(1, 8, 12, 16), "pred": made, "id": "patient 7"}] * 2
    saver.collect(engine)
    picture = saver.picture()
    times = 3  # of 16 pixels, to have 40
    height, width = 12 * times + GAP, 16 * times + GAP
    assert picture.shape == (2 * height + HEADING, 9 * width)
    middle = picture[HEADING + height + height // 2, width // 2 :: width]
    assert middle.tolist() == [255] * 3 + [64] * 3 + [191] * 3
    assert saver._columns[0] == "mr, axial"
    assert saver._columns[3:] == [f"{name}, {view}" for name in "ab" for view in ("axial", "coronal", "sagittal")]
    assert saver._titles == ["patient 7"] * 2
    engine.state.output = [{"mr": made, "pred": made}]
    saver.reset()
    saver.collect(engine)
    assert saver._columns[::3] == [f"{name}, axial" for name in ("mr a", "mr b", "a", "b")]
    assert picture[:HEADING, :width].max() == 255  # a name stands there


def test_what_it_should_have_been_is_shown_at_the_right_where_it_is_known(tmp_path):
    saver = MontageSaver(tmp_path, window=(0, 4), after={"true_ct": (0, 2)}, names=["ct"], view_size=16)
    engine = Engine(lambda *_: None)
    known = {"pred": torch.full((1, 8, 12, 16), 1.0), "true_ct": torch.full((1, 8, 12, 16), 2.0)}
    for output, columns, values in (
        (known, ["ct", "true ct"], [64] * 3 + [255] * 3),
        ({"pred": known["pred"]}, ["ct"], [64] * 3),
    ):
        saver.reset()
        engine.state.output = [output]
        saver.collect(engine)
        height, width = 12 + GAP, 16 + GAP
        assert saver.picture()[HEADING + height // 2, width // 2 :: width].tolist() == values
        assert saver._columns[::3] == [f"{column}, axial" for column in columns]


def test_saver_without_predictions_warns(tmp_path, caplog):
    MontageSaver(tmp_path).save(Engine(lambda *_: None))
    assert "no predictions" in caplog.text
    assert not list(tmp_path.iterdir())


def test_pairs_of_2d_images_stand_side_by_side(tmp_path):
    """Input, prediction, and reference where there is one: one column each, in true shape."""
    saver = MontageSaver(
        tmp_path,
        window=(0, 4),
        beside={"image": (0, 1)},
        after={"label": (0, 2), "mask": (0, 1)},
        spacing=(9, 1, 2),
        view_size=8,
    )
    engine = Engine(lambda *_: None)
    engine.state.output = [
        {"image": torch.ones(1, 8, 12), "pred": torch.ones(1, 8, 12), "label": torch.ones(1, 8, 12), "id": "a"}
    ] * 2
    saver.collect(engine)
    saver.save(engine)
    picture = np.asarray(Image.open(tmp_path / "montage.png"))
    height, width = 8 + GAP, 24 + GAP  # pixels of 1 mm
    assert picture.shape == (2 * height + HEADING, 3 * width)
    middle = picture[HEADING + height + height // 2, width // 2 :: width]
    assert middle.tolist() == [255, 64, 128]
    assert saver._columns == ["image", "pred", "label"]


def test_images_are_turned_for_the_picture(tmp_path):
    """However its axes lie in memory, an image with an affine looks as it does in the order that planes are cut in."""
    affine = np.array([[0, 0, -2.0, 50], [0, -3.0, 0, 60], [4.0, 0, 0, 70], [0, 0, 0, 1]])  # axes to S, P, L
    data = [MetaTensor(v, affine=torch.as_tensor(affine)) for v in hounsfield(1)]
    inference(data, MontageSaver(tmp_path / "lying"))
    turned = [v.as_tensor().permute(0, 3, 2, 1).flip(1, 2) for v in data]  # axes to R, A, S
    ras = np.array([[2.0, 0, 0, 50 - 15 * 2], [0, 3.0, 0, 60 - 11 * 3], [0, 0, 4.0, 70], [0, 0, 0, 1]])
    turned = [MetaTensor(v, affine=torch.as_tensor(ras)) for v in turned]
    inference(turned, MontageSaver(tmp_path / "turned", turn=True))
    inference(turned, MontageSaver(tmp_path / "as_it_is"))
    lying, same, other = (
        np.asarray(Image.open(tmp_path / name / "montage.png")) for name in ("lying", "turned", "as_it_is")
    )
    assert np.array_equal(same, lying)
    assert not np.array_equal(other, lying)
    inference(hounsfield(1), MontageSaver(tmp_path / "plain", turn=True))
    plain = np.asarray(Image.open(tmp_path / "plain" / "montage.png"))
    assert np.array_equal(plain, montage(list(hounsfield(1)[:, 0]), window=(-1024, 600)))
