"""The list of a release: MONAI's own commands find, fetch and check what it names."""

import hashlib
import json
import re
import types
import zipfile
from pathlib import Path
from urllib.request import urlopen

import pytest
import requests
from monai.bundle import (
    download,
    download_large_files,
    get_all_bundles_list,
    get_bundle_versions,
    push_to_hf_hub,
    scripts,
)

from tests.share.helpers import served
from tests.share.test_archive import bundle_files, weights
from tools.__main__ import main
from tools.share.archive import CHECKSUMS, LARGE_FILES, ArchiveError, checksums, write_archive
from tools.share.index import model_info
from tools.share.large_files import large_files_yaml, set_apart


def publish(folder, name, version, **files):
    metadata = json.dumps({"version": version, "monai_version": "1.6.1"}).encode()
    path = folder / f"{name}_v{version}.zip"
    write_archive(path, name, bundle_files(**{"configs/metadata.json": metadata} | files))
    return path


@pytest.fixture
def release(tmp_path):
    folder = tmp_path / "release"
    publish(folder, "toy_gan", "0.1.0")
    publish(folder, "toy_gan", "0.2.0", **{"docs/README.md": b"# Toy\n"})
    publish(folder, "other", "1.0.0")
    return folder


@pytest.fixture
def github(release, monkeypatch):
    """GitHub, played by a local server: the index under models/, archives on the release page."""
    main(["index", str(release), "--repo", "owner/zoo", "--tag", "v1"])
    with served(release) as url:

        def get(address, **_):
            assert address == "https://raw.githubusercontent.com/owner/zoo/v1/models/model_info.json"
            return real(f"{url}/model_info.json")

        def fetch(address, filepath, **_):
            name = re.fullmatch(r"https://github.com/owner/zoo/releases/download/v1/(.*)", address)[1]
            Path(filepath).parent.mkdir(parents=True, exist_ok=True)
            Path(filepath).write_bytes(urlopen(f"{url}/{name}").read())

        real = requests.get
        monkeypatch.setattr(scripts.requests, "get", get)
        monkeypatch.setattr(scripts, "download_url", lambda url, filepath, **options: fetch(url, filepath, **options))
        yield url


def test_index_has_checksum_and_source_of_every_archive(release, capsys):
    main(["index", str(release), "--repo", "owner/zoo", "--tag", "v1"])
    listed = json.loads((release / "model_info.json").read_text())
    assert list(listed) == ["other_v1.0.0", "toy_gan_v0.1.0", "toy_gan_v0.2.0"]
    for name, item in listed.items():
        assert item["checksum"] == hashlib.sha1((release / f"{name}.zip").read_bytes()).hexdigest()
        assert item["source"] == f"https://github.com/owner/zoo/releases/download/v1/{name}.zip"
    main(["index", str(release), "--base_url", "https://example.org/files/"])
    assert json.loads((release / "model_info.json").read_text())["other_v1.0.0"]["source"] == (
        "https://example.org/files/other_v1.0.0.zip"
    )


def test_monai_lists_and_downloads_the_newest_from_github(github, tmp_path):
    assert dict(get_all_bundles_list(repo="owner/zoo", tag="v1")) == {"other": "1.0.0", "toy_gan": "0.2.0"}
    versions = get_bundle_versions("toy_gan", repo="owner/zoo", tag="v1")
    assert versions == {"latest_version": "0.2.0", "all_versions": ["0.1.0", "0.2.0"]}
    download(name="toy_gan", source="github", repo="owner/zoo/v1", bundle_dir=tmp_path / "got", progress=False)
    assert (tmp_path / "got" / "toy_gan" / "docs" / "README.md").read_text() == "# Toy\n"


def test_versions_that_monai_would_confuse(release):
    publish(release, "other", "0.9.0")
    publish(release, "other", "0.10.0")
    (release / "other_v1.0.0.zip").unlink()
    (remark,) = model_info(release, "u")[1]
    assert remark == "other: MONAI compares versions as text and will take 0.9.0, not 0.10.0, for the newest"


