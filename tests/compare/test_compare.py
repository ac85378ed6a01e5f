"""The comparison of two bundles of the smallest size, its parts, and how it goes on."""

import ast
import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from monai.bundle import ConfigParser, run

from tools.__main__ import main
from tools.compare import command as comparing
from tools.compare import running
from tools.compare.checks import Entrant
from tools.compare.configs import config_of, overrides_for, stages_of, train_config, unused
from tools.compare.design import Run, RunFolder, moments_of, runs_of, seconds_of, seeds_of
from tools.compare.measuring import measure
from tools.compare.results import gathered
from tools.engines.weights import settings_in
from tools.torch_files import read_state_dict

SMALL = {
    "latent_dim": 8,
    "base_channels": 16,
    "discriminator_channels": 64,
    "network_channels": [8, 16],
    "sizes": [16, 32],
    "steps": 2,
    "phantoms#count": 8,
    "phantoms#shape": [32, 32, 32],
    "validation_subsets": [0, 1, 9],
}
NAMES = ("crf_gan_luna16", "rflow_luna16")


def command(folder, *options, overrides=SMALL, bundles=NAMES):
    main(
        [
            "compare",
            f"--bundles={','.join(bundles)}",
            f"--output_dir={folder}",
            f"--overrides={overrides}",
            "--image_size=32",
            "--batch_size=2",
            "--features=untrained",
            "--moments=0.5",
            "--resamples=4",
            "--device=cpu",
            *options,
        ]
    )


