"""Every bundle, so small that a test can train it."""

import json
import re
import shutil
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
EVERY = sorted(path.name for path in (REPOSITORY / "bundles").iterdir() if path.is_dir())
"""Every bundle, also those that run weights of others and train nothing."""

BUNDLES = [name for name in EVERY if (REPOSITORY / "bundles" / name / "configs" / "train.json").is_file()]
"""Those that train."""

PUBLISHED = [name for name in EVERY if name not in BUNDLES]
"""Those that run weights of others."""

# Small networks and data; a bundle takes those that it knows.
TINY = {
    "image_size": 32,
    "latent_dim": 16,
    "base_channels": 8,
    "discriminator_channels": 16,
    "sub_encoder_channels": 64,
    "channels": 8,
    "hidden_channels": 16,
    "network_width": 4,
    "code_channels": 16,
    "network_channels": [8, 16],
    "channel_base": 256,
    "channel_max": 16,
    "training_images": 40,  # what grows reaches its last level in the second of two epochs
    "largest_batch": 2,
    "sizes": [16, 32],
    "save_interval": 1,
    "autoencoder_channels": [8, 8],
    "autoencoder_epochs": 1,
    "adversarial_start": 0,
    "steps": 4,
    "batch_size": 2,
    "max_epochs": 2,
    "val_interval": 1,
    "phantoms#count": 8,
    "phantoms#shape": [48, 48, 48],
}
# Few slices and small discriminators do. The learning rate must not depend on where a run is cut.
TINY_TRANSLATION = TINY | {
    "phantoms#count": 4,
    "phantoms#shape": [18, 32, 32],
    "discriminator_channels": 8,
    "batch_size": 8,
    "constant_epochs": 2,
}
# Few slices of few patients, and few steps of a schedule that has no more.
TINY_SLICES = TINY | {
    "num_train_timesteps": 4,
    "num_res_blocks": 1,
    "style_dim": 16,
    "num_layers": 4,
    "width": 4,
    "training_images": 240,  # two levels in two batches
    "largest_batch": 8,
    "val_slices": 4,
    "batch_size": 16,
    "phantoms#count": 4,
    "phantoms#shape": [26, 40, 40],
}

# What a family cannot do with, or need not.
OF_FAMILY = {
    "ha_gan": {"base_channels": 16},  # of which half is normalised in groups of eight
    "nodule_gan": {"batch_size": 4, "phantoms#count": 4},  # with several nodules each
}


def config_file(bundle, *names):
    files = [str(REPOSITORY / "bundles" / bundle / "configs" / f"{name}.json") for name in names]
    return files[0] if len(files) == 1 else files


def train_config(bundle):
    return json.loads(Path(config_file(bundle, "train")).read_text())


def family(bundle):
    """What a bundle shares with its siblings: the objective, and whether it is for slices; or that it trains none."""
    if bundle in PUBLISHED:
        return "published"
    objective = train_config(bundle)["objective"]["_target_"].split(".")[-2]
    # one catalogue with and without an encoder; one schedule of growth for slices and volumes; one maker of slices
    if objective in ("volume_gan", "progressive", "stylegan3"):
        others = {"volume_gan": "auto_encoding_gan", "progressive": "progressive of slices"}
        return others.get(objective, "stylegan2 of slices")
    return f"{objective} of slices" if makes_slices(bundle) else objective


WHOLE_LIFE = {
    "crf_gan": "crf_gan_luna16",
    "ha_gan": "ha_gan_gsp",
    "auto_encoding_gan": "alpha_gan_hippocampus",
    "progressive of slices": "pggan_brats",
    "autoencoder": "ldm_hippocampus",
    "cyclegan": "cyclegan_mri2ct_inout",
    "diffusion": "rflow_hippocampus",
    "stylegan2 of slices": "stylegan2_brats",
}
"""The member of a family that is put through everything; together they have all datasets and both kinds of branches."""


def one_of_each_family():
    """The bundles that live their whole life in the tests: one of each family, the first where none is chosen."""
    chosen = {}
    for bundle in BUNDLES:
        chosen.setdefault(family(bundle), WHOLE_LIFE.get(family(bundle), bundle))
    return sorted(chosen.values())


