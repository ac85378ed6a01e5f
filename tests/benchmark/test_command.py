"""`python -m tools benchmark`: what it refuses before anything runs, and what it prints."""

import pytest

from tests.benchmark.small import CRF
from tools.__main__ import main
from tools.benchmark.command import benchmark


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bundles": "crf_gan"}, "bundles is 'crf_gan', expected different names out of .*crf_gan_luna16"),
        ({"bundles": []}, "bundles is"),
        ({"image_sizes": "64,100"}, "image_size is 100, expected a power of two"),
        ({"image_sizes": "big"}, "image_sizes is 'big', expected different whole numbers"),
        ({"batch_sizes": [0, 2]}, r"batch_sizes is \[0, 2\]"),
        ({"tables": "memory,time"}, "tables is 'memory,time', expected different names out of parameters, memory"),
        ({"steps": 0}, "steps is 0, expected a whole number from 1"),
        ({"warmup": -1}, "warmup is -1, expected a whole number from 0"),
        ({"rounds": 1.5}, "rounds is 1.5"),
        ({"precision": "fp8"}, "precision is .*fp8"),
        ({"device": "fast"}, "device is 'fast'"),
        ({"device": "cuda:99"}, "device is 'cuda:99', but torch sees"),
        ({"overrides": {"base_chanels": 8}}, "overrides: bundle crf_gan_luna16 has no 'base_chanels'"),
        ({"overrides": {"image_size": 32}}, "give it by --image_sizes"),
        ({"overrides": "base_channels=8"}, "overrides is 'base_channels=8', expected entries"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(options, message, tmp_path):
    given = {"bundles": CRF, "image_sizes": 64, "output_dir": tmp_path / "out"} | options
    with pytest.raises(ValueError, match=message):
        benchmark(**given)
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        benchmark(CRF, image_sizes=64, output_dir=tmp_path / "out")


def test_the_command_line(tmp_path, capsys):
    main(["benchmark", "--bundles", CRF, "--image_sizes", "64,128", "--tables=parameters", f"--output_dir={tmp_path}"])
    shown = capsys.readouterr().out
    assert "| 64³ | 57,079,938 | 57.07 M |" in shown
    assert "| 128³ | 57,209,762 | 57.20 M |" in shown
    assert shown.strip() == (tmp_path / "benchmark.md").read_text().strip()
