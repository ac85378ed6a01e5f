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

from tests.tiny import REPOSITORY

SCHEMA = REPOSITORY / "tests" / "bundles" / "metadata_schema.json"


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


def as_options(overrides: dict) -> list[str]:
    """Overrides of ids as a command line has them."""
    return [text for key, value in overrides.items() for text in (f"--{key}", str(value))]
