"""The whole life of a bundle of each family: properties, training, resuming, inference, evaluation, two processes.

A new family is covered by existing; what is a bundle's own is tested in ``test_every_bundle.py``.
"""

import csv
import json
import shutil
import sqlite3

import nibabel
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from monai.bundle import ConfigParser, ConfigWorkflow, run
from monai.data import load_decathlon_datalist
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.processes import in_two_processes
from tests.tiny import (
    REPOSITORY,
    TINY,
    asked,
    config_file,
    copy_phantoms,
    family,
    few_steps,
    labels,
    makes_slices,
    takes_data,
    tiny,
    tiny_phantoms,
    train_config,
    translates,
)
from tools.data.studies import translation_studies
from tools.io.volume_reader import volume_header


def update_names(bundle):
    return {update["name"] for update in train_config(bundle)["train"]["updates"]}


def networks_of(folder, epoch):
    return torch.load(folder / "models" / f"checkpoint_epoch={epoch}.pt", weights_only=True)["networks"]


def assert_equal_networks(first, second):
    assert first.keys() == second.keys()
    for name in first:
        for key, value in first[name].items():
            assert torch.equal(value, second[name][key]), f"{name}.{key}"


@pytest.mark.parametrize(
    ("kind", "names"), [("train", ["train"]), ("train", ["train", "evaluate"]), ("infer", ["inference"])]
)
def test_properties(bundle, trained, kind, names, tmp_path):
    """Also before there are any weights: tools look at a bundle before they run it."""
    copy_phantoms(trained, tmp_path)
    overrides = tiny(bundle, tmp_path)
    if kind == "infer":
        overrides = {"bundle_root": str(tmp_path)} | (tiny_phantoms(bundle) if takes_data(bundle) else {})
    if "evaluate" in names:  # the network's size comes with the weights
        overrides = {
            k: v for k, v in overrides.items() if k in ("bundle_root", "batch_size") or k.startswith("phantoms")
        }
    workflow = ConfigWorkflow(config_file=config_file(bundle, *names), workflow_type=kind, **overrides)
    workflow.initialize()
    assert workflow.check_properties() == []


def test_training_leaves_a_model_and_shows_itself(bundle, trained):
    for name in ("model.pt", "model.json", "model_last.pt", "checkpoint_epoch=1.pt", "checkpoint_epoch=2.pt"):
        assert (trained / "models" / name).is_file()
    settings = json.loads((trained / "models" / "model.json").read_text())
    assert settings["data"]["kind"] == "phantom"
    (key_metric,) = train_config(bundle)["validate"]["key_metric"]
    assert settings[key_metric] >= 0
    events = EventAccumulator(str(trained / "eval"), size_guidance={"images": 0})
    events.Reload()
    assert {key_metric, "fid", "mmd", *update_names(bundle)} <= set(events.Tags()["scalars"])
    assert [image.step for image in events.Images("samples")] == [1, 2]
    checkpoint = torch.load(trained / "models" / "checkpoint_epoch=2.pt", weights_only=True)
    assert (checkpoint["epoch"], checkpoint["iteration"]) == (2, 2 * checkpoint["epoch_length"])


