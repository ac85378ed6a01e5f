"""What the tests of sharing have in common: a local web server, and a stranger's machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from tests.tiny import REPOSITORY, tiny, train_config
from tools.engines.weights import save_model
from tools.share import pack, zoo

SCHEMA = REPOSITORY / "tools" / "metadata_schema.json"

LISTED = (
    *("monai", "torch", "numpy", "scipy", "pytorch-ignite", "SimpleITK", "nibabel", "pillow", "fire", "tqdm"),
    *("tensorboard", "pydicom", "pynrrd", "matplotlib", "Jinja2", "torchvision"),
)
"""What the archives' `requirements.txt` list."""

LISTED_WITH_LABELS = (*LISTED, "einops", "highdicom")
"""The same of bundles that make labels by diffusion."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL under which a folder's files are, while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Stranger:
    """A machine with the listed packages alone, on which `python -m monai.bundle` runs; see ``runner.py``."""

    def __init__(self, requirements: Path, folder: Path) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment["PYTHONHASHSEED"] = "0"  # as where packed bundles are checked
        self.folder = folder
        self.jobs = 0
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("runner.py")), str(requirements)],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def bundle(self, *arguments: object, folder: Path) -> str:
        """Run a command of `python -m monai.bundle` in a folder; the file from which it took ``tools``."""
        return self.run("monai.bundle", arguments, folder)

    def run(self, program: str, arguments: Sequence[object], folder: Path) -> str:
        """Run a module, or the path of a program, in a folder; the file from which it took ``tools``."""
        self.jobs += 1
        log = self.folder / f"{self.jobs}.log"
        job = {"program": program, "folder": str(folder), "arguments": [str(a) for a in arguments], "log": str(log)}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        code = self.process.stdout.readline().strip()
        assert code == "0", log.read_text()[-4000:] if log.is_file() else "the runner did not start"
        return Path(f"{log}.tools").read_text()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def packed(machine: Stranger, bundle: str, **options: object) -> Path:
    """The archive of a bundle, whose checks ran on the stranger's machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "run_checks", lambda arguments, folder: machine.run(zoo.__file__, arguments, folder))
        return pack.pack_bundle(bundle, filepath=SCHEMA, **options)


def untrained(bundle: str, folder: Path, **overrides: object) -> Path:
    """What a training of a bundle leaves in ``folder``, with weights as they were drawn."""
    parser = ConfigParser(train_config(bundle))
    parser.update(tiny(bundle, folder, **overrides))
    own = [key for key in parser["settings"] if key not in ("bundle", "data")]
    settings = {"bundle": bundle, "epoch": 1} | {key: parser.get_parsed_content(f"settings#{key}") for key in own}
    settings["data"] = {"kind": "phantom", "volumes": 4, "field_of_view_mm": [300.0, 300.0, 300.0]}
    for name in parser["models"]:
        save_model(folder / "models" / f"{name}.pt", parser.get_parsed_content(f"models#{name}"), settings)
    return folder


def as_options(overrides: dict) -> list[str]:
    """Overrides of ids as a command line has them."""
    return [text for key, value in overrides.items() for text in (f"--{key}", str(value))]
