"""Looking into a bundle: everything that could run is listed, and nothing of it runs."""

import json

import pytest

from tests.share.test_archive import bundle_files, weights
from tools.__main__ import main
from tools.share.archive import CHECKSUMS, checksums, write_archive

EVIL = {
    "imports": ["$import os"],
    "start": "$os.system('touch pwned')",
    "call": {"_target_": "subprocess.run", "args": ["touch", "pwned"]},
    "hidden": {"deep": [{"_target_": "$__import__('builtins').exec"}]},
    "part": "%/etc/passwd#x",
}
LOGGING = "[handler_console]\nclass=StreamHandler\nargs=(__import__('os').system('touch pwned'),)\n"
CODE = "import socket\nfrom urllib import request\nopen('pwned', 'w')\nmodel.eval()\n"


@pytest.fixture
def archive(tmp_path):
    files = {
        "configs/inference.json": json.dumps(EVIL).encode(),
        "configs/more.yaml": b"late: $print('hi')\n",
        "configs/logging.conf": LOGGING.encode(),
        "tools/net.py": CODE.encode(),
    }
    path = tmp_path / "toy_v0.1.0.zip"
    write_archive(path, "toy", bundle_files(**files))
    return path


def test_everything_is_listed_and_nothing_runs(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["inspect", str(archive)])
    shown = capsys.readouterr().out
    for line in (
        "  inference.json imports#0: import os",
        "! inference.json start: os.system('touch pwned')",
        "! inference.json call#_target_: subprocess.run",
        "! inference.json hidden#deep#0#_target_: __import__('builtins').exec",
        "  inference.json part: /etc/passwd#x",
        "  more.yaml late: print('hi')",
        "! logging.conf args: (__import__('os').system('touch pwned'),)",
        "! tools/net.py: socket, urllib",
        "!     line 3: open('pwned', 'w')",
    ):
        assert line in shown.split("\n")
    assert "model.eval" not in shown
    assert "compare with --checksum" in shown
    assert not (tmp_path / "pwned").exists()


def test_a_folder_is_listed_too(archive, tmp_path, capsys):
    (tmp_path / "toy" / "configs").mkdir(parents=True)
    (tmp_path / "toy" / "configs" / "inference.json").write_text(json.dumps(EVIL))
    main(["inspect", str(tmp_path / "toy")])
    shown = capsys.readouterr().out
    assert "were not checked" in shown
    assert "! inference.json start: os.system('touch pwned')" in shown


def test_an_archive_that_fails_its_checks_is_refused_by_name(archive, tmp_path):
    write_archive(archive, "toy", bundle_files() | {"models/model.pt": weights(2.0)})
    with pytest.raises(SystemExit, match=r"^ArchiveError: toy/models/model.pt is not the file .* it was altered"):
        main(["inspect", str(archive)])


def test_a_config_that_cannot_be_read_is_not_passed_over(tmp_path):
    files = bundle_files(**{"configs/train.json": b"{"})
    files[CHECKSUMS] = checksums({k: v for k, v in files.items() if k != CHECKSUMS}).encode()
    write_archive(tmp_path / "toy.zip", "toy", files)
    with pytest.raises(SystemExit, match=r"configs/train.json cannot be read .* cannot be listed"):
        main(["inspect", str(tmp_path / "toy.zip")])
