"""The command: are synthetic images copies of the images that their generator was trained on?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tools.data.image_sets import read_image
from tools.data.removal import copy_without
from tools.features.spaces import make_spaces
from tools.options import listed
from tools.privacy.attacks import attacks_of
from tools.privacy.audit import audit
from tools.privacy.images import find_set, normalised, read_set
from tools.privacy.report import Report, conclusion, write_report
from tools.privacy.white_box import white_box
from tools.trained import bundle_of
from tools.transforms.flat import is_flat

logger = logging.getLogger(__name__)


def privacy(
    training: str,
    synthetic: str,
    output_dir: str,
    held_out: str | None = None,
    features: str | Sequence[str] | None = None,
    weights: str | None = None,
    rate: float = 0.05,
    plant: int = 5,
    pictures: int = 20,
    remove: str | None = None,
    workers: int = 4,
    seed: int = 0,
    bundle: str | None = None,
    bundle_data: str | None = None,
    trained: str | None = None,
) -> None:
    """Look for copies of training images among synthetic ones: privacy.json, suspects.csv and privacy.html.

    Every sample is compared with every training image, as it is and mirrored, shifted, in a few sizes and at any
    brightness, and in feature spaces. How near images of different people come is learnt from the training images
    among themselves and from held-out ones, so that a sample is accused at a stated rate. Changed copies are planted
    and looked for too, so that the report says what would have been found. Images should show what the generator saw:
    give the preprocessed ones (`python -m tools preprocess`), or others of the same field of view.

    Tests of membership say whether somebody could tell who was in the training: by distance and by density (DOMIAS)
    from samples alone, with ``held_out`` images; and, where ``bundle`` names the generator, by what its discriminator
    or its denoiser says of the images that it was trained on beside those of its validation, for who has the weights.

    Args:
        training: folder of the images that the generator was trained on.
        synthetic: folder of the images that it made.
        output_dir: folder for the report.
        held_out: folder of real images of other patients that it was not trained on, for tests of membership; the
            validation set will do if nothing was chosen by it.
        features: feature spaces, separated by commas: untrained, radiomics, medicalnet; by default untrained for
            volumes and untrained-slices for 2D images.
        weights: file of medicalnet's or inception's weights, or a folder with them.
        rate: probability with which any sample at all is accused where none is a copy.
        plant: number of training images of which changed copies are planted, in memory only; 0 plants none.
        pictures: number of pairs that the page shows, suspects first.
        remove: new folder for the synthetic images without the suspects.
        workers: number of threads that read images.
        seed: random seed of subsets, of planted copies and of untrained networks.
        bundle: name of the bundle whose network is asked, or its folder; StyleGAN2, StyleGAN3, FastGAN and the bundles
            that denoise.
        bundle_data: folder of the data that the bundle was trained on; its phantoms without it.
        trained: folder that holds `models` with the bundle's weights, if it is not the bundle's own.
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate is {rate}, expected a probability between 0 and 1, such as 0.05")
    if remove is not None and Path(remove).exists():
        raise FileExistsError(f"remove is {remove}, which is there already; choose a new folder")
    folders = {"training": training, "synthetic": synthetic} | ({"held-out": held_out} if held_out else {})
    if bundle is not None:
        bundle_of(bundle)  # before anything is read
    files = {name: find_set(name, folder) for name, folder in folders.items()}
    flat = is_flat(read_image(files["training"][0])[0].shape)
    spaces = make_spaces(listed(features or ("untrained-slices" if flat else "untrained")), weights, seed, flat)
    sets = {name: read_set(name, found, spaces, workers) for name, found in files.items()}
    chosen = np.sort(np.random.default_rng(seed).permutation(len(sets["training"]))[:plant])
    copies = {int(i): normalised(read_image(sets["training"].files[i])[0]) for i in chosen}
    found = audit(sets["training"], sets["synthetic"], sets.get("held-out"), rate, copies, spaces, seed)
    settings = {f"folder of {name}": folder for name, folder in folders.items()}
    settings |= {"features": ", ".join(space.name for space in spaces), "rate": rate, "seed": seed}
    evidence = None if bundle is None else white_box(bundle, bundle_data, trained)
    if evidence is not None and min(len(evidence.members), len(evidence.others)) < 2:
        logger.warning("%s: fewer than two patients to ask about, so that no test is possible", evidence.network)
        evidence = None
    report = Report(found, sets, settings, pictures, attacks_of(found.spaces, evidence))
    write_report(output_dir, report)
    if remove is not None:
        cases = {sets["synthetic"].cases[one.sample] for one in found.suspects}
        left_out = copy_without(synthetic, remove, cases)
        logger.info("%s: the cohort without %d cases, %d files", remove, len(cases), left_out)
    print(conclusion(report))
    print(Path(output_dir) / "privacy.html")
