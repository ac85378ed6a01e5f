"""Archives are written the same way every time, and doctored ones are refused, each by the name of what is wrong."""

import hashlib
import io
import os
import pickle
import stat
import zipfile

import numpy as np
import pytest
import torch

from tools.share.archive import (
    CHECKSUMS,
    LARGE_FILES,
    ArchiveError,
    Limits,
    check_archive,
    checksums,
    unpack,
    write_archive,
)
from tools.share.pickles import code_inside


class Payload:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


def weights(value=0.0):
    stream = io.BytesIO()
    torch.save({"layer.weight": torch.full((4, 4), value)}, stream)
    return stream.getvalue()


def bundle_files(**changed):
    files = {
        "LICENSE": b"Apache License",
        "configs/metadata.json": b'{"version": "0.1.0"}',
        "configs/inference.json": b'{"bundle_root": "."}',
        "models/model.pt": weights(),
    } | changed
    return files | {CHECKSUMS: checksums(files).encode()}


def entry(name, mode=stat.S_IFREG | 0o644, compress=zipfile.ZIP_STORED):
    made = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    made.external_attr = mode << 16
    made.compress_type = compress
    return made


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "toy_v0.1.0.zip"
    write_archive(path, "toy", bundle_files())
    return path


def doctored(path, *more):
    """The good archive, with further entries."""
    with zipfile.ZipFile(path, "a") as archive:
        for made, content in more:
            archive.writestr(made, content)
    return path


def test_same_files_make_the_same_bytes(tmp_path):
    for name, files in (("one", bundle_files()), ("two", dict(reversed(bundle_files().items())))):
        write_archive(tmp_path / f"{name}.zip", "toy", files)
    digests = {hashlib.sha256((tmp_path / f"{name}.zip").read_bytes()).hexdigest() for name in ("one", "two")}
    assert len(digests) == 1


def test_a_good_archive_passes_and_is_unpacked(good, tmp_path):
    assert check_archive(good) == "toy"
    assert check_archive(good, checksum=hashlib.sha1(good.read_bytes()).hexdigest()) == "toy"
    folder = unpack(good, tmp_path / "out")
    assert (folder / "models" / "model.pt").read_bytes() == weights()
    with pytest.raises(FileExistsError, match="is not empty"):
        unpack(good, tmp_path / "out")


def test_another_archive_than_the_published_one(good):
    with pytest.raises(ArchiveError, match="it is not what was published"):
        check_archive(good, checksum="0" * 40)
    with pytest.raises(ValueError, match="give SHA-1"):
        check_archive(good, checksum="abc")


@pytest.mark.parametrize("name", ["../outside.txt", "toy/../../outside.txt", "/etc/passwd", "C:\\x", "toy\\..\\x"])
def test_paths_outside_the_folder(good, name, tmp_path):
    with pytest.raises(ArchiveError, match="would be written outside the bundle's folder"):
        unpack(doctored(good, (entry(name), b"x")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links(good):
    link = entry("toy/models/link.pt", mode=stat.S_IFLNK | 0o777)
    with pytest.raises(ArchiveError, match=r"toy/models/link.pt is a link or device"):
        check_archive(doctored(good, (link, b"/etc/passwd")))


def test_two_folders_and_files_beside_them(good):
    with pytest.raises(ArchiveError, match="one folder with all in it"):
        check_archive(doctored(good, (entry("other/file.txt"), b"x")))


def test_a_file_beside_the_folder(good):
    with pytest.raises(ArchiveError, match="lies beside the bundle's folder"):
        check_archive(doctored(good, (entry("sitecustomize.py"), b"x")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["toy/configs/inference.json", "toy/configs/INFERENCE.json"])
def test_a_file_that_is_there_twice(good, name):
    with pytest.raises(ArchiveError, match="is there twice"):
        check_archive(doctored(good, (entry(name), b"{}")))


def test_altered_weights(tmp_path):
    files = bundle_files() | {"models/model.pt": weights(1.0)}
    write_archive(tmp_path / "toy.zip", "toy", files)
    with pytest.raises(ArchiveError, match=r"toy/models/model.pt is not the file .* it was altered"):
        check_archive(tmp_path / "toy.zip")


def test_a_flipped_byte(good):
    content = bytearray(good.read_bytes())
    content[content.index(b"Apache")] ^= 1
    good.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"toy_v0.1.0.zip is damaged.*LICENSE"):
        check_archive(good)


def test_added_and_missing_files(good, tmp_path):
    with pytest.raises(ArchiveError, match=r"toy/tools/more.py is not listed in SHA256SUMS"):
        check_archive(doctored(good, (entry("toy/tools/more.py"), b"x")))
    files = bundle_files()
    del files["LICENSE"]
    write_archive(tmp_path / "less.zip", "toy", files)
    with pytest.raises(ArchiveError, match="toy/LICENSE is listed in SHA256SUMS but missing"):
        check_archive(tmp_path / "less.zip")
    write_archive(tmp_path / "none.zip", "toy", {"LICENSE": b""})
    with pytest.raises(ArchiveError, match="SHA256SUMS is missing"):
        check_archive(tmp_path / "none.zip")


@pytest.mark.parametrize("legacy", [True, False])
def test_pickled_code_in_weights(tmp_path, monkeypatch, legacy):
    """Checksums are right: whoever makes an archive can write them."""
    monkeypatch.chdir(tmp_path)
    if legacy:
        content = pickle.dumps({"layer.weight": Payload()})
    else:
        stream = io.BytesIO()
        torch.save({"layer.weight": Payload()}, stream)
        content = stream.getvalue()
    write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{"models/model.pt": content}))
    with pytest.raises(ArchiveError, match=r"toy/models/model.pt does not load as weights alone"):
        check_archive(tmp_path / "toy.zip")
    assert not (tmp_path / "pwned").exists()


