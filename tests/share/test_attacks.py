"""Ways to run code from a bundle: each is shown to run, by MONAI or Python itself, and then to be seen by `inspect`."""

import bz2
import gzip
import io
import json
import logging
import lzma
import os
import pickle
import runpy
import shutil
import warnings
import zlib
from contextlib import suppress

import joblib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.transforms import LoadImage

from tests.share.test_archive import bundle_files
from tools.__main__ import main
from tools.share.archive import ArchiveError, check_archive, write_archive

TOUCH = "touch pwned"
SYSTEM = f"__import__('os').system('{TOUCH}')"


class Payload:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, (TOUCH,)


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A folder that a bundle is unpacked to and run in."""
    folder = tmp_path / "toy"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def numpy_file(array, save=np.save):
    stream = io.BytesIO()
    save(stream, array)
    return stream.getvalue()


def torch_file(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def written(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def ran(folder):
    """Whether the command ran; it is as if it had not, afterwards."""
    there = (folder / "pwned").exists()
    shutil.rmtree(folder / "pwned") if (folder / "pwned").is_dir() else (folder / "pwned").unlink(missing_ok=True)
    return there


def inspected(folder, files, capsys, *options):
    """What `inspect` prints of an archive with these files, and of a folder with them; nothing of them ran."""
    packed = bundle_files(**{name: c if isinstance(c, bytes) else c.encode() for name, c in files.items()})
    path = folder.parent / "toy_v0.1.0.zip"
    write_archive(path, "toy", packed)
    capsys.readouterr()
    main(["inspect", str(path), *options])
    shown = capsys.readouterr().out
    assert not ran(folder)
    return shown


def marked(shown):
    """The lines that deserve a look, below the summary."""
    return [line for line in shown.split("\n\n", 2)[-1].split("\n") if line.startswith("!")]


EXPRESSIONS = {
    "an alias of a function": {"i": "$from os import system as x", "run": f"$x('{TOUCH}')"},
    "an alias of a module": {"i": "$import os as y", "run": f"$y.system('{TOUCH}')"},
    "in place of a known module": {"i": "$import os as monai", "run": f"$monai.system('{TOUCH}')"},
    "posix": {"i": "$import posix", "run": f"$posix.system('{TOUCH}')"},
    "importlib": {"i": "$import importlib as l", "run": f"$l.import_module('o' + 's').popen('{TOUCH}').read()"},
    "a module within another": {"run": f"$torch.os.system('{TOUCH}')"},
    "eval": {"run": f'$eval("{SYSTEM}")'},
    "exec": {"run": f'$exec("{SYSTEM}")'},
    "compile": {"run": f"""$(lambda c: [f for f in [exec]][0](c))(compile("{SYSTEM}", "", "exec"))"""},
    "open": {"run": "$open('pwned', 'w')"},
    "a letter that is normalised": {"run": f'$ｅｖａｌ("{SYSTEM}")'},
    "getattr": {"i": "$import os", "run": f"$getattr(os, 'sys' + 'tem')('{TOUCH}')"},
    "a name in a table": {"i": "$import os", "run": f"$vars(os)['system']('{TOUCH}')"},
    "attrgetter": {"i": "$import os", "j": "$import operator", "run": f"$operator.attrgetter('system')(os)('{TOUCH}')"},
    "builtins": {"i": "$import builtins as b", "run": f'$b.eval("{SYSTEM}")'},
    "without a name": {
        "run": "$[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == '_wrap_close'][0]"
        f".__init__.__globals__['sys' + 'tem']('{TOUCH}')"
    },
    "a step after a number sign, which MONAI reads as ::": {"run": f"$''[0#{SYSTEM}\n]"},
    "in a list of a list": {"run": [[{"deep": [f"${SYSTEM}"]}]]},
    "a component that is switched off": {"run": {"_target_": "dict", "_disabled_": f"${SYSTEM}"}},
    "what a component requires": {"run": {"_target_": "dict", "_requires_": [f"${SYSTEM}"]}},
    "a description": {"run": {"_target_": "dict", "_desc_": f"${SYSTEM}"}},
    "a part that is read in": {"part": f"${SYSTEM}", "a": {"b": "%##part"}, "run": "@a"},
    "what reaches the name by another entry": {"f": "$__import__('os').system", "run": f"$@f('{TOUCH}')"},
    "MONAI's own loader of names": {"run": f"$monai.utils.instantiate('os.system', 'default', command='{TOUCH}')"},
    "a pickle in its digits": {
        "run": "$torch.serialization.pickle.loads(bytes.fromhex('" + pickle.dumps(Payload()).hex() + "'))"
    },
    "a default of a lambda": {"run": f"$(lambda f={SYSTEM}: f)()"},
    "a word of a text": {"i": "$import os", "run": f"$os.__dict__.get('system')('{TOUCH}')"},
    "a form feed first": {"run": f"$\f{SYSTEM}"},
    "a module under another's name": {"i": "$from glob import os as z", "run": "$z.rename('configs', 'pwned')"},
    "a module that is handed on": {"i": "$import os", "run": "$(lambda m: m.rename('configs', 'pwned'))(os)"},
    "a class whose items are code": {"run": f"""$type('A', (), {{'__class_getitem__': eval}})["{SYSTEM}"]"""},
    "a key to sort by": {"run": f"""$sorted(["{SYSTEM}"], key=eval)"""},
    "within a text": {"run": f'$f"{{{SYSTEM}}}"'},
    "a file that is only touched": {"i": "$import pathlib", "run": "$pathlib.Path('pwned').touch()"},
}
TARGETS = {
    "a program": {"run": {"_target_": "subprocess.run", "args": TOUCH.split()}},
    "through another module": {"run": {"_target_": "torch.os.system", "command": TOUCH}},
    "with a level in its key": {"run": {"command": TOUCH}, "run::_target_": "os.system"},
    "with the old level in its key": {"run": {"command": TOUCH}, "run#_target_": "os.system"},
    "merged": {"run": {"command": TOUCH}, "+run::_target_": "os.system"},
    "by reference": {"name": "@b", "b": "os.system", "run": {"_target_": "@name", "command": TOUCH}},
    "by a relative reference": {"b": "os.system", "run": {"_target_": "@##b", "command": TOUCH}},
    "put together": {"run": {"_target_": "$'os.' + 'system'", "command": TOUCH}},
    "with more dots": {"run": {"_target_": "os..system", "command": TOUCH}},
    "of MONAI, by its name alone": {"run": {"_target_": "run_cmd", "cmd_list": TOUCH.split()}},
    "of Python": {"run": {"_target_": "open", "file": "pwned", "mode": "w"}},
    "a method of one of Python's": {"run": {"_target_": "open.__call__", "file": "pwned", "mode": "w"}},
    "kept for later": {"f": {"_target_": "os.system", "_mode_": "callable"}, "run": f"$@f('{TOUCH}')"},
    "a reader that MONAI looks up": {"run": {"_target_": "LoadImage", "reader": "os.system", "command": TOUCH}},
    "a word of Python by reference": {"n": "open", "run": {"_target_": "@n", "file": "pwned", "mode": "w"}},
    "a word of Python in an expression": {"n": "open", "run": {"_target_": "$@n", "file": "pwned", "mode": "w"}},
    "a word of Python by a macro": {"n": "open", "run": {"_target_": "%n", "file": "pwned", "mode": "w"}},
    "a word of Python, merged": {"+n": "open", "run": {"_target_": "@n", "file": "pwned", "mode": "w"}},
    "a reader in a list": {"run": {"_target_": "LoadImage", "reader": ["open"], "file": "pwned", "mode": "w"}},
    "a private module of a plain one": {"run": {"_target_": "random._os.mkdir", "path": "pwned"}},
    "a text that is timed": {"run": {"_target_": "timeit.timeit", "stmt": SYSTEM, "number": 1}},
    "a log": {"run": {"_target_": "logging.FileHandler", "filename": "pwned"}},
    "a part that is read in": {"b": "os.system", "run": {"_target_": "%b", "command": TOUCH}},
}


@pytest.mark.parametrize("attack", [*EXPRESSIONS.items(), *TARGETS.items()], ids=lambda attack: attack[0])
@pytest.mark.filterwarnings("ignore")
def test_what_a_config_runs_is_marked(stranger, capsys, attack):
    config = attack[1]
    written(stranger, {"configs/inference.json": json.dumps(config)})
    parser = ConfigParser()
    parser.read_config("configs/inference.json")
    with suppress(RuntimeError, TypeError):  # what it was for was done before
        parser.get_parsed_content("run")
    assert ran(stranger)
    shown = inspected(stranger, {"configs/inference.json": json.dumps(config)}, capsys)
    assert any(" inference.json " in line for line in marked(shown)), shown


@pytest.mark.parametrize("name", ["docs/notes.json", "docs/NOTES.JSON", "parts.yaml", "configs/deep/x.yml"])
def test_macros_lead_to_any_config_of_the_bundle(stranger, capsys, name):
    content = f'{{"a": "${SYSTEM}"}}'
    files = {"configs/inference.json": json.dumps({"run": f"%{name}::a"}), name: content}
    written(stranger, files)
    parser = ConfigParser()
    parser.read_config("configs/inference.json")
    parser.get_parsed_content("run")
    assert ran(stranger)
    shown = inspected(stranger, files, capsys)
    assert f"! {name.removeprefix('configs/')} a: {SYSTEM}" in shown.split("\n")
    assert f"  inference.json run: {name}::a" in shown.split("\n")


def test_macros_that_lead_out_of_the_bundle_are_marked(stranger, capsys):
    written(stranger, {"configs/inference.json": json.dumps({"run": "%../elsewhere.json#a"})})
    (stranger.parent / "elsewhere.json").write_text(f'{{"a": "${SYSTEM}"}}')
    parser = ConfigParser()
    parser.read_config("configs/inference.json")
    parser.get_parsed_content("run")
    assert ran(stranger)
    files = {
        "configs/inference.json": json.dumps(
            {"run": "%../elsewhere.json#a", "b": "%configs/../configs/inference.json::run"}
        )
    }
    shown = inspected(stranger, files, capsys)
    assert "! inference.json run: ../elsewhere.json#a" in shown.split("\n")
    assert "  inference.json b: configs/../configs/inference.json::run" in shown.split("\n")
    assert "reads configs that are not in the bundle: 1 place\n" in shown


def test_yaml_is_read_as_monai_reads_it(stranger, capsys):
    text = f"name: &n os.system\nrun: &r\n  _target_: *n\n  command: {TOUCH}\nmore:\n- *r\n- a: !!str ${SYSTEM}\n"
    written(stranger, {"configs/inference.yaml": text})
    parser = ConfigParser()
    parser.read_config("configs/inference.yaml")
    parser.get_parsed_content("run")
    assert ran(stranger)
    lines = inspected(stranger, {"configs/inference.yaml": text}, capsys).split("\n")
    for line in ("name: os.system", "run#_target_: os.system", "more#0#_target_: os.system", f"more#1#a: {SYSTEM}"):
        assert f"! inference.yaml {line}" in lines


def test_configs_within_torchscript_are_read(stranger, capsys):
    extra = {"inference.json": json.dumps({"run": f"${SYSTEM}"})}
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), "model.ts", _extra_files=extra)
    shown = inspected(stranger, {"models/model.ts": (stranger / "model.ts").read_bytes()}, capsys)
    assert any("model.ts!model/extra/inference.json run: " in line for line in marked(shown))


LOGGING = """
[loggers]
keys=root
[handlers]
keys=h
[formatters]
keys=
[logger_root]
handlers=h
[handler_h]
class=StreamHandler
{lines}
"""


def test_what_is_put_into_a_logging_config_is_put_in_before_it_is_judged(stranger, capsys):
    """MONAI judges the line as it is written; Python puts the other entry in, then evaluates it."""
    text = LOGGING.format(lines=f"args=('%(x)s',)\nx=',{SYSTEM},'")
    written(stranger, {"configs/logging.conf": text, "configs/inference.json": "{}"})
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(TypeError):
        ConfigWorkflow("configs/inference.json")
    logging.getLogger().handlers = handlers
    assert ran(stranger)
    shown = inspected(stranger, {"configs/logging.conf": text}, capsys)
    assert f"! logging.conf args: ('',{SYSTEM},'',)" in shown.split("\n")


@pytest.mark.parametrize(
    ("lines", "mark"),
    [
        ("args=(sys.stdout,)", " "),
        ("args: (open('pwned', 'w'),)", "!"),
        ("ARGS = (\n  __import__('os').system('x'),)", "!"),
        ("args=(sys.modules,)", "!"),
        ("kwargs={'a': [1]}", " "),
    ],
)
def test_lines_of_logging_in_all_their_spellings(stranger, capsys, lines, mark):
    shown = inspected(stranger, {"docs/other": LOGGING.format(lines=lines)}, capsys)
    assert [line[0] for line in shown.split("\n") if "args: " in line and "docs/other" in line and "first" not in line][
        -1
    ] == mark


MODULES = {
    "utf-7": b"# coding: utf-7\n+AGkAbQBwAG8AcgB0- os\n+AG8AcwAuAHMAeQBzAHQAZQBt-('touch pwned')\n",
    "escapes in a comment": b"# coding: unicode_escape\n# harmless \\nimport os\\nos.system('touch pwned')\n",
    "utf-16 within": f"# coding: raw_unicode_escape\n\\u0069mport os; os.system('{TOUCH}')\n".encode(),
    "an alias": f"from os import system as s\ns('{TOUCH}')\n".encode(),
    "a star": f"from os import *\nsystem('{TOUCH}')\n".encode(),
    "assigned": f"import os as o\nf = g = o.system\nf('{TOUCH}')\n".encode(),
    "matched": f"import os\nmatch os:\n    case object(system=f):\n        f('{TOUCH}')\n".encode(),
    "decorators": b"import os\n@os.system\n@lambda c: 'touch pwned'\nclass C: pass\n",
    "getattr": f"import os\ngetattr(os, 'metsys'[::-1])('{TOUCH}')\n".encode(),
    "through MONAI": f"from monai.utils import misc\nmisc.subprocess.run('{TOUCH}', shell=True)\n".encode(),
    "torch.load": b"import torch as t\nt.load('payload', weights_only=False)\n",
    "a page break before it": f"x = 1\n\x0cimport os\nos.system('{TOUCH}')\n".encode(),
    "importlib": f"import importlib\nimportlib.import_module('os').system('{TOUCH}')\n".encode(),
    "a parameter": b"import os\ndef f(m):\n    m.rename('x', 'pwned')\nf(os)\n",
    "a pair": b"import os\n(a,) = (os,)\na.rename('x', 'pwned')\n",
    "an attribute of a class": b"import os\nclass A:\n    m = os\nA.m.rename('x', 'pwned')\n",
    "getattr by a plain name": b"import os\ngetattr(os, 'rename')('x', 'pwned')\n",
    "line ends of other systems": b"# x\rimport os\ros.system('touch pwned')\r",
    "deep": b"x = " + b"(" * 90 + b"__import__('os').system('touch pwned')" + b")" * 90,
    "turned by marks": "import os\nx = '\u202e\u2066' ; os.system('touch pwned')\n".encode(),
}


@pytest.mark.parametrize("name", MODULES)
def test_what_a_python_file_runs_is_marked(stranger, capsys, name):
    source = MODULES[name]
    written(stranger, {"scripts/net.py": source, "x": b"", "payload": torch_file(Payload())})
    with suppress(TypeError):
        runpy.run_path("scripts/net.py")
    assert ran(stranger)
    shown = inspected(stranger, {"scripts/net.py": source}, capsys)
    assert any(line.startswith("!     line ") for line in marked(shown)), shown


@pytest.mark.parametrize("name", ["utf-7", "escapes in a comment", "turned by marks"])
def test_what_editors_show_otherwise_says_so(stranger, capsys, name):
    shown = inspected(stranger, {"scripts/net.py": MODULES[name]}, capsys)
    assert "! hides what it does: 1 place\n" in shown
    assert "os.system('touch pwned')" in shown


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("docs/notes.txt", f"import os\nos.system('{TOUCH}')\n", "is Python under another name"),
        ("docs/run", "#!/bin/sh\ntouch pwned\n", "a script"),
        ("setup.BAT", "echo", "a script"),
        ("requirements.txt", "torch==2\n--index-url http://x\n", "has pip fetch"),
        ("requirements-more.txt", "torch @ https://x/y.whl\n", "has pip fetch"),
    ],
)
def test_other_files_that_programs_run(stranger, capsys, name, content, reason):
    shown = inspected(stranger, {name: content}, capsys)
    assert any(f"! {name}: {reason}" in line for line in marked(shown))


def test_modules_that_stand_in_for_pythons_own(stranger, capsys):
    shown = inspected(stranger, {"json.py": "", "torch/__init__.py": "", "scripts/json.py": ""}, capsys)
    assert "hides what it does: 2 places" in shown


def compressed_joblib(method):
    stream = io.BytesIO()
    joblib.dump([Payload()], stream, compress=(method, 3))
    return stream.getvalue()


MEMO = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x8c\x05torch\x8c\x04Size00\x93\x8c\x0btouch pwned\x85R."
"""The two names on top of the stack are not the two that were written last."""

PICKLES = {
    **{f"protocol {n}": (pickle.dumps([1, Payload()], protocol=n), pickle.loads) for n in range(6)},
    "by hand": (b"cos\nsystem\n(S'touch pwned'\ntR.", pickle.loads),
    "by hand, the oldest": (b"(S'touch pwned'\nios\nsystem\n.", pickle.loads),
    "not ended": (b"cos\nsystem\n(S'touch pwned'\ntR\xff\xff", pickle.loads),
    "after a pop": (MEMO, pickle.loads),
    "the second of two": (
        pickle.dumps(1) + pickle.dumps(Payload()),
        lambda c: [pickle.load(s) for s in [io.BytesIO(c)] * 2],
    ),
    "an array of objects": (numpy_file(np.array([Payload()])), lambda c: np.load(io.BytesIO(c), allow_pickle=True)),
    "arrays of objects": (
        numpy_file(np.array([Payload()]), np.savez),
        lambda c: list(np.load(io.BytesIO(c), allow_pickle=True).values()),
    ),
    "torch": (torch_file({"a": Payload()}), lambda c: torch.load(io.BytesIO(c), weights_only=False)),
    "old torch": (
        torch_file({"a": Payload()}, _use_new_zipfile_serialization=False),
        lambda c: torch.load(io.BytesIO(c), weights_only=False),
    ),
    **{
        f"joblib {m}": (compressed_joblib(m), lambda c: joblib.load(io.BytesIO(c)))
        for m in ("zlib", "gzip", "bz2", "lzma", "xz")
    },
    "gzip in gzip": (
        gzip.compress(gzip.compress(pickle.dumps(Payload()))),
        lambda c: pickle.loads(gzip.decompress(gzip.decompress(c))),
    ),
}


@pytest.mark.parametrize("name", PICKLES)
@pytest.mark.filterwarnings("ignore")
def test_pickles_are_known_by_their_content(stranger, tmp_path, name):
    content, load = PICKLES[name]
    with suppress(pickle.UnpicklingError, EOFError):
        load(content)
    assert ran(stranger)
    for path in ("docs/picture.png", "models/model.ts", "data", "weights.bin"):
        write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{path: content}))
        with pytest.raises(ArchiveError, match=f"toy/{path} can hold pickled or compiled code"):
            check_archive(tmp_path / "toy.zip")
    assert not ran(stranger)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"a": [1.0, "text"]}),
        numpy_file(np.zeros(3)),
        numpy_file(np.zeros(3), np.savez),
        torch_file({"a": torch.zeros(3), "b": torch.nn.Parameter(torch.zeros(2))}),
        torch_file({"a": torch.zeros(3)}, _use_new_zipfile_serialization=False),
        gzip.compress(b"text"),
        bz2.compress(b"text"),
        zlib.compress(b"text"),
        lzma.compress(b"text"),
        b"cupy\ncachetools\nRequests\n.",
        b"citation\nSmith (2020)\n",
        b"x\x9c no zlib",
        b"PK no ZIP",
        b"",
    ],
)
def test_what_holds_no_code_passes(tmp_path, content):
    write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{"docs/data": content}))
    assert check_archive(tmp_path / "toy.zip") == "toy"


@pytest.mark.parametrize("content", [b"\x7fELF\x02\x01", b"MZ" + bytes(100) + b"PE\0\0", b"\xcf\xfa\xed\xfe\x07"])
def test_machine_code_is_known_by_its_content(tmp_path, content):
    write_archive(tmp_path / "toy.zip", "toy", bundle_files(**{"docs/data.txt": content}))
    with pytest.raises(ArchiveError, match="it is machine code of"):
        check_archive(tmp_path / "toy.zip")


def test_pickles_of_an_unpacked_bundle_are_listed(stranger, capsys):
    """As MONAI's reader of NumPy files loads them, where a config asks for it."""
    written(
        stranger, {"data/volume.npy": numpy_file(np.array([Payload()])), "models/model.pt": torch_file([Payload()])}
    )
    config = {"load": {"_target_": "LoadImage", "reader": "NumpyReader", "allow_pickle": True}}
    written(stranger, {"configs/inference.json": json.dumps(config)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        LoadImage(reader="NumpyReader", allow_pickle=True)("data/volume.npy")
    assert ran(stranger)
    main(["inspect", str(stranger)])
    shown = capsys.readouterr().out
    assert not ran(stranger)
    assert "! data/volume.npy: an array of Python objects, which is a pickle" in shown
    assert (
        "! models/model.pt: archive/data.pkl in it is a pickle that imports posix.system, and no weights alone" in shown
    )
    assert "! inference.json load#allow_pickle: True" in shown
