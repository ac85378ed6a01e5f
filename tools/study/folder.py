"""A study on disk: what it asks, the images, the personal links, and the key, which lies apart.

```
STUDY/
  study.json        questions and how images are shown; nothing about where an image comes from
  images/           one file per image, all of one size in bytes, under names that say nothing
  key/key.json      where each image comes from; nothing that serves readers opens it
  readers.json      personal links and the secret that orders are drawn with; drawn anew by every build
  answers.sqlite    written by the server
```
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
"""Version of the layout."""

KINDS = {"2afc": "two-alternative forced choice", "survey": "blind survey"}
SECTIONS = ("origin", "preference", "survey")
"""Real against generated, model against model, and one scan at a time."""

SURVEY_ANSWERS = ("real", "synthetic", "cannot tell")

MANIFEST, READERS, KEY, IMAGES, ANSWERS = "study.json", "readers.json", "key/key.json", "images", "answers.sqlite"


@dataclass(frozen=True)
class Question:
    """One question: a pair of images, or one scan.

    Attributes:
        id: id, which readers never see.
        section: one of `SECTIONS`.
        images: names of the files, in an order that says nothing.
        plane: "axial", "coronal" or "sagittal", shown first where readers can scroll.
        position: position of the slice along its plane's axis, 0 to 1.
    """

    id: str
    section: str
    images: tuple[str, ...]
    plane: str
    position: float


@dataclass(frozen=True)
class Study:
    """The manifest of a study, see `tools.study.build`.

    Attributes:
        folder: folder of the study.
        kind: one of `KINDS`.
        title: title that readers see.
        language: language of the page, unless a reader chooses another.
        sections: sections in the order they are read in.
        questions: questions of all sections.
        display: form of the images: width and height in pixels, or shape, spacing and values of volumes.
        fingerprint: fingerprint of the manifest; answers belong to one study only.
    """

    folder: Path
    kind: str
    title: str
    language: str
    sections: tuple[str, ...]
    questions: tuple[Question, ...]
    display: Mapping[str, Any]
    fingerprint: str

    @property
    def volumes(self) -> bool:
        """Whether readers scroll through whole volumes."""
        return "shape" in self.display

    def image_file(self, name: str) -> Path:
        """Return where the image of a question lies."""
        return self.folder / IMAGES / name


@dataclass(frozen=True)
class Reader:
    """Someone who reads, by a personal link.

    Attributes:
        number: number of the reader, from 1.
        name: name of the reader for the administrator and the analysis.
        token: the secret part of the link.
        sides: a 0 or 1 for every question of the manifest; 1 shows its images the other way round.
    """

    number: int
    name: str
    token: str
    sides: str


@dataclass(frozen=True)
class Access:
    """Who may open what: readers, the administrator, and the secret that orders and addresses are drawn with."""

    readers: tuple[Reader, ...]
    admin: str
    secret: bytes


def load_study(folder: str | os.PathLike) -> Study:
    """The manifest of a study folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the study is of another version.
    """
    text = _text(Path(folder), MANIFEST)
    content = json.loads(text)
    if content.get("format") != FORMAT:
        raise ValueError(
            f"{Path(folder) / MANIFEST} has format {content.get('format')}, expected {FORMAT}; build the study again"
        )
    questions = tuple(Question(**{**q, "images": tuple(q["images"])}) for q in content["questions"])
    return Study(
        folder=Path(folder),
        kind=content["kind"],
        title=content["title"],
        language=content["language"],
        sections=tuple(content["sections"]),
        questions=questions,
        display=content["display"],
        fingerprint=content["fingerprint"],
    )


def load_key(folder: str | os.PathLike) -> dict[str, Any]:
    """Return the origins of images: {"models": [...], "images": {name: {"origin": ..., "source": ...}}}.

    Raises:
        FileNotFoundError: the key was taken away; put it back to score the study.
    """
    return json.loads(_text(Path(folder), KEY))


def load_access(folder: str | os.PathLike) -> Access:
    """Personal links of a study."""
    content = json.loads(_text(Path(folder), READERS))
    readers = tuple(Reader(i, r["name"], r["token"], r["sides"]) for i, r in enumerate(content["readers"], start=1))
    return Access(readers, content["admin"], bytes.fromhex(content["secret"]))


def new_access(names: Sequence[str], sides: Sequence[str]) -> dict[str, Any]:
    """Links that cannot be guessed (256 random bits), as `readers.json` keeps them; see `Reader` for the sides."""
    return {
        "admin": secrets.token_urlsafe(32),
        "secret": secrets.token_hex(32),
        "readers": [
            {"name": name, "token": secrets.token_urlsafe(32), "sides": turned}
            for name, turned in zip(names, sides, strict=True)
        ],
    }


def _text(folder: Path, name: str) -> str:
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.absolute()} does not exist; expected a study folder, as written by `python -m tools study build`"
        )
    return path.read_text(encoding="utf-8")
