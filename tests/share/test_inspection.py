"""Looking into a bundle: everything that could run is listed, and nothing of it runs."""

import codecs
import json
import subprocess
import sys

import pytest

from tests.share.test_archive import bundle_files, weights
from tests.tiny import REPOSITORY
from tools.__main__ import main
from tools.share.archive import CHECKSUMS, checksums, write_archive
from tools.share.risky_names import RISKS

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


def packed(path, **files):
    write_archive(path, "toy", bundle_files(**files))
    return str(path)


def test_the_summary_comes_first_and_fits_a_screen(tmp_path, capsys):
    """The worst first, with a place of each kind, whatever the lengths of names and texts."""
    config = {
        f"{'x' * 90}{n}": text
        for n, text in enumerate(
            (
                "$__import__('os').system('x')",
                f"$eval('{'y' * 300}')",
                "$torch.load('x')",
                "$monai.apps.download_url('x')",
                "$open('x')",
                "$getattr(monai, 'a' + 'b')",
                "%/elsewhere.json::a",
                "$nowhere(1)",
            )
        )
    }
    path = packed(tmp_path / f"toy{'_long' * 20}.zip", **{"configs/inference.json": json.dumps(config).encode()})
    main(["inspect", path])
    screen = capsys.readouterr().out.split("\n")
    main(["inspect", path, "--summary", "True"])
    alone = capsys.readouterr().out.rstrip("\n").split("\n")
    assert screen[: len(alone)] == alone
    assert len(alone) <= 24
    assert max(map(len, alone)) <= 80
    begins = [line.split(":")[0] for line in alone if line.startswith(("! ", "? "))]
    assert begins == [f"{'?' if risk == 'unknown' else '!'} {title}" for risk, title in RISKS.items()]
    assert "configs#" not in " ".join(alone)


def test_what_is_plain_has_no_marks(tmp_path, capsys):
    config = {
        "imports": ["$import os", "$import glob"],
        "bundle_root": ".",
        "files": "$sorted(glob.glob(os.path.join(@bundle_root, '*.nii.gz')))",
        "network": {"_target_": "UNet", "spatial_dims": 3},
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "net": "$@network.to(@device)",
        "loss": {"_target_": "monai.losses.DiceLoss"},
        "weights": "$torch.load(@bundle_root + '/models/model.pt', weights_only=True)",
        "scores": "$[x.item() for x in map(lambda y: y * 2, np.zeros(3))]",
        "part": "%network",
    }
    code = b"import math\nfrom tools import other\n\n\ndef area(r):\n    return math.pi * r**2\n"
    files = {"configs/inference.json": json.dumps(config).encode(), "tools/net.py": code, "tools/other.py": b""}
    main(["inspect", packed(tmp_path / "toy.zip", **files)])
    shown = capsys.readouterr().out
    assert [line for line in shown.split("\n") if line.startswith(("!", "?"))] == []
    assert "No name in it is known for harm. That is no proof" in shown


ESCAPES = "\x1b[2J\x1b]0;title\x07\x9b1A\r\x08\u202e\u2066\u200b\u0430\ufeff\U000e0041\t\n\x7f"


def test_nothing_of_a_bundle_reaches_the_terminal_but_plain_text(tmp_path, capsys):
    """Not by configs, ids, names of files, code, or messages."""
    config = {ESCAPES: f"$open('{ESCAPES}')", "a": {"_target_": f"os.system{ESCAPES}"}, "m": f"%{ESCAPES}.json::a"}
    files = {
        f"configs/a{ESCAPES}.json".replace("\r", ""): json.dumps(config, ensure_ascii=False).encode(),
        f"tools/{ESCAPES}.py": f"import os as \u0430\n\u0430.system('{ESCAPES[:12]}')\n".encode(),
        f"docs/{ESCAPES}": f"#!{ESCAPES}".encode(),
        "configs/logging.conf": f"[a]\nargs=('{ESCAPES[:10]}', x())\n".encode(),
    }
    folder = tmp_path / "toy"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    main(["inspect", str(folder)])
    shown = capsys.readouterr().out
    assert "\\x1b[2J" in shown
    assert "\\u202e" in shown
    assert set(shown) <= {"\n", *map(chr, range(32, 127))}
    broken = {f"configs/a{ESCAPES[:20]}.json": f'{{"{ESCAPES}'.encode()}
    with pytest.raises(SystemExit) as error:
        main(["inspect", packed(tmp_path / "toy.zip", **broken)])
    assert set(str(error.value)) <= {"\n", *map(chr, range(32, 127))}


def test_long_texts_are_cut_in_the_middle_and_shown_whole_on_request(tmp_path, capsys):
    text = f"1 + {' ' * 500}eval('{'x' * 3000}'){' ' * 500} + 2"
    path = packed(tmp_path / "toy.zip", **{"configs/inference.json": json.dumps({"a": f"${text}"}).encode()})
    main(["inspect", path])
    (line,) = [line for line in capsys.readouterr().out.split("\n") if line.startswith("! inference.json a: ")]
    assert len(line) < 500
    assert "[501 blanks]" in line
    assert "characters ...]" in line
    main(["inspect", path, "--full", "True"])
    assert "x" * 3000 in capsys.readouterr().out