def test_what_does_not_belong_in_a_list(release, tmp_path):
    (release / "toy_gan_v0.1.0.zip").rename(release / "toy_gan_v0.3.0.zip")
    with pytest.raises(ArchiveError, match=r"must be toy_gan_v0.1.0.zip"):
        model_info(release, "u")
    (release / "toy_gan_v0.3.0.zip").write_bytes(b"x")
    with pytest.raises(ArchiveError, match=r"toy_gan_v0.3.0.zip is damaged"):
        model_info(release, "u")
    with pytest.raises(FileNotFoundError, match="no archives in"):
        model_info(tmp_path, "u")
    with pytest.raises(SystemExit, match=r"Give --repo owner/name and --tag, or --base_url"):
        main(["index", str(release)])
    with pytest.raises(SystemExit, match="the form is owner/name"):
        main(["index", str(release), "--repo", "zoo", "--tag", "v1"])


@pytest.fixture
def large(tmp_path):
    """A release whose weights are beside the archive, as `pack --large_file_mb` writes it, with its server."""
    folder = tmp_path / "large"
    folder.mkdir()
    with served(folder) as url:
        files = bundle_files(**{"configs/metadata.json": b'{"version": "0.1.0", "monai_version": "1.6.1"}'})
        del files[CHECKSUMS]
        apart = set_apart(files, 1000)
        inside = {path: content for path, content in files.items() if path not in apart}
        inside[LARGE_FILES] = large_files_yaml("toy_v0.1.0", apart, url).encode()
        inside[CHECKSUMS] = checksums(inside | apart).encode()
        (folder / "toy_v0.1.0_model.pt").write_bytes(apart["models/model.pt"])
        write_archive(folder / "toy_v0.1.0.zip", "toy", inside)
        yield folder, url


def test_large_weights_are_fetched_by_their_checksum(large, tmp_path):
    folder, url = large
    with zipfile.ZipFile(folder / "toy_v0.1.0.zip") as archive:
        assert "toy/models/model.pt" not in archive.namelist()
    assert list(model_info(folder, url)[0]) == ["toy_v0.1.0"]
    download(name="toy", url=f"{url}/toy_v0.1.0.zip", bundle_dir=tmp_path / "got", progress=False)
    download_large_files(bundle_path=str(tmp_path / "got" / "toy"))
    assert (tmp_path / "got" / "toy" / "models" / "model.pt").read_bytes() == weights()


def test_large_weights_that_were_exchanged(large, tmp_path):
    folder, url = large
    (folder / "toy_v0.1.0_model.pt").write_bytes(weights(1.0))
    with pytest.raises(ArchiveError, match=r"toy_v0.1.0_model.pt is not the file that toy_v0.1.0.zip fetches"):
        model_info(folder, url)
    download(name="toy", url=f"{url}/toy_v0.1.0.zip", bundle_dir=tmp_path / "got", progress=False)
    with pytest.raises(Exception, match="hash check"):
        download_large_files(bundle_path=str(tmp_path / "got" / "toy"))
    (folder / "toy_v0.1.0_model.pt").unlink()
    with pytest.raises(FileNotFoundError, match="`pack` writes it"):
        model_info(folder, url)


def test_what_would_be_pushed_to_the_hugging_face_hub(tmp_path, monkeypatch):
    """MONAI makes a model card of docs/README.md and uploads the unpacked folder; the hub is played here."""
    calls = []

    class Hub:
        def __init__(self, token=None):
            pass

        def __getattr__(self, name):
            return lambda **options: calls.append((name, options)) or "https://huggingface.co/owner/toy"

    monkeypatch.setattr(scripts, "huggingface_hub", types.SimpleNamespace(HfApi=Hub))
    licence = b"Apache License\nVersion 2.0, January 2004\n"
    archive = publish(tmp_path, "toy", "0.1.0", **{"docs/README.md": b"# Toy\n\n## Model card\n", "LICENSE": licence})
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "bundles")
    push_to_hf_hub(repo="owner/toy", name="toy", bundle_dir=str(tmp_path / "bundles"), version="0.1.0")
    assert [name for name, _ in calls] == ["create_repo", "upload_folder", "create_tag"]
    assert calls[1][1]["folder_path"] == str(tmp_path / "bundles" / "toy")
    card = (tmp_path / "bundles" / "toy" / "README.md").read_text()
    assert card.startswith("---\ntags:\n- monai\n- medical\nlibrary_name: monai\nlicense: apache-2.0\n---\n# Toy")
    assert "## Model card" in card