def siblings():
    """The other bundles that have something of their own to try: of those that say the same, one is trained."""
    known = set().union(*map(said, one_of_each_family()))
    others, chosen = set(BUNDLES) - set(one_of_each_family()), []
    while others and not said(most := max(sorted(others), key=lambda name: len(said(name) - known))) <= known:
        chosen.append(most)
        known |= said(most)
        others.remove(most)
    return sorted(chosen)


@cache
def said(bundle):
    """What the configs of a bundle say but for its name and sizes, none of which a small one has."""
    folder = Path(config_file(bundle, "train")).parent
    contents = (json.loads(path.read_text().replace(bundle, "")) for path in folder.glob("*.json"))
    return {word for content in contents if "network_data_format" not in content for word in words(content)}


def words(content):
    """Classes with their arguments, what expressions are made of, and every value that is no number but zero."""
    if isinstance(content, dict):
        target = content.get("_target_")
        for key, value in content.items():
            if target and "check_settings" not in target:
                yield f"{target} {key}"
            if isinstance(value, dict | list) or is_expression(value):
                yield from words(value)
            elif not value or isinstance(value, bool | str):
                yield f"{key} {value}"
    elif isinstance(content, list):
        for value in content:
            yield from words(value)
    elif is_expression(content):
        yield from re.findall(r"@?[\w#.']+", content)


def is_expression(value):
    return isinstance(value, str) and value.startswith(("$", "@", "%"))


def translates(bundle):
    """Whether a bundle makes volumes from other volumes, not from latents."""
    return json.loads(Path(config_file(bundle, "metadata")).read_text())["kind"] == "translate"


def labels(bundle):
    """Whether a bundle makes labels together with its volumes, in a labelled folder."""
    return "sample_channels" in train_config(bundle)


def makes_slices(bundle):
    """Whether a bundle makes labelled slices, not volumes."""
    return "slice_choice" in train_config(bundle)


def denoises(bundle):
    """Whether a bundle makes samples of noise in steps: its network has two inputs, and no TorchScript."""
    return "steps" in train_config(bundle)


def few_steps(bundle):
    """Where samples are made in steps, how many."""
    return {"steps": TINY["steps"]} if denoises(bundle) else {}


def network_arguments(bundle):
    """What a network is given besides its image: of a denoiser the time, and what its objective tells it."""
    import torch  # not with this module, see conftest.py

    config = train_config(bundle)
    if "scheduler" not in config:
        return {}
    metadata = json.loads(Path(config_file(bundle, "metadata")).read_text())["network_data_format"]
    shapes = {"spacing": (1, 3), "top_region": (1, 12), "bottom_region": (1, 12)}
    shapes["labels"] = (1, len(config.get("labels", ())), *metadata["inputs"]["image"]["spatial_shape"])
    told = config["objective"].get("conditions", {})
    by_class = {"class_labels": torch.zeros(1, dtype=torch.long)} if config.get("classes") else {}
    return {"timesteps": torch.zeros(1)} | {name: torch.ones(shapes[key]) for name, key in told.items()} | by_class


def tiny(bundle, folder, **overrides):
    """Overrides that make a bundle small, and have it write below ``folder``."""
    config = train_config(bundle)
    small = TINY_TRANSLATION if translates(bundle) else TINY_SLICES if makes_slices(bundle) else TINY
    small = small | OF_FAMILY.get(family(bundle), {})
    known = {key: value for key, value in small.items() if key.split("#")[0] in config}
    return {"bundle_root": str(folder), **known, **overrides}


def tiny_phantoms(bundle):
    """Where inference needs data as well."""
    return {key: value for key, value in tiny(bundle, ".").items() if key.startswith("phantoms")}


def takes_data(bundle):
    """Whether inference needs data: volumes to translate, or scans to paint into."""
    return "phantoms" in json.loads(Path(config_file(bundle, "inference")).read_text())


def asked(bundle, **options):
    """What inference of a small bundle is given: seeds unless it translates, data if it needs some, few steps."""
    data = tiny_phantoms(bundle) if takes_data(bundle) else {}
    return ({} if translates(bundle) else options) | data | few_steps(bundle)


def copy_phantoms(trained, folder):
    """The phantoms of a bundle that was trained, for another training below ``folder``: writing them takes seconds."""
    (phantoms,) = trained.glob("phantoms*")
    shutil.copytree(phantoms, folder / phantoms.name)
