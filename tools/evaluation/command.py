"""The command that measures folders of synthetic images against a folder of real ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tools.data.image_sets import ImageFile, find_images, pictures_apart, read_image
from tools.ensemble.generation import folders_of
from tools.ensemble.members import is_generator, name_of
from tools.evaluation.comparison import compare
from tools.evaluation.measuring import ImageReader, Measuring, cache_folder, measured
from tools.evaluation.report import Report, write_report
from tools.evaluation.sets import FEWEST, LeftOut, Sizes, check_sizes, check_truth, enough, sizes_of, value_range
from tools.evaluation.settings import ComparisonSettings
from tools.evaluation.summary import SetSummary
from tools.evaluation.units import HOUNSFIELD, Unit, check_cover, common_unit
from tools.files import as_text
from tools.io.readers import VolumeError
from tools.metrics.diversity import PAIRS, Diversity, SuccessiveSimilarity, diversity_of
from tools.metrics.paired import all_errors, mean_absolute_error, mean_error, psnr, ssim
from tools.options import listed, named_folders
from tools.transforms.flat import is_flat

logger = logging.getLogger(__name__)

FEATURES, FEATURES_OF_FLAT = "untrained,radiomics", "untrained-slices"
"""Feature spaces of volumes and of 2D images where none is asked for."""


def evaluate(
    real: str,
    synthetic: str,
    output_dir: str,
    features: str | Sequence[str] | None = None,
    weights: str | None = None,
    truth: str | None = None,
    window: Sequence[float] | None = None,
    image_size: int | None = None,
    layers: int | None = None,
    pairs: int = PAIRS,
    resamples: int = 100,
    bandwidth: float | None = None,
    processes: int = 1,
    cache_dir: str | None = None,
    device: str | None = None,
    seed: int = 0,
    count: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Compare folders of synthetic images with a folder of real ones: report.json, report.csv and report.html.

    A folder holds volumes (NIfTI, MetaImage, NumPy arrays [axial, rows, columns]), or folders of DICOM slices or of PNG
    slices; one kind per set. Images of one slice are 2D images, and are measured as such, and so are PNGs that lie
    right in the folder of a set. Every image is measured once, and what was measured is kept in a hidden folder beside
    it for the next time. Some are read once more: a few to find out the unit, those whose similarity tells the
    diversity, and all where there is a truth. Sizes are compared before anything is measured.

    What cannot be read, shows nothing (one value) or holds NaN is left out and named in the report, and so is a model
    of which fewer than two images are left.

    In place of a folder of synthetic images a trained bundle may be given, by its folder, its name or its weights, or
    several as one generator, joined by "+", such as ens=DIR+DIR: its images are made first, in equal shares, into
    output_dir/generated.

    Args:
        real: folder of real images.
        synthetic: folder of synthetic images, or several as a=DIR,b=DIR, to have models side by side.
        output_dir: folder for the report.
        features: feature spaces for FID, MMD and so on: untrained, untrained-slices, medicalnet, inception, radiomics,
            separated by commas; by default untrained,radiomics for volumes and untrained-slices for 2D images.
        weights: file of medicalnet's or inception's weights, or a folder with them; without it they are downloaded.
        truth: folder of true images with the names of the synthetic ones; errors are then measured too.
        window: LOW,HIGH, the values to tell apart. Without it sets in HU take -1024,600, and sets in [-1, 1], in [0, 1]
            or of 8 bit are taken as they are.
        image_size: voxels a side of the cubes, or squares of 2D images, to which all are resampled first.
        layers: number of axial layers; by default ten of volumes and one of 2D images.
        pairs: number of pairs of images, successive ones in random order, whose similarity is the measure of diversity;
            0 leaves it out.
        resamples: number of draws for the intervals of distances; 0 leaves them out.
        bandwidth: bandwidth of MMD's kernel, the same for all models; without it the median distance of each model's
            images and the real ones, as the papers' code has it.
        processes: number of processes that read and measure images at the same time.
        cache_dir: folder to keep measurements in, instead of beside the images.
        device: device on which features are computed; a GPU if there is one.
        seed: random seed of the split of the real set, of intervals, pairs and untrained networks.
        count: number of images that a bundle makes, from seed 0 on; as many as there are real ones without it.
        options: other ids of the inference.json of bundles, such as "{'steps': 20}".
    """
    folders, images = {"real": str(real)}, {"real": _images("real", str(real))}
    folders |= folders_of(models_of(synthetic), count or len(images["real"]), Path(output_dir) / "generated", options)
    images |= {name: _images(name, folder) for name, folder in folders.items() if name != "real"}
    true_images = _true_images(truth, {n: i for n, i in images.items() if n != "real"}) if truth is not None else {}
    totals, left_out = {name: len(files) for name, files in images.items()}, LeftOut()
    sizes = {name: sizes_of(name, files, left_out) for name, files in images.items()}
    sizes = {name: sizes[name] for name in enough(sizes, left_out)}
    if image_size is None:
        check_sizes(sizes)
    for name, truths in true_images.items():
        check_truth(sizes.get(name, {}), truths)
    images, ranges = _readable(sizes, left_out)
    unit = common_unit(ranges, window)
    flat = all(is_flat(shape) for of in sizes.values() for shape in of.values())
    spaces = tuple(dict.fromkeys(listed((FEATURES_OF_FLAT if flat else FEATURES) if features is None else features)))
    measuring = Measuring(unit, image_size, layers, spaces, weights, seed, device or _device(), flat)
    comparing = ComparisonSettings(layers, seed, resamples, pairs, bandwidth)
    logger.info("values: %s, %g to %g become -1 to 1", unit.name, *unit.window)
    made = measuring.make_spaces()
    sets = {}
    for name, files in images.items():
        sets[name] = SetSummary(name, [file.id for file in files], seed)
        summaries = measured(files, measuring, made, cache_folder(folders[name], cache_dir), processes, name)
        for file, summary in zip(files, summaries, strict=True):
            if isinstance(summary, VolumeError):
                left_out.add(name, file, summary)
            else:
                sets[name].add(summary)
        images[name] = [file for file in files if file.id not in left_out.reasons.get(name, {})]
    sets = {name: sets[name] for name in enough(images, left_out)}
    images = {name: images[name] for name in sets}
    check_cover({name: of.value_range for name, of in sets.items()}, unit)
    models = {name: of for name, of in sets.items() if name != "real"}
    comparison = compare(sets["real"], models, made, comparing, unit)
    true_images = {name: truths for name, truths in true_images.items() if name in sets}
    errors = {name: _errors(name, images[name], truths, unit, left_out) for name, truths in true_images.items()}
    left_out.say()
    missing = [name for name in totals if name not in sets]
    warnings = [f"{name} has fewer than {FEWEST} images that can be used" for name in missing]
    warnings += left_out.sentences(totals)
    diversity = _diversity(images, sets, measuring, comparing, warnings) if pairs else {}
    settings = {
        **{f"folder of {name}": folder for name, folder in folders.items()},
        "unit": unit.name,
        "window": f"{unit.window.low:g} to {unit.window.high:g}",
        "image_size": image_size or "as it is",
        "layers": sets["real"].layer_summary.layers,
        "weights": weights or "none given",
        "resamples": resamples,
        "seed": seed,
    }
    write_report(output_dir, Report(comparison, sets, settings, errors, diversity, warnings, unit))
    print(comparison.conclusion)
    print(Path(output_dir) / "report.html")


