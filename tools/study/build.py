"""Write a study folder: the images that each question needs, the manifest, the key apart, and personal links."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.data.image_sets import find_images
from tools.files import whole_folder
from tools.io.volume import VolumeError
from tools.study.comparing import Facts, VolumeFacts, Volumes, check_geometry, shown_window
from tools.study.drawing import Drawn, Draws
from tools.study.folder import FORMAT, IMAGES, KEY, KINDS, MANIFEST, READERS, Question, new_access
from tools.study.order import balanced_sides
from tools.study.pictures import (
    grey_png,
    grey_values,
    levels_of,
    quantised,
    slice_picture,
    volume_display,
)
from tools.study.texts import load_texts
from tools.transforms.planes import PLANES, centred
from tools.transforms.window import Window

logger = logging.getLogger(__name__)

DATE = 1_600_000_000
"""Time of change of all images, in seconds; the file system then tells nothing either."""


@dataclass(frozen=True)
class Settings:
    """What all studies have in common.

    Attributes:
        seed: seed of all draws.
        title: title that readers see.
        language: language of the page.
        planes: planes to show slices in.
        window: lowest and highest value shown; None finds out.
        volumes: True lets readers scroll through whole volumes instead of seeing one slice.
        as_stored: True takes voxels for cubes, as the papers do.
        image_size: voxels a side of the cube to which every volume is resized; None leaves them as they are.
        readers: names of readers, for the administrator and the analysis.
    """

    seed: int = 0
    title: str = ""
    language: str = "en"
    planes: tuple[str, ...] = PLANES
    window: tuple[float, float] | None = None
    volumes: bool = False
    as_stored: bool = False
    image_size: int | None = None
    readers: tuple[str, ...] = ("reader 1",)


def build_2afc(
    output: str | os.PathLike,
    real: str,
    models: Mapping[str, str],
    real_pairs: int,
    model_pairs: int,
    settings: Settings,
    against: Sequence[str] | None = None,
) -> Path:
    """Section 1 with pairs of real and generated images, section 2 with pairs of two models (Shiri et al., 2.3.2).

    Args:
        output: folder to make; it must not exist.
        real: folder of real volumes.
        models: name -> folder of generated volumes; two for section 2.
        real_pairs: pairs of section 1.
        model_pairs: pairs of section 2.
        settings: settings of the study, see `Settings`.
        against: models that real images are paired with, in turn; None takes the first model, as the paper does.

    Raises:
        ValueError: numbers or names that make no study, or images that cannot be compared.
        FileExistsError: the folder exists.
    """
    if min(real_pairs, model_pairs) < 0 or real_pairs + model_pairs == 0:
        raise ValueError(f"got {real_pairs} real pairs and {model_pairs} model pairs; expected one pair at least")
    if model_pairs and len(models) != 2:
        raise ValueError(
            f"section 2 compares two models, got {len(models)} ({', '.join(models)}); give --models a=DIR,b=DIR, or "
            "--model_pairs 0"
        )
    against = list(against or list(models)[:1])
    if unknown := [name for name in against if name not in models]:
        raise ValueError(f"--against names {', '.join(unknown)}, expected some of {', '.join(models)}")
    if "real" in models:
        raise ValueError("a model is named 'real', which the real volumes are called; give it another name")

    def ask(draws: Draws) -> list[Question]:
        origin = draws.questions("origin", [("real", against[i % len(against)]) for i in range(real_pairs)])
        return origin + draws.questions("preference", [tuple(models)] * model_pairs)

    content = _content(output, {"real": real, **models}, settings, ask)
    return _write(output, "2afc", content, list(models), settings)


def build_survey(output: str | os.PathLike, real: str, synthetic: str, scans: int, settings: Settings) -> Path:
    """Single scans, half of them real (Crespi et al., section 3.4); see `build_2afc` for arguments and errors."""
    if scans < 2 or scans % 2:
        raise ValueError(f"--scans is {scans}, expected an even number from 2 up: half of the scans are real")

    def ask(draws: Draws) -> list[Question]:
        return draws.questions("survey", [("real",), ("synthetic",)] * (scans // 2))

    content = _content(output, {"real": real, "synthetic": synthetic}, settings, ask)
    return _write(output, "survey", content, ["synthetic"], settings)


@dataclass(frozen=True)
class Content:
    """What is asked, and of which volumes."""

    questions: list[Question]
    images: Mapping[str, Drawn]
    volumes: Volumes
    facts: Facts


def _content(
    output: str | os.PathLike, folders: Mapping[str, str], settings: Settings, ask: Callable[[Draws], list[Question]]
) -> Content:
    """Return what `ask` draws. A volume that cannot be shown is left out by name, and all is drawn anew, as if it had
    never been there.
    """
    if unknown := [plane for plane in settings.planes if plane not in PLANES]:
        raise ValueError(f"--planes holds {', '.join(unknown)}, expected some of {', '.join(PLANES)}")
    if settings.image_size is not None and (type(settings.image_size) is not int or settings.image_size < 2):
        raise ValueError(f"--image_size is {settings.image_size!r}, expected voxels a side, such as 128")
    load_texts(settings.language)  # refuses a language that there is not, before any volume is read
    sets = {name: find_images(folder) for name, folder in folders.items()}
    if Path(output).exists():
        raise FileExistsError(
            f"{Path(output).absolute()} exists; choose another folder, or remove it (its links then stop working)"
        )
    volumes, facts = Volumes(settings.as_stored, settings.image_size), {}
    while True:
        draws = Draws(sets, settings.planes, settings.seed)
        questions = ask(draws)
        facts, unusable = volumes.facts(draws.images.values(), facts)
        if not unusable:
            return Content(questions, draws.images, volumes, facts)
        for error in unusable.values():
            logger.warning("left out: %s", error)
        for name, files in sets.items():
            sets[name] = [file for file in files if file not in unusable]
            if not sets[name]:
                raise VolumeError(f"no volume of {name} can be shown: {next(iter(unusable.values()))}")


def _write(output: str | os.PathLike, kind: str, content: Content, models: Sequence[str], settings: Settings) -> Path:
    output = Path(output)
    questions, images, volumes, facts = content.questions, content.images, content.volumes, content.facts
    check_geometry(questions, images, facts, settings.volumes)
    window, hounsfield = shown_window(questions, images, facts, settings.window)
    display = _display(questions, images, facts, window, hounsfield, settings.volumes)
    with whole_folder(output) as partial:
        _write_images(partial / IMAGES, questions, images, volumes, display, window, settings.volumes)
        _write_texts(partial, kind, questions, images, models, display, settings)
    return output


def _display(
    questions: Sequence[Question],
    images: Mapping[str, Drawn],
    facts: Mapping[str, VolumeFacts],
    window: Window,
    hounsfield: bool,
    whole_volumes: bool,
) -> dict[str, Any]:
    shown = [(facts[images[name].file.path].geometry, q.plane) for q in questions for name in q.images]
    if whole_volumes:
        return volume_display(shown[0][0], window, levels_of(window), hounsfield)
    heights, widths = zip(*(geometry.picture_size(plane) for geometry, plane in shown), strict=True)
    return {"height": max(heights), "width": max(widths), "low": window.low, "high": window.high}


def _write_images(
    folder: Path,
    questions: Sequence[Question],
    images: Mapping[str, Drawn],
    volumes: Volumes,
    display: Mapping[str, Any],
    window: Window,
    whole_volumes: bool,
) -> None:
    folder.mkdir(parents=True)
    for question in questions:
        for name in question.images:
            volume, geometry = volumes.read(images[name].file)
            if whole_volumes:
                content = quantised(volume, window, display["levels"]).tobytes()
            else:
                index = round(question.position * (geometry.shape[PLANES.index(question.plane)] - 1))
                picture = slice_picture(grey_values(volume, window), geometry, question.plane, index)
                content = grey_png(centred(picture, display["height"], display["width"]))
            path = folder / name
            path.write_bytes(content)
            os.utime(path, (DATE, DATE))


def _write_texts(
    folder: Path,
    kind: str,
    questions: Sequence[Question],
    images: Mapping[str, Drawn],
    models: Sequence[str],
    display: Mapping[str, Any],
    settings: Settings,
) -> None:
    sections = [s for s in ("origin", "preference", "survey") if any(q.section == s for q in questions)]
    manifest = {
        "format": FORMAT,
        "kind": kind,
        "title": settings.title or load_texts(settings.language)[f"title_{kind}"],
        "language": settings.language,
        "sections": sections,
        "display": dict(display),
        "questions": [asdict(question) for question in questions],
    }
    manifest["fingerprint"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    key = {
        "kind": KINDS[kind],
        "models": list(models),
        "seed": settings.seed,
        "images": {name: {"origin": of.set, "source": of.file.id} for name, of in images.items()},
    }
    reference = [images[q.images[0]].set == ("real" if q.section == "origin" else models[0]) for q in questions]
    sides = balanced_sides([q.section for q in questions], reference, len(settings.readers))
    for name, content, mode in (
        (MANIFEST, manifest, 0o644),
        (KEY, key, 0o600),
        (READERS, new_access(settings.readers, sides), 0o600),
    ):
        path = folder / name
        path.parent.mkdir(exist_ok=True, mode=0o755 if name == MANIFEST else 0o700)
        path.touch(mode)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
