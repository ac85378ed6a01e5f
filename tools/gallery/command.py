"""The command that shows the collection on one page: every bundle, what it makes, its pictures and its commands."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from tools.collection import BUNDLES, Bundle, bundles
from tools.files import whole_file
from tools.gallery.pages import made_by, write_samples
from tools.options import named_folders
from tools.published.sources import SOURCES

PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
"""Endings of pictures, and their types."""

KINDS = {"generate": "from noise", "translate": "image to image", "reconstruct": "reconstruction"}
"""Words for what a bundle does, on buttons."""

FURTHER = {
    "reconstruct": "Reconstruct",
    "inpaint": "Paint into a scan",
    "mixing": "Mix styles",
    "interpolation": "Go from sample to sample",
}
"""Words for what other configs of a bundle do, which stand for themselves as `inference.json` does."""

OF_STYLES = {"mixing.png": "mixed styles", "interpolation.png": "from sample to sample"}
"""Pictures that these leave beside a bundle's samples."""

REPORTS = ("report.json", "eval/report.json")
"""Where an evaluation of a bundle may lie in its folder."""


def gallery(
    output_dir: str = "gallery",
    folder: str | None = None,
    samples: str | None = None,
    generate: int = 0,
    most: int = 4,
    longest: int = 128,
) -> None:
    """Write gallery.html: all bundles with pictures, commands and, where they were evaluated, numbers.

    The page needs no network and no other file. Its bundles can be searched by what they make, modality, anatomy,
    method and data. Numbers are those of a report that `evaluate.json` wrote into the bundle's folder.

    Samples of a bundle can be scrolled in three planes, with their labels over them: those of the folders that are
    given, or those that its `inference.json` wrote into its `eval`. Each becomes a page of its own in `samples`, which
    works from the disk, without a network and without the gallery. Pictures of styles beside them are on the page.

    Args:
        output_dir: folder for the page.
        folder: folder of bundles; this collection's without it.
        samples: folders of samples by bundle, such as rflow_hippocampus=out.
        generate: number of samples that each bundle with weights makes first, if it makes them from seeds and none are
            given; 0 makes none.
        most: number of samples of a bundle that are shown.
        longest: number of voxels along a side of a volume that are shown; larger ones are shown coarser.
    """
    if min(most, generate) < 0 or longest < 16:
        raise ValueError(f"got most {most}, generate {generate} and longest {longest}, expected 0, 0 and 16 or more")
    found = bundles(folder)
    if not found:
        raise FileNotFoundError(
            f"there is no bundle in {folder or BUNDLES}; expected folders with configs/metadata.json"
        )
    given = named_folders("samples", samples, "BUNDLE=DIR") if samples else {}
    if strangers := sorted(set(given) - {bundle.name for bundle in found}):
        raise ValueError(f"samples are of {', '.join(strangers)}, but there is no such bundle; name it as its folder")
    output = Path(output_dir)
    folders = {bundle.name: given.get(bundle.name) or made_by(bundle, output, generate) for bundle in found}
    shown = {
        bundle.name: write_samples(bundle, folders[bundle.name], output, most, longest)
        for bundle in found
        if folders[bundle.name] is not None
    }
    entries = [
        _entry(bundle, folders[bundle.name] or bundle.folder / "eval") | {"samples": shown.get(bundle.name, [])}
        for bundle in found
    ]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    kinds = {entry["kind"]: KINDS.get(entry["kind"], entry["kind"]) for entry in entries}
    page = environment.get_template("gallery.html.j2").render(bundles=entries, kinds=kinds)
    path = output / "gallery.html"
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    number = sum(map(len, shown.values()))
    print(f"{len(entries)} bundles are on {path}" + (f", with {number} samples to scroll through" if number else ""))


def _entry(bundle: Bundle, made: str | Path) -> dict[str, Any]:
    """What the page says of a bundle, which has made samples in a folder."""
    metadata, where = bundle.metadata, _shown(bundle.folder)
    commands = []
    if bundle.name in SOURCES:
        commands.append(("Fetch the weights", f"python -m tools fetch_weights {bundle.name} --accept_license True"))
    if (bundle.folder / "configs" / "train.json").is_file():
        commands.append(("Train", f"python -m monai.bundle run --config_file {where}/configs/train.json"))
    others = {name: words for name, words in FURTHER.items() if (bundle.folder / f"configs/{name}.json").is_file()}
    commands += [
        (words, f"python -m monai.bundle run --config_file {where}/configs/{name}.json")
        for name, words in ({"inference": _verb(bundle.kind)} | others).items()
    ]
    return {
        "name": bundle.name,
        "kind": bundle.kind,
        "title": metadata["name"],
        "description": metadata["description"],
        "data": metadata["data_source"],
        "references": metadata.get("references", []),
        "trained": bundle.is_trained,
        "pictures": [
            *_pictures(bundle.folder / "docs"),
            *(
                _shown_as(path, f"{alt}, as made here")
                for name, alt in OF_STYLES.items()
                if (path := Path(made) / name).is_file()
            ),
        ],
        "commands": commands,
        "numbers": _numbers(bundle.folder),
        "words": " ".join(sorted(bundle.words() | {KINDS.get(bundle.kind, "")})).lower(),
    }


def _verb(kind: str) -> str:
    return {"generate": "Generate", "translate": "Translate"}.get(kind, "Run")


def _shown(folder: Path) -> str:
    """A bundle's folder, from the repository's root where it lies in there."""
    root = BUNDLES.parent
    return folder.resolve().relative_to(root).as_posix() if folder.resolve().is_relative_to(root) else str(folder)


def _pictures(docs: Path) -> Iterator[dict[str, str]]:
    """Pictures that a bundle's README shows, in its order, with the text beside them."""
    readme = docs / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    shown = [
        *re.findall(r'<img src="(?P<file>[^"/]+)"[^>]*?alt="(?P<alt>[^"]*)"', text),
        *((file, alt) for alt, file in re.findall(r"!\[([^\]]*)\]\(([^)/]+)\)", text)),
    ]
    for name, alt in sorted(dict(shown).items(), key=lambda one: text.index(one[0])):
        path = docs / name
        if path.suffix.lower() in PICTURES and path.is_file():
            yield _shown_as(path, alt)


def _shown_as(path: Path, alt: str) -> dict[str, str]:
    """A picture as it stands in the page, with the text below it."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return {"src": f"data:{PICTURES[path.suffix.lower()]};base64,{data}", "alt": alt}


def _numbers(folder: Path) -> Sequence[tuple[str, str]]:
    """Distances of the bundle's images to real ones, by feature space, from the report of an evaluation."""
    for name in REPORTS:
        path = folder / name
        if path.is_file():
            spaces = json.loads(path.read_text(encoding="utf-8")).get("spaces", {})
            return [
                (f"{metric} ({space})", f"{score['value']:.3g}")
                for space, found in spaces.items()
                for scores in found.get("models", {}).values()
                for metric, score in scores.items()
                if metric in ("fid", "mmd", "kid") and isinstance(score.get("value"), int | float)
            ]
    return []
