"""A stranger's machine for all tests of sharing."""

import pytest

from tests.share.helpers import LISTED, Stranger


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    """One for all archives: they list the same packages."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "requirements.txt").write_text("".join(f"{name}\n" for name in LISTED))
    stranger = Stranger(folder / "requirements.txt", folder)
    yield stranger
    stranger.close()