def test_weights_that_are_no_tensors(tmp_path):
    stream = io.BytesIO()
    torch.save({"layer.weight": "text"}, stream)
    write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{"models/model.pt": stream.getvalue()}))
    with pytest.raises(ArchiveError, match=r"layer.weight is no tensor"):
        check_archive(tmp_path / "toy.zip")


@pytest.mark.parametrize("name", ["models/more.pkl", "tools/fast.so", "tools/__pycache__/x.pyc"])
def test_other_pickles_and_machine_code(tmp_path, name):
    write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{name: b"x"}))
    with pytest.raises(ArchiveError, match="can hold pickled or compiled code"):
        check_archive(tmp_path / "toy.zip")


@pytest.mark.parametrize("first", range(256))
def test_numbers_are_no_pickle_whatever_byte_they_begin_with(first):
    """As a tensor in TorchScript, of which one in 85 begins with the code of a pickle's extension."""
    numbers = np.random.default_rng(first).normal(0, 0.02, 64).astype("<f4").tobytes()
    assert code_inside(io.BytesIO(bytes([first]) + numbers[1:])) is None


def test_a_pickle_of_the_oldest_kind_with_an_extension(tmp_path):
    """It is called what nobody can tell, and still found."""
    assert "cannot be told" in code_inside(io.BytesIO(b"\x82\x01(S'x'\ntR."))


def test_a_zip_bomb_by_its_ratio(good):
    bomb = entry("toy/configs/big.json", compress=zipfile.ZIP_DEFLATED)
    with pytest.raises(ArchiveError, match=r"toy/configs/big.json would unpack to .* a ZIP bomb"):
        check_archive(doctored(good, (bomb, bytes(5_000_000))))


def test_a_zip_bomb_in_the_weights(tmp_path):
    """torch's files are ZIPs: theirs is looked at before torch reads them."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as inner:
        inner.writestr(entry("archive/data.pkl", compress=zipfile.ZIP_DEFLATED), bytes(5_000_000))
    write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{"models/model.pt": stream.getvalue()}))
    with pytest.raises(ArchiveError, match=r"archive/data.pkl would unpack to .* a ZIP bomb"):
        check_archive(tmp_path / "toy.zip")


def test_a_zip_bomb_of_overlapping_files(good):
    """Two names for the same bytes, as Fifield's bombs have them."""
    with zipfile.ZipFile(good) as archive:
        start = archive.getinfo("toy/models/model.pt").header_offset
    doctored(good, (entry("toy/again.txt"), b"x" * 100))
    content = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as archive:
        offset = archive.start_dir
        for item in archive.infolist():
            if item.filename == "toy/again.txt":
                content[offset + 42 : offset + 46] = start.to_bytes(4, "little")
            offset += 46 + len(item.filename) + len(item.extra) + len(item.comment)
    good.write_bytes(content)
    with pytest.raises(ArchiveError, match="shares its bytes with another file"):
        check_archive(good)


