"""A stranger's machine for all tests of sharing."""

import pytest

from tests.share.helpers import LISTED_WITH_LABELS, Stranger


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    """One for all archives: it has what any of them lists."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "requirements.txt").write_text("".join(f"{name}\n" for name in LISTED_WITH_LABELS))
    stranger = Stranger(folder / "requirements.txt", folder)
    yield stranger
    stranger.close()


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A folder that a bundle is unpacked to and run in."""
    folder = tmp_path / "toy"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder
