"""Ways to run code from a config: each is shown to run, by MONAI or Python itself, and then to be seen by `inspect`."""

import json
import logging
import pickle
from contextlib import suppress

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from tests.share.attacks import SYSTEM, TOUCH, Payload, inspected, marked, ran, written

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