def models_of(synthetic: str | Mapping[str, str]) -> dict[str, str]:
    """Model -> folder, or what makes images; the single one of ``DIR`` is called by its folder's name.

    What is a folder is taken as one, whatever signs are in its name: training calls things ``epoch=10``.
    """
    if not isinstance(synthetic, Mapping):
        given = ",".join(map(str, synthetic)) if isinstance(synthetic, list | tuple) else str(synthetic)
        if "=" not in given or Path(given).is_dir():
            name = as_text(name_of(given) if is_generator(given) else Path(given).resolve().name)
            return {"synthetic" if name in ("", "real") else name: given}
        synthetic = given
    return named_folders("synthetic", synthetic, "a folder, or a=DIR,b=DIR")


def _images(name: str, folder: str) -> list[ImageFile]:
    files = pictures_apart(find_images(folder), folder)
    if len(files) < 2:
        raise ValueError(f"{folder} ({name}) holds {len(files)} image(s); a distribution needs at least 2")
    return files


def _readable(
    sizes: Mapping[str, Sizes], left_out: LeftOut
) -> tuple[dict[str, list[ImageFile]], dict[str, tuple[float, float]]]:
    """The images and the range of values of every set that has enough of them."""
    ranges = {name: value_range(name, list(files), left_out) for name, files in sizes.items()}
    images = {
        name: [file for file in files if file.id not in left_out.reasons.get(name, {})] for name, files in sizes.items()
    }
    kept = enough(images, left_out)
    return {name: images[name] for name in kept}, {name: ranges[name] for name in kept if ranges[name] is not None}


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _true_images(truth: str, models: Mapping[str, list[ImageFile]]) -> dict[str, dict[str, ImageFile]]:
    """Model -> id of its image -> the true image."""
    known = {file.id: file for file in pictures_apart(find_images(truth), truth)}
    found = {}
    for name, files in models.items():
        missing = [file.id for file in files if file.id not in known]
        if missing:
            raise ValueError(
                f"{truth} has no true image for {len(missing)} of {len(files)} images of {name}, such as {missing[0]}; "
                "names must be the same"
            )
        found[name] = {file.id: known[file.id] for file in files}
    return found