LAUGHS = "a0: &a0 [x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))


BOMBS = {
    "bomb.yaml": (LAUGHS, "its aliases written out"),
    "circle.yaml": ("a: &a [*a]", "an alias that holds itself"),
    "deep.yaml": ("[" * 200_000, "more than 100 levels"),
    "deep2.yaml": ("- " * 200_000, "more than 100 levels"),
    "chain.yaml": ("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3000)), "100 levels"),
    "wide.yaml": ("- a\n" * 100_000, "20000 values"),
    "object.yaml": ("a: !!python/object/apply:os.system [touch pwned]", "which MONAI's loader refuses"),
    "deep.json": ("[" * 150_000, "nested too deeply"),
    "levels.json": ("[" * 500 + "]" * 500, "more than 100 levels"),
    "deeper.json": ("[" * 3_000_000, "more than 200000 values"),
    "wide.json": ("[" + "[]," * 1_000_000 + "[]]", "more than 200000 values"),
    "long.json": (" " * 9_000_000, "9000000 bytes"),
    "number.json": ("1" * 1_000_000, "digits"),
    "half.json": (codecs.BOM_UTF16_LE + b"{", "cannot be read"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_in_little_time_and_memory(tmp_path, name):
    """In a process of its own, which may use ten seconds of the processor and 300 MB more than it has at its start."""
    content, reason = BOMBS[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    program = (
        "import resource, sys\n"
        "from tools.share.bounded import parse_config\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "more = int(used.ru_utime + used.ru_stime) + 11\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (more, more))\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + (300 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size, size))\n"
        "try:\n"
        "    parse_config(sys.argv[1], open(sys.argv[1], 'rb').read())\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert reason in done.stdout
    assert "so what it does cannot be listed" in done.stdout


DEEP = {
    "signs": "-" * 100_000 + "1",
    "attributes": "a" + ".b" * 100_000,
    "lambdas": "lambda:" * 20_000 + "1",
    "brackets": "(" * 5000,
    "nul": "x=\0",
    "calls": "f" + "()" * 50_000,
    "long": "1 +" * 3_000_000,
}


@pytest.mark.parametrize("name", DEEP)
def test_code_that_is_nested_too_deeply_is_said_to_be_none(tmp_path, name, capsys):
    source = DEEP[name]
    files = {
        "tools/net.py": source.encode(),
        "configs/inference.json": json.dumps({"a": f"${source[:200_000]}"}).encode(),
    }
    main(["inspect", packed(tmp_path / "toy.zip", **files)])
    shown = capsys.readouterr().out
    assert "!     line 0: not Python: " in shown
    assert "! inference.json a: " in shown


def test_code_near_the_limit_is_listed_though_it_cannot_be_written_out(tmp_path, capsys):
    source = b"import os\nos.system(" + b"not " * 900 + b"1)\n"
    main(["inspect", packed(tmp_path / "toy.zip", **{"tools/net.py": source})])
    assert "! runs programs: 1 place" in capsys.readouterr().out


def test_a_config_in_another_encoding_is_read_and_named(tmp_path, capsys):
    content = json.dumps({"a": "$open('x')"}).encode("utf-16")
    main(["inspect", packed(tmp_path / "toy.zip", **{"configs/train.json": content})])
    shown = capsys.readouterr().out
    assert "! train.json a: open('x')" in shown.split("\n")
    assert "! hides what it does: 1 place\n" in shown


def test_more_than_can_be_listed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.share.inspection.MOST_TEXT", 1000)
    with pytest.raises(SystemExit, match="more than 1000 bytes of configs and Python files"):
        main(["inspect", packed(tmp_path / "toy.zip", **{"tools/net.py": b"x = 1\n" * 300})])


def test_links_in_a_folder_are_named_and_not_followed(tmp_path, capsys):
    (tmp_path / "toy").mkdir()
    (tmp_path / "secret.py").write_text("import os\n")
    (tmp_path / "toy" / "net.py").symlink_to(tmp_path / "secret.py")
    (tmp_path / "toy" / "more").symlink_to(tmp_path)
    main(["inspect", str(tmp_path / "toy")])
    shown = capsys.readouterr().out
    assert "! net.py: a link or device" in shown
    assert "! more: a link or device" in shown
    assert "imports" not in shown.split("Python files")[0]


def test_no_more_places_are_listed_than_one_can_read(tmp_path, capsys):
    """However many there are, and the one that matters is not hidden by the others: there being too many says so."""
    decoys = "".join(f"x = os.a{n}\n" for n in range(3000))
    files = {"tools/net.py": f"import os\n{decoys}x = os.system\nx('y')\n".encode()}
    main(["inspect", packed(tmp_path / "toy.zip", **files)])
    shown = capsys.readouterr().out
    assert "!     line 0: more than 1000 places deserve a look" in shown
    assert shown.count("     line ") < 1100


def test_configs_with_too_many_expressions_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.share.config_risks.MOST", 10)
    files = {"configs/train.json": json.dumps({f"a{n}": "$1" for n in range(11)}).encode()}
    with pytest.raises(SystemExit, match="more than 10 expressions and targets"):
        main(["inspect", packed(tmp_path / "toy.zip", **files)])