def test_a_batch_larger_than_the_data_is_refused_before_training(bundle, trained, tmp_path):
    copy_phantoms(trained, tmp_path)
    with pytest.raises(RuntimeError) as error:
        run(config_file=config_file(bundle, "train"), **tiny(bundle, tmp_path, device="cpu", batch_size=1000))
    assert "--batch_size 1000 is more than the" in str(error.value.__cause__)
    assert not list(tmp_path.glob("models/*.pt"))


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory):
    """The tables of MLflow, which take a second to make, without a run."""
    path = tmp_path_factory.mktemp("mlflow") / "mlruns.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def resumed(bundle, trained, mlflow_database, tmp_path_factory):
    """A folder in which it went on after the first epoch, followed by MLflow; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp(f"{bundle}_resumed")
    copy_phantoms(trained, folder)
    shutil.copytree(trained / "models", folder / "models", ignore=shutil.ignore_patterns("*epoch=2.pt", "model*"))
    (folder / "eval").mkdir()
    shutil.copy(mlflow_database, folder / "eval")
    run(config_file=config_file(bundle, "train"), tracking="mlflow", resume="auto", **tiny(bundle, folder))
    return folder


def test_tracking_with_mlflow(bundle, resumed):
    database = sqlite3.connect(resumed / "eval" / "mlruns.db")
    logged = {key for (key,) in database.execute("SELECT DISTINCT key FROM metrics")}
    parameters = dict(database.execute("SELECT key, value FROM params"))
    database.close()
    updates = train_config(bundle)["train"]["updates"]
    assert {"fid", *(update["name"] for update in updates if update.get("every", 1) == 1)} <= logged
    assert (parameters["image_size"], parameters["seed"]) == (str(TINY["image_size"]), "0")
    assert (parameters["bundle"], parameters["data.kind"]) == (bundle, "phantom")
    assert all(float(parameters[f"learning_rate.{update}"]) > 0 for update in update_names(bundle))


def test_resumed_training_equals_uninterrupted_training(bundle, trained, resumed):
    """From the first epoch's checkpoint, which is not written again, to the last bit of the second's."""
    first, kept = (folder / "models" / "checkpoint_epoch=1.pt" for folder in (trained, resumed))
    assert first.stat().st_mtime_ns == kept.stat().st_mtime_ns
    assert_equal_networks(networks_of(resumed, 2), networks_of(trained, 2))


def test_generation(bundle, trained, tmp_path):
    """Volumes in HU that follow from their seeds, with a true affine, and a picture of them."""
    if translates(bundle):
        pytest.skip("this bundle translates volumes: test_translation")
    if labels(bundle):
        pytest.skip("this bundle makes volumes with labels: test_generation_with_labels")
    options = {"bundle_root": str(trained), "output_dir": str(tmp_path), "device": "cpu"}
    run(config_file=config_file(bundle, "inference"), num_volumes=2, seed=4, **options)
    paths = sorted(tmp_path.glob("*.nii.gz"))
    assert [path.name for path in paths] == [f"{bundle}_seed00004.nii.gz", f"{bundle}_seed00005.nii.gz"]
    volumes = [nibabel.load(path) for path in paths]
    settings = json.loads((trained / "models" / "model.json").read_text())
    low, high = settings["window"]
    for volume in volumes:
        values = np.asarray(volume.dataobj)
        assert values.shape == (TINY["image_size"],) * 3
        assert volume.get_data_dtype() == np.int16
        assert low <= values.min() < values.max() <= high
        assert nibabel.aff2axcodes(volume.affine) == ("R", "A", "S")
        extent = np.array(volume.header.get_zooms()) * values.shape
        assert extent[::-1] == pytest.approx(settings["data"]["field_of_view_mm"], rel=1e-4)
    assert not np.array_equal(*(np.asarray(volume.dataobj) for volume in volumes))
    assert Image.open(tmp_path / "montage.png").size[0] > 3 * TINY["image_size"]

    run(
        config_file=config_file(bundle, "inference"),
        num_volumes=1,
        seed=5,
        **options | {"output_dir": str(tmp_path / "alone")},
    )
    alone = nibabel.load(tmp_path / "alone" / paths[1].name)
    assert np.array_equal(np.asarray(alone.dataobj), np.asarray(volumes[1].dataobj))


def test_generation_with_labels(bundle, trained, tmp_path):
    """A folder that MONAI reads as the Decathlon's: volumes that follow from their seeds, with the classes' labels."""
    if not labels(bundle):
        pytest.skip("this bundle makes volumes without labels")
    options = {"bundle_root": str(trained), "device": "cpu", **asked(bundle)}
    run(config_file=config_file(bundle, "inference"), num_volumes=2, seed=4, output_dir=str(tmp_path), **options)
    config = train_config(bundle)
    classes = {"background": 0} | {name: number for number, name in enumerate(config["labels"], start=1)}
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert content["labels"] == classes
    assert [name.lower() for name in content["channel_names"].values()] == [*config["images"]]
    cases = load_decathlon_datalist(tmp_path / "dataset.json", data_list_key="training")
    by_class = "_class{}" if config.get("classes") else ""
    names = [f"{bundle}_seed{seed:05d}{by_class.format(seed % 2)}" for seed in (4, 5)]
    first = [case["image"] if isinstance(case["image"], str) else case["image"][0] for case in cases]
    assert first == [str(tmp_path / f"imagesTr/{name}_0000.nii.gz") for name in names]
    settings = json.loads((trained / "models" / "model.json").read_text())
    size = settings["image_size"]
    expected = (size, size, 1) if makes_slices(bundle) else tuple(settings["volume_size"][::-1])
    images = []
    for case, path, seed in zip(cases, first, (4, 5), strict=True):
        image = nibabel.load(path)
        assert ("label" in case) == bool(config["labels"])
        label = nibabel.load(case["label"]) if config["labels"] else image
        assert image.shape == label.shape == expected
        assert image.header.get_zooms() == label.header.get_zooms()
        assert np.array_equal(image.affine, label.affine)
        assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
        extent = np.array(image.header.get_zooms()) * image.shape
        assert extent[::-1] == pytest.approx(settings["data"]["field_of_view_mm"], rel=1e-4)
        values = np.asarray(image.dataobj)
        scale = next(iter(config["images"].values()))
        low, high = scale if isinstance(scale, list) else (0, 1000)
        assert low <= values.min() < values.max() <= high
        assert label is image or np.isin(np.asarray(label.dataobj), [*classes.values()]).all()
        assert f"seed {seed}" in str(image.header["descrip"])
        images.append(values)
    assert not np.array_equal(*images)
    views = min(3, len(config["images"])) if makes_slices(bundle) else 3
    assert Image.open(tmp_path / "montage.png").size[0] > views * 192

    alone = tmp_path / "alone"
    run(config_file=config_file(bundle, "inference"), num_volumes=1, seed=5, output_dir=str(alone), **options)
    kinds = {"imagesTr": f"{names[1]}_0000"} | ({"labelsTr": names[1]} if config["labels"] else {})
    for kind, name in kinds.items():
        first, again = (nibabel.load(folder / kind / f"{name}.nii.gz") for folder in (tmp_path, alone))
        assert np.array_equal(np.asarray(first.dataobj), np.asarray(again.dataobj))


def test_inference_without_weights_says_what_to_do(bundle, trained, tmp_path):
    given = trained / "phantoms" / ("Test_Sets" if "modalities" in train_config(bundle) else "")
    data = {"dataset_dir": str(given)} if translates(bundle) else {"num_volumes": 1}
    few = tiny_phantoms(bundle) if takes_data(bundle) else {}
    copy_phantoms(trained, tmp_path)
    with pytest.raises(RuntimeError) as error:
        run(config_file=config_file(bundle, "inference"), bundle_root=str(tmp_path), image_size=32, **data, **few)
    assert "no weights at" in str(error.value.__cause__)
    assert "Train the bundle first" in str(error.value.__cause__)


def test_translation(bundle, trained, tmp_path):
    """Each study of the held-out phantoms becomes a CT in HU on the grid of its MR, whatever the batch."""
    if "modalities" not in train_config(bundle):
        pytest.skip("this bundle does not translate one modality into another")
    options = {"bundle_root": str(trained), "output_dir": str(tmp_path), "device": "cpu", **tiny_phantoms(bundle)}
    run(config_file=config_file(bundle, "inference"), **options)
    paths = sorted(tmp_path.glob("*.nii.gz"))
    studies = translation_studies(trained / "phantoms" / "Test_Sets", train_config(bundle)["modalities"])
    assert len(paths) >= 2
    assert len(paths) % len(studies) == 0  # All-in translates every modality by itself
    low, high = json.loads((trained / "models" / "model.json").read_text())["window"]
    grids = {tuple(np.round(volume_header(study["image"][0]).affine, 3).flatten()) for study in studies}
    for path in paths:
        volume = nibabel.load(path)
        values = np.asarray(volume.dataobj)
        assert volume.get_data_dtype() == np.int16
        assert low <= values.min() < values.max() <= high
        assert tuple(np.round(volume.affine, 3).flatten()) in grids
    assert (tmp_path / "montage.png").is_file()
    together = {"output_dir": str(tmp_path / "together"), "inference_batch_size": 3}
    run(config_file=config_file(bundle, "inference"), **options | together)
    again = np.asarray(nibabel.load(tmp_path / "together" / paths[0].name).dataobj)
    assert np.abs(again - np.asarray(nibabel.load(paths[0]).dataobj)).max() <= 1


def test_translation_by_condition(bundle, trained, tmp_path):
    """Each held-out volume under each condition, on its own grid; the conditions differ in what they make."""
    if "condition_column" not in train_config(bundle):
        pytest.skip("this bundle has no condition that is a number")
    options = {"bundle_root": str(trained), "output_dir": str(tmp_path), "device": "cpu", **tiny_phantoms(bundle)}
    run(config_file=config_file(bundle, "inference"), conditions=[0.6, 1.5], **options)
    grids = {path.name: nibabel.load(path) for path in (trained / "phantoms").rglob("*.nii.gz")}
    paths = sorted(tmp_path.glob("*.nii.gz"))
    assert [path.name.rpartition("_ventricles")[2] for path in paths] == ["0.6_t1.nii.gz", "1.5_t1.nii.gz"] * 2
    made = [nibabel.load(path) for path in paths]
    for path, volume in zip(paths, made, strict=True):
        given = grids[path.name.rpartition("_ventricles")[0] + ".nii.gz"]
        assert volume.shape == given.shape
        assert np.allclose(volume.affine, given.affine, atol=1e-3)
        values = np.asarray(volume.dataobj)
        assert 0 <= values.min() < values.max() <= 1000
    assert not np.array_equal(*(np.asarray(volume.dataobj) for volume in made[:2]))
    assert (tmp_path / "montage.png").is_file()


def test_reconstruction(bundle, trained, tmp_path):
    """Where a bundle has encoders: real volumes come back with their geometry, in HU."""
    if not (REPOSITORY / config_file(bundle, "reconstruct")).is_file():
        pytest.skip("this bundle does not encode volumes")
    if labels(bundle):
        pytest.skip("this bundle encodes volumes with labels: test_reconstruction_with_labels")
    (phantoms,) = trained.glob("phantoms*")
    folder = next(path for path in sorted(phantoms.iterdir()) if path.is_dir())
    options = {"bundle_root": str(trained), "output_dir": str(tmp_path), "dataset_dir": str(folder)}
    run(config_file=config_file(bundle, "reconstruct"), **options)
    (path,) = tmp_path.glob("*_reconstruction.nii.gz")
    volume = nibabel.load(path)
    settings = json.loads((trained / "models" / "model.json").read_text())
    values = np.asarray(volume.dataobj)
    assert values.shape == (TINY["image_size"],) * 3
    assert settings["window"][0] <= values.min() < values.max() <= settings["window"][1]
    assert nibabel.aff2axcodes(volume.affine) == ("R", "A", "S")
    pictures = [np.asarray(Image.open(tmp_path / name)) for name in ("input.png", "reconstruction.png")]
    assert pictures[0].shape == pictures[1].shape
    assert not np.array_equal(*pictures)


def test_reconstruction_with_labels(bundle, trained, tmp_path):
    """Cases of the validation come back under their names, with labels, on voxels of the same extent."""
    if not labels(bundle) or not (REPOSITORY / config_file(bundle, "reconstruct")).is_file():
        pytest.skip("this bundle does not encode volumes with labels")
    options = {"bundle_root": str(trained), "output_dir": str(tmp_path), "dataset_dir": str(trained / "phantoms")}
    run(config_file=config_file(bundle, "reconstruct"), **options)
    name, *_ = sorted(path.name for path in (tmp_path / "imagesTr").iterdir())
    made = nibabel.load(tmp_path / "imagesTr" / name)
    real = nibabel.load(trained / "phantoms" / "imagesTr" / name.replace("_0000.nii.gz", ".nii.gz"))
    settings = json.loads((trained / "models" / "model.json").read_text())
    assert made.shape == tuple(settings["volume_size"][::-1])
    extents = [np.array(image.header.get_zooms()) * image.shape for image in (made, real)]
    assert extents[0] == pytest.approx(extents[1], rel=1e-4)
    label = np.asarray(nibabel.load(tmp_path / "labelsTr" / name.replace("_0000", "")).dataobj)
    assert np.isin(label, [0, *settings["labels"].values()]).all()
    assert Image.open(tmp_path / "reconstruction.png").width >= 18 * 192  # three planes of channels given and made


def test_evaluation(bundle, trained, tmp_path):
    overrides = {"bundle_root": str(trained), "output_dir": str(tmp_path), "device": "cpu"}
    overrides |= tiny_phantoms(bundle) | few_steps(bundle)
    run(config_file=config_file(bundle, "train", "evaluate"), **overrides)
    report = json.loads((tmp_path / "report.json").read_text())
    (space,) = report["spaces"]
    assert "untrained" in space
    assert report["spaces"][space]["models"][bundle]["fid"]["value"] >= 0
    assert set(report["layers"][bundle]) >= {"kl_256", "kl_3", "correlation", "intersection", "spectral_correlation"}
    if "modalities" in train_config(bundle):  # from one to the other
        assert f"fid [{space}]" in report["layers"][bundle]
        assert report["truth"]["translation"]["mae_body"] > 0
    with (tmp_path / "report.csv").open() as file:
        rows = {(row["images"], row["metric"], row["layer"]): row for row in csv.DictReader(file)}
    assert float(rows[bundle, "fid", ""]["value"]) == report["spaces"][space]["models"][bundle]["fid"]["value"]
    page = (tmp_path / "report.html").read_text()
    assert bundle in page
    assert "untrained network" in page


def run_in_process(rank, files, overrides):
    run(config_file=files, **overrides)


def optimizers_of(config):
    """Id and definition of every optimizer, of which updates may share one."""
    for number, update in enumerate(config["train"]["updates"]):
        optimizer = update["optimizer"]
        if isinstance(optimizer, str):
            _, section, name = optimizer.removeprefix("@").split("#")
            yield optimizer.removeprefix("@"), config["train"][section][name]
        else:
            yield f"train#updates#{number}#optimizer", optimizer


def test_two_processes_train_as_one(bundle, trained, tmp_path):
    """Equal weights in both, those of one process with the joined batch, and one writer."""
    saved = f"'{tmp_path}/rank' + str(@rank) + '.pt'"
    state = "{name: network.state_dict() for name, network in @train#trainer.networks.items()}"
    # Adam divides by the gradient's size, which makes a step of the rounding where the gradient is zero
    plain = {
        place: {
            "_target_": "torch.optim.SGD",
            "params": optimizer["params"],
            # each step must stay small where ten losses of order 1 add up, or rounding grows
            "lr": 1e-6 if translates(bundle) or "reconstruction_weight" in train_config(bundle) else 1e-3,
        }
        for place, optimizer in optimizers_of(train_config(bundle))
    }
    # of slices, stacks and nodules there may be an odd number: as many iterations for one process as for two
    if makes_slices(bundle) or {"margins", "outer"} & train_config(bundle).keys():
        plain["train#trainer#epoch_length"] = 4 if makes_slices(bundle) else 2
    if family(bundle) == "auto_encoding_gan":  # batch normalisation of two rows lets rounding grow
        plain["train#trainer#epoch_length"] = 1
    (tmp_path / "plain.json").write_text(json.dumps(plain))
    look = {"run": [*train_config(bundle)["run"], f"$torch.save({state}, {saved})"]}
    (tmp_path / "look.json").write_text(json.dumps(look))
    together, alone = tmp_path / "together", tmp_path / "alone"
    copy_phantoms(trained, together)
    copy_phantoms(trained, alone)
    # a pool of past images belongs to a process
    own = {"batch_size": 2} if translates(bundle) else {"batch_size": 1}
    if "pool_size" in train_config(bundle)["objective"]:
        own |= {"objective#pool_size": 0}
    if "gamma" in train_config(bundle):  # groups are of a process's own rows
        own |= {"discriminator_def#group_size": 1, "gamma": 1, "half_life": 100}
    if "growth" in train_config(bundle):  # two levels, in batches of one size
        own |= {"discriminator_def#group_size": 1, "training_images": 80, "largest_batch": 1}
    if "path_length_weight" in train_config(bundle):  # of half of a process's rows
        own |= {"path_length_weight": 0}
    overrides = tiny(bundle, together, max_epochs=1, **own)
    overlays = [str(tmp_path / name) for name in ("plain.json", "look.json")]
    files = [*config_file(bundle, "train", "multi_gpu_train"), *overlays]
    in_two_processes(run_in_process, files, overrides)
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2))
    assert_equal_networks(first, second)
    assert len(list((together / "models").glob("checkpoint_epoch=1.pt"))) == 1

    files = [config_file(bundle, "train"), overlays[0]]
    joined = own | {"batch_size": 2 * own["batch_size"], "val_interval": 2}  # without a validation
    run(config_file=files, **tiny(bundle, alone, max_epochs=1, **joined))
    one = networks_of(alone, 1)
    for name, state in first.items():
        torch.testing.assert_close(state, one[name], rtol=1e-3, atol=1e-4)


def test_conditional_generation(bundle, tmp_path):
    parser = ConfigParser(train_config(bundle))
    if "num_classes" not in parser:
        pytest.skip("this bundle does not generate by class")
    run(config_file=config_file(bundle, "train"), **tiny(bundle, tmp_path, max_epochs=1, num_classes=2))
    options = {"bundle_root": str(tmp_path), "num_volumes": 1}
    for label in (0, 1):
        run(config_file=config_file(bundle, "inference"), class_label=label, **options)
    volumes = [nibabel.load(path).get_fdata() for path in sorted((tmp_path / "eval").glob("*.nii.gz"))]
    assert len(volumes) == 2
    assert not np.array_equal(*volumes)
