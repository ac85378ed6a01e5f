"""The committed bundles are those of the catalogue."""

import json
import subprocess
import sys

from tests.tiny import EVERY, REPOSITORY
from tools.catalogue.write import bundles, files, write_bundles


def test_every_bundle_of_the_catalogue_is_there():
    """There may be others: a user's own."""
    assert bundles().keys() <= set(EVERY)


def test_the_committed_files_are_what_the_catalogue_gives():
    """If this fails: ``python -m tools write_bundles``."""
    differing = [
        f"{name}/{path}"
        for name, (family, entry) in bundles().items()
        for path, text in files(family, entry).items()
        if (REPOSITORY / "bundles" / name / path).read_bytes() != text.encode()
    ]
    assert differing == []


def test_configs_that_the_catalogue_does_not_know_are_not_left_behind():
    known = {f"{name}/{path}" for name, (family, entry) in bundles().items() for path in files(family, entry)}
    folder = REPOSITORY / "bundles"
    there = {str(path.relative_to(folder)) for name in bundles() for path in (folder / name).glob("configs/*")}
    assert there == {path for path in known if "/configs/" in path}


def test_written_elsewhere(tmp_path, capsys):
    write_bundles(str(tmp_path))
    assert json.loads((tmp_path / "cyclegan_triple/configs/train.json").read_text())["modalities"] == [
        "in_phase",
        "out_phase",
        "t2",
    ]
    assert f"wrote {tmp_path / 'crf_gan_gsp/LICENSE'}" in capsys.readouterr().out
    write_bundles(str(tmp_path))
    assert capsys.readouterr().out.endswith(", 0 files written\n")


def test_listing_bundles_needs_neither_torch_nor_monai():
    code = (
        "import sys; from tools.catalogue.write import bundles; assert bundles(); "
        "print(*sorted({'torch', 'monai', 'numpy', 'jinja2'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
