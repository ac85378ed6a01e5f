"""``python -m tools study``: build a reader study, serve it, analyse it, and plan how large it must be."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.options import listed, named_folders
from tools.study import build as building
from tools.study.folder import KINDS, load_access
from tools.study.links import links
from tools.study.server import listening, make_app
from tools.transforms.planes import PLANES

logger = logging.getLogger(__name__)


class StudyCommands:
    """Reader studies: which images are real, and which are more realistic, judged by radiologists in a browser."""

    def build(
        self,
        output_dir: str,
        kind: str,
        real: str,
        models: str | Mapping[str, str] | None = None,
        synthetic: str | None = None,
        real_pairs: int = 10,
        model_pairs: int = 30,
        scans: int = 20,
        readers: int | str | Sequence[str] = 12,
        seed: int = 0,
        window: Sequence[float] | None = None,
        volumes: bool = False,
        planes: str | Sequence[str] = PLANES,
        against: str | Sequence[str] | None = None,
        as_stored: bool = False,
        image_size: int | None = None,
        title: str = "",
        language: str = "en",
    ) -> None:
        """Write a study folder, which `serve` then serves.

        The same images, options and seed give the same study; only the links and each reader's order and sides, in
        readers.json, are drawn anew, so that nobody can compute them.

        Args:
            output_dir: folder to make.
            kind: 2afc (which of two images is real, which of two models' images is more realistic) or survey (real,
                synthetic or cannot tell).
            real: folder of real volumes (NIfTI, MetaImage, .npy, or folders of DICOM or PNG slices).
            models: folders of generated volumes as a=DIR,b=DIR, for 2afc.
            synthetic: folder of synthetic volumes, for a survey.
            real_pairs: number of pairs of a real and a generated image, for 2afc.
            model_pairs: number of pairs of the two models, for 2afc.
            scans: number of scans, even, for a survey; half of them are real.
            readers: number of readers, or their names separated by commas.
            seed: seed of the draw of volumes, planes and positions.
            window: LOW,HIGH, the values that are black and white. Without it sets in HU take -1024,600.
            volumes: True lets readers scroll through whole volumes in three planes and set the window.
            planes: axial,coronal,sagittal or some of them.
            against: models that real images are paired with, in turn, for 2afc; the first without it.
            as_stored: True takes voxels for cubes, for volumes that differ only in the voxel size they state.
            image_size: voxels a side of the cube to which every volume of all sets is resized, if they differ in shape.
            title: title that readers see.
            language: language of the page.
        """
        names = readers if isinstance(readers, int) else listed(readers)
        settings = building.Settings(
            seed=seed,
            title=str(title),
            language=language,
            planes=tuple(listed(planes)),
            window=window,
            volumes=bool(volumes),
            as_stored=bool(as_stored),
            image_size=image_size,
            readers=_readers(names),
        )
        if kind == "2afc":
            if models is None:
                raise ValueError("a 2afc study needs --models a=DIR,b=DIR")
            chosen = None if against is None else listed(against)
            study = building.build_2afc(
                output_dir, real, named_folders("--models", models), real_pairs, model_pairs, settings, chosen
            )
        elif kind == "survey":
            if synthetic is None:
                raise ValueError("a survey needs --synthetic DIR")
            study = building.build_survey(output_dir, real, str(synthetic), scans, settings)
        else:
            raise ValueError(f"--kind is {kind!r}, expected one of {', '.join(KINDS)}")
        print(f"{study}: serve it with `python -m tools study serve {study}`")

    def serve(
        self,
        study_dir: str,
        host: str = "127.0.0.1",
        port: int = 8080,
        database: str | None = None,
        proxies: int = 0,
        address: str | None = None,
    ) -> None:
        """Serve a study until stopped with Ctrl+C, and print the links to send once the port is taken.

        Args:
            study_dir: folder that `study build` wrote.
            host: network interface; 0.0.0.0 for all.
            port: port of the server.
            database: file of the answers; answers.sqlite in the study folder without it.
            proxies: number of proxies before the server (1 behind one that does TLS).
            address: address that readers open and that all links begin with, such as https://study.example.org, where
                it differs from the server's own.
        """
        own = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        address = address or f"http://{own}:{port}"
        server = listening(make_app(study_dir, database, proxies, address), host, port, proxies)
        for name, link in links(load_access(study_dir), address):
            print(f"{name}: {link}", flush=True)
        server.run()

    def analyse(
        self, study_dir: str | Sequence[str], output_dir: str | None = None, database: str | None = None, seed: int = 0
    ) -> None:
        """Write report.json, answers.csv and report.html.

        Args:
            study_dir: folder that was served; several surveys, separated by commas, are compared with each other.
            output_dir: folder for the report; "analysis" in the (first) study folder without it.
            database: file of the answers, if it is not in the study folder.
            seed: seed of bootstraps and permutations.
        """
        from tools.study.report import write_report

        folders = listed(study_dir)
        if database is not None and len(folders) > 1:
            raise ValueError("--database goes with one study; keep each study's answers in its folder")
        output = Path(output_dir or Path(folders[0]) / "analysis")
        write_report(folders, output, database, seed)
        print(output / "report.html")

    def plan(
        self,
        preference: float = 0.6,
        readers: Sequence[int] = (3, 6, 9, 12, 18, 24),
        pairs: Sequence[int] = (10, 20, 30, 40, 60, 80),
        power: float = 0.8,
        reader_sd: float | None = None,
        pair_sd: float | None = None,
        simulations: int = 1000,
        seed: int = 0,
        output: str | None = None,
    ) -> None:
        """Compute how many readers and pairs find a preference between two models, by simulated studies.

        Args:
            preference: share of votes for the preferred model, between 0.5 and 1.
            readers: numbers of readers to try.
            pairs: numbers of pairs to try.
            power: share of studies that must find it at p < 0.05.
            reader_sd: standard deviation of readers' preferences, in logits.
            pair_sd: standard deviation of pairs, in logits; by default as in the CRF-GAN paper.
            simulations: studies for each number of readers and pairs.
            seed: seed of the simulations.
            output: file to write as JSON.
        """
        from tools.study.planning import PAIR_SD, READER_SD, plan_text, power_table

        table = power_table(
            preference,
            _numbers(readers),
            _numbers(pairs),
            power,
            READER_SD if reader_sd is None else reader_sd,
            PAIR_SD if pair_sd is None else pair_sd,
            simulations,
            seed,
        )
        print(plan_text(table))
        if output:
            from tools.files import whole_file

            with whole_file(output) as partial:
                partial.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def _numbers(value: int | str | Sequence[int]) -> list[int]:
    return [value] if isinstance(value, int) else [int(part) for part in listed(value)]


def _readers(readers: int | Sequence[str]) -> tuple[str, ...]:
    names = [f"reader {i}" for i in range(1, readers + 1)] if isinstance(readers, int) else list(readers)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"--readers is {readers!r}, expected a number from 1 up, or names that differ")
    return tuple(names)