class Here:
    """Runs in this process what has a process of its own; those whose name says so fail instead."""

    def __init__(self):
        self.done, self.failing = [], ()

    def __call__(self, processes, words, log):
        log.touch()
        folder = log.parent
        step = f"{log.stem} {folder.name}"
        self.done.append(step)
        if step in self.failing:
            return "killed"
        if words[2] == "monai.bundle":
            run(config_file=ast.literal_eval(words[-1]))
        else:
            measure(RunFolder(Path(words[-1])))
        return ""


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Both bundles, of which one was killed before it was measured, and was asked for again."""
    folder, here = tmp_path_factory.mktemp("compare"), Here()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running.Processes, "run", lambda self, words, log: here(self, words, log))
        here.failing = ("measure rflow_luna16_seed0",)
        with pytest.raises(SystemExit, match=r"(?s)1 of 2 runs failed.*rflow_luna16_seed0: killed"):
            command(folder, "--images=4")
        first, here.done, here.failing = here.done, [], ()
        command(folder, "--images=4")
    return folder, first, here.done


def test_what_is_done_is_not_done_again(compared):
    _, first, second = compared
    assert first == [f"{step} {name}_seed0" for name in NAMES for step in ("train", "measure")]
    assert second == ["measure rflow_luna16_seed0"]


def test_every_run_has_seen_exactly_as_many_images(compared):
    folder, *_ = compared
    results = gathered(folder)
    for name in NAMES:
        found = results.runs[Run(name, 0)]
        assert [facts["images"] for facts in found["moments"].values()] == [0, 2, 4]
        assert found["images"] == {"real": 4, "training images": 4, "0": 4, "0.5": 4, "1": 4}
        assert found["problems"] == {}
    digests = {found["real_digest"] for found in results.runs.values()}
    assert len(digests) == 1
    floors = {
        json.dumps(found["spaces"][results.spaces[0]]["models"]["training images"]) for found in results.runs.values()
    }
    assert len(floors) == 1


def test_only_the_last_weights_are_kept(compared):
    folder, *_ = compared
    path = folder / "runs/rflow_luna16_seed0"
    assert [file.name for file in path.rglob("*.pt")] == ["1.pt"]
    settings = settings_in(read_state_dict(path / "moments/1.pt"))
    assert (settings["bundle"], settings["image_size"], settings["data"]["kind"]) == ("rflow_luna16", 32, "phantom")
    assert not list((path / "summaries").glob("*.npz"))


def test_the_report_says_what_the_runs_came_to(compared):
    folder, *_ = compared
    record = json.loads((folder / "report.json").read_text())
    results = gathered(folder)
    (space,) = results.spaces
    values = {name: results.runs[Run(name, 0)]["spaces"][space]["models"]["1"]["fid"]["value"] for name in NAMES}
    ranked = record["ranking"][space]
    assert list(ranked) == sorted(values, key=values.get)
    assert {name: place["mean"] for name, place in ranked.items()} == pytest.approx(values)
    assert record["missing"] == []
    assert "every bundle was trained once" in record["warnings"][0]
    with open(folder / "report.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "fid"]
    assert len(rows) == 2 * 4  # three moments and the floor
    of = {row["bundle"]: float(row["value"]) for row in rows if row["moment"] == "1"}
    assert of == pytest.approx(values)
    html = (folder / "report.html").read_text()
    assert html.count("<svg") == 1
    assert html.count("data:image/png") == 2
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)  # a page that needs no other file
    assert next(iter(ranked)) in (folder / "report.md").read_text().splitlines()[0]
    assert {path.name for path in folder.glob("*.png")} == {"samples.png", "progress.png", f"curves_{space}.png"}


def test_samples_are_of_the_same_seeds(compared):
    """An untrained network of one seed makes the same images as another run of it; real ones are the same for all."""
    folder, *_ = compared
    pictures = [np.load(folder / f"runs/{name}_seed0/pictures.npz") for name in NAMES]
    assert np.array_equal(*(shown["real/0/coronal"] for shown in pictures))
    assert not np.array_equal(*(shown["1/0/coronal"] for shown in pictures))


def test_of_samples_of_several_images_the_first_is_measured(tmp_path, monkeypatch):
    """Slices of four contrasts and labels: the first real picture is a stored T1, and no other contrast."""
    monkeypatch.setattr(running.Processes, "run", lambda self, words, log: Here()(self, words, log))
    small = {"phantoms#count": 12, "phantoms#shape": [26, 40, 40], "latent_dim": 8, "width": 4, "num_workers": 0}
    command(tmp_path, "--images=4", "--features=untrained-slices", bundles=("fastgan_brats",), overrides=small)
    found = gathered(tmp_path).runs[Run("fastgan_brats", 0)]
    assert found["problems"] == {}
    assert [facts["images"] for facts in found["moments"].values()] == [0, 2, 4]
    (space,) = found["spaces"].values()
    assert all(np.isfinite(space["models"][name]["fid"]["value"]) for name in ("training images", "0", "0.5", "1"))
    path = tmp_path / "runs/fastgan_brats_seed0"
    configs = [str(config_of("fastgan_brats", name)) for name in ("train", "evaluate")]
    parser = ConfigParser(ConfigParser.load_config_files([configs[0], str(path / "train.json"), configs[1]]))
    parser["ckpt_path"] = str(path / "moments/1.pt")
    real = parser.get_parsed_content("real")
    picture = np.sort(np.load(path / "pictures.npz")["real/0/image"].ravel()).astype(float)  # however it is turned
    grey = np.stack([(real[i]["image"].flatten(1).sort(1).values.numpy() + 1) * 127.5 for i in range(len(real))])
    apart = np.abs(grey - picture).max(-1).min(0)
    assert [*parser.get_parsed_content("images")] == ["t1", "t1ce", "t2", "flair"]
    assert apart[0] < 2
    assert apart[1:].min() > 10


def test_other_settings_in_one_folder_are_refused(compared):
    folder, *_ = compared
    with pytest.raises(SystemExit, match="is of a comparison with images 4, and 8 is asked for"):
        command(folder, "--images=8")


def test_the_table_alone_says_what_is_missing(compared, capsys):
    folder, *_ = compared
    main(["compare", "--bundles=rflow_luna16,ha_gan_luna16", f"--output_dir={folder}", "--table"])
    assert "missing: ha_gan_luna16_seed0: not begun" in capsys.readouterr().out


def test_parts_are_all_runs_once():
    bundles, seeds = ["a", "b", "c"], [0, 1]
    parts = [runs_of(bundles, seeds, part, 4) for part in range(1, 5)]
    assert sorted((r.bundle, r.seed) for runs in parts for r in runs) == [(b, s) for b in bundles for s in seeds]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with pytest.raises(ValueError, match="part is 5 of 4"):
        runs_of(bundles, seeds, 5, 4)


def test_a_part_runs_its_own_and_writes_no_report(tmp_path, monkeypatch, capsys):
    begun = []
    monkeypatch.setattr(running.Processes, "run", lambda self, words, log: begun.append(log.parent.name) or "killed")
    places = []
    monkeypatch.setattr(
        comparing, "entrants", lambda names, _, data: places.append(data) or [Entrant(n, {}, {}, 1) for n in names]
    )
    with pytest.raises(SystemExit, match="1 of 1 runs failed"):
        command(tmp_path, "--images=4", "--part=2", "--of=2")
    assert begun == ["rflow_luna16_seed0"]
    assert [path.name for path in places] == ["data_2_of_2"]
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert "part 2 of 2: 0 of 1 runs are done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("bundles", "options", "changes", "message"),
    [
        (
            ("crf_gan_lun16",),
            ("--images=4",),
            {},
            "there is no bundle 'crf_gan_lun16' that trains. Did you mean crf_gan",
        ),
        (("cyclegan_mri2ct_t2",), ("--images=4",), {}, "makes images from other images"),
        (NAMES, (), {}, "expected one of them, such as --budget 30m"),
        (NAMES, ("--images=4",), {"colour": 1}, "none of the bundles has 'colour'"),
        (NAMES, ("--images=4",), {"crf_gan_luna61": {"crf_nodes": 1}}, "none of the bundles has 'crf_gan_luna61'"),
        (NAMES, ("--images=4",), {"rflow_luna16": {"crf_nodes": 1}}, "bundle rflow_luna16 has no 'crf_nodes'"),
        (NAMES, ("--images=4",), {"crf_gan_luna16": {"image_size": 48}}, "crf_gan_luna16 at image_size 48"),
        (NAMES, ("--images=4",), {"dataset_dir": "/nowhere"}, "crf_gan_luna16 cannot take part: FileNotFoundError"),
    ],
)
def test_what_cannot_take_part_is_refused_before_anything_is_trained(
    tmp_path, monkeypatch, bundles, options, changes, message
):
    monkeypatch.setattr(running.Processes, "run", lambda *_: pytest.fail("trained"))
    with pytest.raises(SystemExit, match=message):
        command(tmp_path, *options, bundles=bundles, overrides=SMALL | changes)


def test_words_of_the_command_line():
    assert [seconds_of(words) for words in ("90s", "30m", "1.5h", 20)] == [90, 1800, 5400, 20]
    assert moments_of("0.5,0.25") == (0.25, 0.5, 1.0)
    assert (seeds_of(3), seeds_of("4,7"), seeds_of((4, 7))) == ([0, 1, 2], [4, 7], [4, 7])
    for act, words in ((seconds_of, "soon"), (moments_of, "0.5,2"), (seeds_of, 0), (seeds_of, "1,1")):
        with pytest.raises(ValueError, match="expected"):
            act(words)


def test_entries_of_a_bundle_that_does_not_take_part_are_for_nobody():
    given = {"crf_gan_luna16": {"crf_nodes": "channels"}, "ha_gan_luna16": {"latent_dim": 8}, "base_channels": 4}
    assert overrides_for("ha_gan_luna16", train_config("ha_gan_luna16"), given) == {"latent_dim": 8, "base_channels": 4}
    assert unused(given, ["ha_gan_luna16"]) == {}


def test_stages_are_those_that_the_bundle_runs():
    assert stages_of(train_config("ldm_luna16")) == ["compress", "train"]
    assert stages_of(train_config("crf_gan_luna16")) == ["train"]
