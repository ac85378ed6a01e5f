"""The command line: what it lists, explains and refuses."""

import inspect

import pytest

from tools.__main__ import COMMANDS, main


def test_commands_are_listed_with_a_line_each(capsys):
    main([])
    listed = capsys.readouterr().out
    for name, command in COMMANDS.items():
        line = inspect.getdoc(command).splitlines()[0]
        assert f"{name}\n" in listed
        assert line in " ".join(listed.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_its_arguments(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr()
    for argument in inspect.signature(COMMANDS[name]).parameters:
        assert argument.lower() in (shown.out + shown.err).lower()


def test_what_a_user_can_mend_ends_without_a_traceback(tmp_path):
    with pytest.raises(SystemExit, match=r"^FileNotFoundError: there is no folder .*nowhere"):
        main(["preprocess", str(tmp_path / "nowhere"), str(tmp_path / "out")])