def test_limits_of_number_and_sizes(good):
    with pytest.raises(ArchiveError, match="has 5 files, more than 4"):
        check_archive(good, Limits(files=4))
    with pytest.raises(ArchiveError, match="more than 100: a ZIP bomb"):
        check_archive(good, Limits(file_bytes=100))
    with pytest.raises(ArchiveError, match=r"would unpack to .* bytes, more than 1000: a ZIP bomb"):
        check_archive(good, Limits(total_bytes=1000))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("large_files:\n- {path: ../x.pt, url: u, hash_val: h, hash_type: sha256}\n", "outside the bundle's folder"),
        ("large_files:\n- {path: models/x.pt, url: u}\n", "has no SHA-256"),
        ("- a\n", "does not list large files"),
    ],
)
def test_large_files_from_anywhere(tmp_path, text, message):
    write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{LARGE_FILES: text.encode()}))
    with pytest.raises(ArchiveError, match=message):
        check_archive(tmp_path / "toy.zip")


def test_no_archive(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        check_archive(tmp_path / "none.zip")
    (tmp_path / "page.zip").write_text("<html>404</html>")
    with pytest.raises(ArchiveError, match=r"page.zip is damaged, or no ZIP"):
        check_archive(tmp_path / "page.zip")


def patched(path, name, **fields):
    """The archive with numbers of an entry changed, in its list and before its bytes: offsets are those of the list."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        offset = archive.start_dir
        for item in archive.infolist():
            if item.filename == name:
                for field, value in fields.items():
                    place = {"version": 6, "flags": 8, "method": 10}[field]
                    content[offset + place : offset + place + 2] = value.to_bytes(2, "little")
                    local = item.header_offset + place - 2
                    content[local : local + 2] = value.to_bytes(2, "little")
            offset += 46 + len(item.filename) + len(item.extra) + len(item.comment)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": 97}, r"toy/LICENSE is compressed by method 97, not stored or deflated"),
        ({"method": zipfile.ZIP_LZMA}, r"toy/LICENSE is compressed by method 14"),
        ({"flags": 0x20}, r"toy/LICENSE is a patch or encrypted"),
        ({"flags": 0x40}, r"toy/LICENSE is a patch or encrypted"),
        ({"flags": 1}, r"toy/LICENSE is encrypted"),
        ({"version": 99}, r"toy_v0.1.0.zip is damaged, or no ZIP: zip file version 9.9"),
    ],
)
def test_archives_that_cannot_be_read_are_refused_by_name(good, fields, message):
    with pytest.raises(ArchiveError, match=message):
        check_archive(patched(good, "toy/LICENSE", **fields))


def test_damage_anywhere_is_a_refusal(good):
    """Every byte of a small archive, one after the other: no other exception gets through, and nothing else passes."""
    whole = good.read_bytes()
    names = set(zipfile.ZipFile(good).namelist())
    for place in range(0, len(whole), 7):
        good.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            check_archive(good)
        except ArchiveError:
            continue
        with zipfile.ZipFile(good) as archive:  # a date or a permission
            assert set(archive.namelist()) == names


def test_a_list_of_large_files_that_is_a_bomb(tmp_path):
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{LARGE_FILES: laughs.encode()}))
    with pytest.raises(ArchiveError, match=r"large_files.yml does not list large files: .* aliases written out"):
        check_archive(tmp_path / "toy.zip")


def test_names_that_are_one_on_other_systems(good):
    for name in ("toy/configs/caf\u00e9", "toy/configs/cafe\u0301"):
        doctored(good, (entry(name), b"x"))
    with pytest.raises(ArchiveError, match=r"toy/configs/cafe\\u0301 is there twice"):
        check_archive(good)


def test_messages_are_plain_text(good):
    with pytest.raises(ArchiveError, match=r"toy/\\x1b\[2J\\u202e is not listed"):
        check_archive(doctored(good, (entry("toy/\x1b[2J\u202e"), b"x")))
