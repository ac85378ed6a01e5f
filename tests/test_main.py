"""The command line: what it lists, explains and refuses."""

import ast
import importlib
import inspect
import subprocess
import sys

import pytest

from tests.tiny import REPOSITORY
from tools.__main__ import COMMANDS, main
from tools.command_line import outline


def commands():
    """(arguments that name a command or a step, the function that it is)."""
    for name, place in COMMANDS.items():
        module, _, target = place.partition(":")
        found = getattr(importlib.import_module(module), target)
        if inspect.isclass(found):
            yield from (([name, step], f) for step, f in vars(found).items() if not step.startswith("_"))
        else:
            yield [name], found


ALL = list(commands())
BY_NAME = pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])


def test_commands_are_listed_with_a_line_each(capsys):
    main([])
    listed = capsys.readouterr().out
    main(["--help"])
    assert capsys.readouterr().out == listed
    for words, command in ALL:
        assert words[-1] in listed
        assert inspect.getdoc(command).splitlines()[0] in listed


@BY_NAME
def test_every_command_explains_itself_and_its_arguments(words, command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr()
    for argument in set(inspect.signature(command).parameters) - {"self", "own"}:
        assert argument.lower() in (shown.out + shown.err).lower()


@BY_NAME
def test_what_is_read_from_the_source_is_the_signature(words, command):
    module, _, target = COMMANDS[words[0]].partition(":")
    read = outline(module, target, lambda call: None)
    for step in words[1:]:
        read = getattr(read, step)
    real = {name: p.default for name, p in inspect.signature(command).parameters.items() if name != "self"}
    assert {name: p.default for name, p in inspect.signature(read).parameters.items()} == real
    assert inspect.getdoc(read) == inspect.getdoc(command)


FIXED = [(words, command) for words, command in ALL if words not in (["new"], ["generate"], ["train_ensemble"])]
"""Commands whose options are all known beforehand."""


@pytest.mark.parametrize(("words", "command"), FIXED, ids=[" ".join(words) for words, _ in FIXED])
def test_a_misspelt_option_is_refused_first(words, command, capsys):
    """Before what is required is asked for, and before anything is done."""
    name = next(name for name in reversed(inspect.signature(command).parameters))
    with pytest.raises(SystemExit) as stopped:
        main([*words, f"--{name[:-1]}q", "1"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{' '.join(words)} has no option --{name[:-1]}q. Did you mean --")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("evaluat", "there is no command 'evaluat'. Did you mean evaluate?"),
        ("study bild x", "study has no step 'bild'. Did you mean build?"),
        ("preprocess x", "preprocess needs --output_dir."),
        ("preprocess", "preprocess needs --dataset_dir and --output_dir."),
        ("preprocess --output_dir x", "preprocess needs --dataset_dir."),
        ("preprocess x y --image_size", "--image_size needs a value"),
        ("preprocess x --output_dir --workers 2", "--output_dir needs a value"),
        ("preprocess x y --image_size abc", "--image_size is 'abc', expected a whole number"),
        ("preprocess x y --image_size 2.5", "--image_size is 2.5, expected a whole number"),
        ("preprocess x y --image_size=True", "--image_size is True, expected a whole number"),
        ("preprocess x y --image_size=48,6.5,48", "--image_size is 6.5, expected a whole number"),
        ("benchmark --reference 3", "--reference is 3, expected True or False"),
        ("split 1 2 3 4 5", "split takes at most 4 values: dataset_dir, output_dir,"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(line, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert stopped.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith(said)
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "read"), [("007", "007"), ("1e5", "1e5"), ("None", None), ("a b", "a b"), ("[1,2]", "[1,2]")]
)
def test_text_stays_as_it_was_typed(typed, read, monkeypatch):
    given = []
    monkeypatch.setattr("tools.phantom.phantom", lambda **values: given.append(values))
    main(["phantom", "x", f"--nodules={typed}", "--seed", "3"])
    (values,) = given
    assert (values["nodules"], values["seed"]) == (read, 3)


def test_a_path_may_begin_with_the_home_folder(monkeypatch):
    given = []
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr("tools.phantom.phantom", lambda **values: given.append(values))
    main(["phantom", "--output_dir=~/phantoms"])
    assert given[0]["output_dir"] == "/home/somebody/phantoms"


EVALUATE, STUDY = "tools.evaluation.command.evaluate", "tools.study.command.StudyCommands."


@pytest.mark.parametrize(
    ("line", "target", "option", "read"),
    [
        ("evaluate r --synthetic=a=~/x,b=~/y o", EVALUATE, "synthetic", "a=/home/me/x,b=/home/me/y"),
        ("evaluate r s o --cache_dir=None", EVALUATE, "cache_dir", None),
        ("study build o 2afc r --models=a=~/x,b=~/y", STUDY + "build", "models", "a=/home/me/x,b=/home/me/y"),
        ("study build o 2afc r --models={'a':'~/x'}", STUDY + "build", "models", {"a": "/home/me/x"}),
        ("study build o 2afc r --title=CT~MR", STUDY + "build", "title", "CT~MR"),
        ("study analyse ~/one,~/two", STUDY + "analyse", "study_dir", "/home/me/one,/home/me/two"),
    ],
)
def test_home_folders_are_written_out_in_lists_too(line, target, option, read, monkeypatch):
    given = []
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(target, lambda *_, **values: given.append(values))
    main(line.split())
    assert given[0][option] == read


def test_what_a_user_can_mend_ends_without_a_traceback(tmp_path):
    with pytest.raises(SystemExit, match=r"^FileNotFoundError: there is no folder .*nowhere"):
        main(["preprocess", str(tmp_path / "nowhere"), str(tmp_path / "out")])
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        main(["preprocess", str(tmp_path / "nowhere"), str(tmp_path / "out"), "--traceback"])


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    """A message that nobody wrote for users tells nothing without the place."""
    monkeypatch.setattr("tools.phantom.phantom", lambda **values: ast.literal_eval("1 +"))
    with pytest.raises(SyntaxError):
        main(["phantom", "x"])


@pytest.mark.parametrize("line", [[], ["evaluate", "--help"], ["study", "--help"], ["evaluate", "--sed", "1"]])
def test_help_imports_nothing_heavy(line):
    code = (
        "import sys; from tools.__main__ import main\n"
        f"try: main({line})\nexcept SystemExit: pass\n"
        "print('HEAVY', *sorted({'torch', 'monai', 'numpy', 'flask', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY"
