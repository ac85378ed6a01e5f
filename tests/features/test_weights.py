"""Files of weights: found wherever they lie, known by their hash, and named when they are missing or wrong."""

import hashlib
import logging
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn

from tools.features.weights import WeightFile, file_sha256, load_weights


def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def meta_network():
    with torch.device("meta"):
        return network()


@pytest.fixture
def published(tmp_path):
    """A file of weights, and what is known of it."""
    path = tmp_path / "published" / "net.pth"
    path.parent.mkdir()
    torch.save(network().state_dict(), path)
    known = WeightFile("net.pth", file_sha256(path), "https://example.org/net.pth", "a network")
    return path, known


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Where torch.hub keeps a file, on a machine without a network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)  # what torch.hub.set_dir sets
    offline(monkeypatch, URLError("no route to host"))
    return tmp_path / "home/hub/checkpoints/net.pth"


def offline(monkeypatch, error):
    def fail(url, dst, **kwargs):
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)


def same(network, state):
    return all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_hash_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1000)
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 1000).hexdigest()


def test_a_file_under_any_name_or_its_folder(published, tmp_path, monkeypatch):
    path, known = published
    assert known.locate(path) == (path, known.sha256)
    assert known.locate(str(path.parent)) == (path, known.sha256)
    renamed = path.rename(path.with_name("mine.bin"))
    assert known.locate(renamed)[0] == renamed
    monkeypatch.setenv("HOME", str(tmp_path))
    assert known.locate("~/published/mine.bin")[0] == renamed


def test_part_of_a_hash_does(published):
    path, known = published
    short = WeightFile(known.name, known.sha256[:8], known.url, known.purpose)
    assert short.locate(path) == (path, known.sha256)


@pytest.mark.parametrize("where", ["missing.pth", "."])
def test_a_missing_file_is_named(published, tmp_path, where):
    _, known = published
    with pytest.raises(FileNotFoundError) as error:
        known.locate(tmp_path / where)
    for part in (str(tmp_path), "net.pth", "https://example.org/net.pth", "--weights"):
        assert part in str(error.value)


def test_another_hash(published, caplog):
    path, known = published
    other = WeightFile("net.pth", "0" * 64, known.url, known.purpose)
    with pytest.raises(
        ValueError, match=rf"net\.pth is not net\.pth .*{known.sha256}, expected 0000.*check_hash=False"
    ):
        other.locate(path)
    with caplog.at_level(logging.WARNING):
        assert other.locate(path, check_hash=False) == (path, known.sha256)
    assert "is not the published net.pth" in caplog.text


@pytest.mark.parametrize("error", [URLError("no route"), IncompleteRead(b""), RuntimeError("invalid hash value")])
def test_offline(published, hub, monkeypatch, error):
    _, known = published
    offline(monkeypatch, error)
    with pytest.raises(FileNotFoundError) as raised:
        known.locate()
    for part in (str(hub), "a network", "cannot be downloaded", "https://example.org/net.pth", "--weights"):
        assert part in str(raised.value)
    assert list(hub.parent.iterdir()) == []  # nothing half there


def test_the_folder_of_torch_hub(published, hub):
    path, known = published
    hub.parent.mkdir(parents=True)
    hub.write_bytes(path.read_bytes())
    assert known.locate() == (hub, known.sha256)
    hub.write_bytes(b"other")
    for check_hash in (True, False):  # only a file that was chosen may be another
        with pytest.raises(ValueError, match="Remove it to have it downloaded again"):
            known.locate(check_hash=check_hash)


def test_a_download(published, hub, monkeypatch):
    path, known = published
    asked = []

    def download(url, dst, hash_prefix):
        asked.append((url, hash_prefix))
        Path(dst).write_bytes(path.read_bytes())

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    assert known.locate() == known.locate() == (hub, known.sha256)
    assert asked == [(known.url, known.sha256)]


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("nested", [False, True])
def test_state_dictionaries(tmp_path, prefix, nested):
    state = network().state_dict()
    saved = {prefix + key: value for key, value in state.items()}
    torch.save({"state_dict": saved, "epoch": 3} if nested else saved, tmp_path / "a.pth")
    for target in (network(), meta_network()):
        load_weights(target, tmp_path / "a.pth")
        assert same(target, state)


def test_old_and_half_precision_files(tmp_path):
    state = network().state_dict()
    old = {k: v.half() if v.is_floating_point() else v for k, v in state.items() if not k.endswith("batches_tracked")}
    torch.save(old, tmp_path / "a.pth")
    target = meta_network()
    load_weights(target, tmp_path / "a.pth")
    assert {p.dtype for p in target.parameters()} == {torch.float32}
    assert not any(t.is_meta for t in target.state_dict().values())


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {0: torch.zeros(1)}, torch.zeros(3)])
def test_no_state_dictionary(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth holds no state dictionary"):
        load_weights(network(), tmp_path / "a.pth")


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs", b"PK\x03\x04 broken", b"\x80\x02}"])
def test_unreadable_files(tmp_path, content):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.pth is not a file of weights"):
        load_weights(network(), tmp_path / "a.pth")


def test_a_pickle_with_code_is_refused(tmp_path):
    torch.save({"state_dict": network()}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="not a file of weights that torch can read"):
        load_weights(network(), tmp_path / "a.pth")


def test_weights_of_another_network(tmp_path):
    torch.save(nn.Sequential(nn.Conv2d(1, 3, 3)).state_dict(), tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth does not hold the weights of this Sequential: .*(size|Missing)"):
        load_weights(network(), tmp_path / "a.pth")
