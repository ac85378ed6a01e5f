"""What the tests of attacks have in common: a command that leaves a trace, and what `inspect` says of an archive."""

import io
import os
import shutil

import numpy as np
import torch

from tests.share.test_archive import bundle_files
from tools.__main__ import main
from tools.share.archive import write_archive

TOUCH = "touch pwned"

SYSTEM = f"__import__('os').system('{TOUCH}')"


class Payload:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, (TOUCH,)


def numpy_file(array, save=np.save):
    stream = io.BytesIO()
    save(stream, array)
    return stream.getvalue()


def torch_file(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def written(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def ran(folder):
    """Whether the command ran; it is as if it had not, afterwards."""
    there = (folder / "pwned").exists()
    shutil.rmtree(folder / "pwned") if (folder / "pwned").is_dir() else (folder / "pwned").unlink(missing_ok=True)
    return there


def inspected(folder, files, capsys, *options):
    """What `inspect` prints of an archive with these files, and of a folder with them; nothing of them ran."""
    packed = bundle_files(**{name: c if isinstance(c, bytes) else c.encode() for name, c in files.items()})
    path = folder.parent / "toy_v0.1.0.zip"
    write_archive(path, "toy", packed)
    capsys.readouterr()
    main(["inspect", str(path), *options])
    shown = capsys.readouterr().out
    assert not ran(folder)
    return shown


def marked(shown):
    """The lines that deserve a look, below the summary."""
    return [line for line in shown.split("\n\n", 2)[-1].split("\n") if line.startswith("!")]