def _errors(
    name: str, files: Sequence[ImageFile], truths: Mapping[str, ImageFile], unit: Unit, left_out: LeftOut
) -> dict[str, float]:
    """Means over images of the errors against the truth, in the images' own unit; without those that cannot be read."""
    numbers = []
    for file in tqdm(files, desc="Errors", unit="image", disable=None):
        try:
            (synthetic, _), (true, spacing) = read_image(file), read_image(truths[file.id])
        except VolumeError as error:
            left_out.add(name, file, error)
            continue
        if unit == HOUNSFIELD:
            numbers.append(all_errors(true, synthetic, spacing or (1.0, 1.0, 1.0)))
        else:
            span = unit.window.width
            numbers.append(
                {
                    "mae_everywhere": mean_absolute_error(true, synthetic),
                    "me_everywhere": mean_error(true, synthetic),
                    "psnr": psnr(true, synthetic, span),
                    "ssim": ssim(true, synthetic, span),
                }
            )
    names = dict.fromkeys(name for one in numbers for name in one)
    return {name: float(np.mean([one[name] for one in numbers if name in one])) for name in names}


def _diversity(
    images: Mapping[str, list[ImageFile]],
    sets: Mapping[str, SetSummary],
    measuring: Measuring,
    comparing: ComparisonSettings,
    warnings: list[str],
) -> dict[str, Diversity]:
    """MS-SSIM within every set; a set whose images differ in shape has none, with a warning."""
    found = {}
    for name, files in images.items():
        if len(sets[name].shapes) > 1:
            warnings.append(f"the volumes of {name} differ in shape, so their diversity is not measured (--image_size)")
            continue
        order = np.random.default_rng(comparing.seed).permutation(len(files))[: comparing.pairs + 1].tolist()
        similarity = SuccessiveSimilarity(pairs=comparing.pairs)
        with tqdm(total=len(order), desc=f"Diversity of {name}", unit="image", disable=None) as bar:
            reader = ImageReader(files, measuring, bar)
            try:
                for index in order:
                    similarity.add(reader[index])
                found[name] = diversity_of(similarity.values, similarity.scales)
            except ValueError as error:
                warnings.append(f"the diversity of {name} is not measured: {error}")
    return found
