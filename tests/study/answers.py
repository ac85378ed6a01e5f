"""What a study keeps."""

from tools.study.database import Database
from tools.study.folder import load_study


def database(folder):
    return Database(folder / "answers.sqlite", load_study(folder).fingerprint)
