"""The command: what are synthetic images worth to somebody who trains a segmenter or a classifier?"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tools.data.sample_folder import find_samples
from tools.ensemble.generation import folders_of
from tools.ensemble.members import is_generator, members_of
from tools.evaluation.command import models_of
from tools.options import named_folders
from tools.usefulness.classified import COLUMN, TABLE, ClassReader, ClassSource
from tools.usefulness.design import (
    AUGMENTED,
    BOTH,
    BOTH_AUGMENTED,
    ON_SYNTHETIC,
    SYNTHETIC,
    Arm,
    amounts_of,
    arms_of,
    chosen,
    seed_of,
    ways_of,
)
from tools.usefulness.kept import Kept
from tools.usefulness.provenance import check_leakage
from tools.usefulness.report import Report, conclusion, write_report
from tools.usefulness.results import Results
from tools.usefulness.samples import LabelledSet, Reader
from tools.usefulness.segmentations import Cuts
from tools.usefulness.tasks import CLASSIFICATION, SEGMENTATION, TASKS, Task
from tools.usefulness.training import train

logger = logging.getLogger(__name__)


def usefulness(
    real: str,
    test: str,
    synthetic: str,
    output_dir: str,
    image_size: Sequence[int],
    weights: str | None = None,
    amounts: str | int | Sequence[int | str] = "5,20,all",
    seeds: int = 3,
    steps: int = 500,
    batch_size: int = 8,
    workers: int = 0,
    device: str | None = None,
    count: int | None = None,
    options: Mapping[str, Any] | None = None,
    ways: str | Sequence[str] | None = None,
    precision: str = "fp32",
    task: str | None = None,
    labels: str = TABLE,
    label_column: str = COLUMN,
    classes: Mapping[str, Sequence[str]] | None = None,
    field_of_view: float | None = None,
    window: Sequence[float] | None = None,
    synthetic_amounts: str | int | Sequence[int | str] | None = None,
) -> None:
    """Measure what synthetic images with labels or classes are worth: report.html, report.json, and every number.

    A segmenter, or a classifier of whole images, always the same and always trained for as many steps, is trained on
    real images (TRTR), on these with ordinary augmentation, on synthetic ones (TSTR), on both, and tested on real
    images of other patients; and trained on real and tested on synthetic ones (TRTS). Real images are given in several
    amounts of patients, trainings are repeated with several seeds. A segmenter is judged by Dice (dice.csv), and what
    it says of some cases of the test is shown beside the truth (segmentations.png); a classifier is judged by AUC and
    F1 (probabilities.csv). Who made the images does not matter. An interrupted run goes on with the same command. Where
    a trained bundle is given in place of its images, these are made first, into output_dir/generated.

    Args:
        real: folder of real images with labels or classes to train on: a published dataset, or in the Decathlon's or
            nnU-Net's layout; for a classifier also volumes under any names.
        test: folder of real images with labels of other patients; `python -m tools split` makes both of one.
        synthetic: folder of synthetic images with the same classes, or a trained bundle that makes them: its folder or
            name, its weights, an ensemble, or several as one generator, joined by "+"; several models as a=DIR,b=DIR.
        output_dir: folder for the report and for the results of single trainings.
        image_size: slices, rows and columns to which all are resized, such as 48,64,48; 1,256,256 for slices, and then
            a classifier takes all slices of a volume.
        weights: weights of the generators of folders, a=FILE,b=FILE, which say whom these were trained on: the run
            stops if a patient of the test is among them. Bundles are looked at in any case.
        amounts: numbers of real patients, such as 5,20,all.
        seeds: number of trainings of each kind.
        steps: number of steps of each training.
        batch_size: number of samples in a batch.
        workers: number of processes that read.
        device: device to train on; a GPU if there is one.
        count: number of images that a bundle makes; as many as there are real cases to train on without it.
        options: other ids of the inference.json of bundles, such as "{'steps': 20}".
        ways: rows of the table, some of trtr, augmented, tstr, both, both_augmented, trts; all without it but
            both_augmented, which says what synthetic images add to ordinary augmentation.
        precision: number format of the trainings, fp32, or bf16, which on a CPU does not repeat to the last bit.
        task: "segmentation" or "classification"; without it segmentation where the real images have label maps, and
            neither labels, label_column nor classes are given.
        labels: table with the classes of volumes, below each folder or for all, with ids of images or patients in its
            column "id", or its first. Images that were generated by class say it in their names, `_class1`.
        label_column: column of that table with the classes.
        classes: classes of slices by the labels or findings that they show, as for the training of bundles, such as
            "{'healthy': [], 'bleeding': ['subdural', 'epidural']}"; generated ones have their numbers in this order.
        field_of_view: side of the slices of a classifier in mm; their longer side without it.
        window: lowest and highest HU of CT; -1024,600 without it.
        synthetic_amounts: numbers of synthetic images, such as 50,100,all: a model is in the table with the first so
            many of its samples, and once for each of these; with all of them alone without it.
    """
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision is {precision!r}, expected fp32 or bf16")
    wanted = ways_of(ways)
    for option, words in {"amounts": amounts, "synthetic_amounts": synthetic_amounts}.items():
        amounts_of("all" if words is None else words, 1, option)  # before anything is made of it
    for name, value in {"seeds": seeds, "steps": steps, "batch_size": batch_size, "count": count}.items():
        if name == "count" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}, expected a whole number from 1")
    sources = models_of(synthetic)
    given = named_folders("weights", weights, "a=FILE,b=FILE") if weights else {}
    if odd := [name for name in given if name not in sources]:
        raise ValueError(f"weights has {', '.join(odd)}, expected some of {', '.join(sources)}")
    source = ClassSource(labels, label_column, classes, field_of_view, window)
    of_task = _task(task, real, source)
    if of_task is SEGMENTATION:
        reader = Reader.of(real, image_size, window)
    else:
        reader = ClassReader.of(real, image_size, source)
    tested = reader.read("test", test, workers)
    files = {name: [file] for name, file in given.items()} | _own_weights(sources)
    provenance = [check_leakage(name, file, set(tested.subjects)) for name, of in files.items() for file in of]
    provenance += [f"{name}: whom it was trained on is not known" for name in sources if name not in files]
    trained = reader.read("real", real, workers)
    if shared := sorted(set(trained.subjects) & set(tested.subjects)):
        raise ValueError(f"{len(shared)} patients are in real and in test, such as {shared[0]}; they must be others")
    folders = folders_of(sources, count or len(trained), Path(output_dir) / "generated", options)
    made = {name: reader.read(name, folder, workers) for name, folder in folders.items()}
    if synthetic_amounts is not None:
        made = {part: some for whole in made.items() for part, some in _in_amounts(*whole, synthetic_amounts).items()}
    numbers = amounts_of(amounts, len(set(trained.subjects)))
    results = Results(reader.classes, of_task.metrics)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    arms = arms_of(list(made), numbers, wanted)
    settings = {"task": of_task.name, "image_size": list(reader.image_size), "steps": steps, "batch_size": batch_size}
    settings |= {"precision": precision, "classes": list(reader.classes)}
    cuts = Cuts.of(tested.labels.numpy()) if of_task is SEGMENTATION else None
    sections = {}
    for seed in range(seeds):
        for number, arm in enumerate(arms, start=1):
            what = f"{arm.name}, seed {seed} ({number + seed * len(arms)} of {seeds * len(arms)})"
            of_arm = [made[arm.model]] if arm.model else []
            kept = Kept(Path(output_dir) / "runs", arm, seed, settings, (trained, tested, *of_arm))
            table = kept.load()
            on = made[arm.model] if arm.way == ON_SYNTHETIC else tested
            if table is None:
                network = train(
                    of_task,
                    _sets(arm, trained, made, seed),
                    len(reader.classes),
                    steps,
                    batch_size,
                    seed_of(arm, seed),
                    arm.way in (AUGMENTED, BOTH_AUGMENTED),
                    device,
                    what,
                    precision,
                )
                predicted = of_task.predict(network, on, len(reader.classes), device)
                table = of_task.measure(predicted, on, len(reader.classes))
                is_shown = cuts is not None and seed == 0 and on is tested
                kept.save(table, cuts.sections(predicted) if is_shown else None)
                chief = next(iter(of_task.metrics.values()))
                logger.info("%s: %s %.3f", what, of_task.chief, *chief(table, np.ones((1, len(table))), None))
            results.add(arm, seed, table, on.subjects)
            if cuts is not None and (shown := kept.sections()) is not None:
                sections[arm] = shown
    report = Report(
        of_task,
        results,
        arms,
        {"real": trained, "test": tested, **made},
        provenance,
        {"real": real, "test": test, **sources, **settings, "seeds": seeds, "device": device},
        cuts,
        sections,
    )
    write_report(output_dir, report)
    print(conclusion(report))
    print(Path(output_dir) / "report.html")


def _task(name: str | None, real: str, source: ClassSource) -> Task:
    """The task that is asked for, or else what the real images are good for."""
    if name not in (None, *TASKS):
        raise ValueError(f"task is {name!r}, expected {' or '.join(TASKS)}")
    if name is not None:
        return TASKS[name]
    if source.rules or (source.table, source.column) != (TABLE, COLUMN):
        return CLASSIFICATION
    return SEGMENTATION if find_samples(Path(real)).channels.labels else CLASSIFICATION


def _own_weights(sources: dict[str, str]) -> dict[str, list[str]]:
    """Files of the weights of those that are generators."""
    found = {name: members_of([source]) for name, source in sources.items() if is_generator(source)}
    return {name: [str(member.file()) for member in members] for name, members in found.items()}


def _in_amounts(name: str, made: LabelledSet, amounts: str | int | Sequence[int | str]) -> dict[str, LabelledSet]:
    """A model's samples in several numbers, each of which stands as a model of its own."""
    numbers = amounts_of(amounts, len(set(made.subjects)), "synthetic_amounts")
    return {f"{number} of {name}": made.first(number) for number in numbers}


def _sets(arm: Arm, real: LabelledSet, made: dict[str, LabelledSet], seed: int) -> list[LabelledSet]:
    """What an arm is trained on. The patients follow from the seed, the same for all arms."""
    synthetic = [made[arm.model]] if arm.way in (SYNTHETIC, BOTH, BOTH_AUGMENTED) else []
    if not arm.amount:
        return synthetic
    classes = real.labels.tolist() if real.labels.ndim == 1 else None
    return [*synthetic, real.part(chosen(real.subjects, arm.amount, seed, classes))]
