"""The whole life of a bundle on a device, at a small size and by the commands that users type."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from monai.bundle import ConfigParser

from tools.benchmark.configs import BUNDLES, bundle_names, translates
from tools.benchmark.published import MEMORY

REPOSITORY = Path(__file__).resolve().parents[2]

SMALL = {
    "image_size": 32,
    "latent_dim": 16,
    "base_channels": 16,
    "discriminator_channels": 64,
    "sub_encoder_channels": 64,
    "channels": 8,
    "batch_size": 2,
    "largest_batch": 4,
    "val_interval": 1,
}
"""Sizes of networks and batches; a bundle takes those that its train.json has."""

PHANTOMS = {
    True: {"phantoms#count": 4, "phantoms#shape": [20, 32, 32]},  # slices of a few bodies are many
    False: {"phantoms#count": 8, "phantoms#shape": [48, 48, 48]},
}
"""Steps by whether the bundle translates."""


@dataclass(frozen=True)
class Step:
    """What a bundle did.

    Args:
        bundle: name of the bundle.
        name: name of the step.
        seconds: duration of its process, mostly of its start.
        problem: reason why it does not count as done; empty if it does.
    """

    bundle: str
    name: str
    seconds: float
    problem: str = ""


def one_of_each_family() -> list[str]:
    """A bundle of every family, the first, or one that the paper measured; bundles with the same objective are one,
    but for slices and volumes.
    """
    chosen: dict[tuple[str, bool], str] = {}
    for bundle in sorted(bundle_names(), key=lambda name: name not in MEMORY):
        config = train_config(bundle)
        chosen.setdefault((config["objective"]["_target_"].split(".")[-2], "slice_choice" in config), bundle)
    return sorted(chosen.values())


def train_config(bundle: str) -> dict:
    return ConfigParser.load_config_file(BUNDLES / bundle / "configs" / "train.json")


def life(bundle: str, folder: Path, device: str) -> Iterator[Step]:
    """Train, resume, infer and evaluate; train in bf16 and fp16, and as one process of torchrun.

    Args:
        bundle: its name.
        folder: folder to write into.
        device: cuda, cuda:1, cpu ...
    """
    config = train_config(bundle)
    phantoms = PHANTOMS[translates(bundle)]
    small = {key: value for key, value in SMALL.items() if key in config} | phantoms

    def run(name: str, configs: list[str], options: dict, made: list[str], torchrun: bool = False) -> Step:
        files = [f"bundles/{bundle}/configs/{config}.json" for config in configs]
        # torchrun's processes choose their own devices
        options = {"bundle_root": str(folder), **options} | ({} if torchrun else {"device": device})
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"] if torchrun else []
        command = [sys.executable, *start, "-m", "monai.bundle", "run", "--config_file", str(files)]
        command += [part for key, value in options.items() for part in (f"--{key}", str(value))]
        started = time.perf_counter()
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=_environment(device))
        seconds = time.perf_counter() - started
        missing = [pattern for pattern in made if not any(Path(options["bundle_root"]).glob(pattern))]
        if ended.returncode:
            return Step(bundle, name, seconds, _end_of(ended.stderr or ended.stdout))
        return Step(bundle, name, seconds, f"it left no {', '.join(missing)}" if missing else "")

    epoch = small | {"max_epochs": 1}
    yield run("train", ["train"], epoch, ["models/checkpoint_epoch=1.pt"])
    yield run("resume", ["train"], small | {"max_epochs": 2, "resume": "auto"}, ["models/checkpoint_epoch=2.pt"])
    infers = ConfigParser.load_config_file(BUNDLES / bundle / "configs" / "inference.json")
    given = ({} if translates(bundle) else {"num_volumes": 2}) | (phantoms if "phantoms" in infers else {})
    made = ["eval/**/*.nii.gz", "eval/montage.png"]
    yield run("inference", ["inference"], given | {"ckpt_path": f"{folder}/models/model_last.pt"}, made)
    yield run("evaluate", ["train", "evaluate"], phantoms, ["eval/report.html"])
    for precision in ("bf16", "fp16"):
        own = {"bundle_root": f"{folder}_{precision}", "precision": precision}
        yield run(precision, ["train"], epoch | own, ["models/checkpoint_epoch=1.pt"])
    own = {"bundle_root": f"{folder}_torchrun"}
    yield run("torchrun", ["train", "multi_gpu_train"], epoch | own, ["models/checkpoint_epoch=1.pt"], torchrun=True)


def _environment(device: str) -> dict[str, str]:
    """Return what a process for a device sees: with the CPU, no GPU."""
    return dict(os.environ) | ({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})


def _end_of(text: str, length: int = 600) -> str:
    """The last lines of what a process said, in which the reason is."""
    return text.strip()[-length:] or "no message"
