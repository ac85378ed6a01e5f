"""Documents give commands, options and names that there are."""

import pydoc
import re
import shlex

import pytest

from tests.tiny import REPOSITORY
from tools.__main__ import COMMANDS
from tools.bundle_command import options_of, unknown_option
from tools.command_line import UsageError, _check_options, outline

PLACES = ("*.md", "docs/*.md", "tools/*/*.md", "bundles/*/docs/README.md")
DOCUMENTS = sorted(str(path.relative_to(REPOSITORY)) for place in PLACES for path in REPOSITORY.glob(place))
INVENTED = {"tools.data.something.folder"}
WITHOUT = {"CONTRIBUTING.md", "docs/phantoms.md"}
"""Documents whose blocks of code have no such command."""


def commands(text):
    """Lines of code that run a command of this project or of MONAI, with the variables that the text sets."""
    text = re.sub(r"\\\n\s*", " ", text)
    for name, value in re.findall(r"^\s*([A-Z]+)=(\"[^\"]*\"|\S+)", text, re.MULTILINE):
        text = re.sub(rf"\${name}\b", lambda _, value=value: value.strip('"'), text)
    for line in text.splitlines():
        if re.match(r"\s*(python|torchrun \S+) -m (tools|monai\.bundle) ", line):
            yield shlex.split(line, comments=True)


def problem(words):
    """What a command is refused for, or None."""
    module, *arguments = words[words.index("-m") + 1 :]
    if module == "tools":
        if arguments[0] not in COMMANDS:
            return f"there is no command {arguments[0]}"
        component = outline(*COMMANDS[arguments[0]].split(":"), lambda call: None)
        try:
            _check_options(arguments[0], component, arguments[1:])
        except UsageError as error:
            return str(error)
    elif arguments[0] == "run":
        options = options_of(arguments[1:])
        if not re.search(r"(^|')configs/", str(options["config_file"])):  # of an unpacked bundle
            return unknown_option(options)
    return None


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_are_such_as_there_are(document, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    found = [(words, problem(words)) for words in commands((REPOSITORY / document).read_text(encoding="utf-8"))]
    assert [(" ".join(words), said) for words, said in found if said] == []
    assert found or document in WITHOUT


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_are_such_as_there_are(document):
    names = set(re.findall(r"\btools(?:\.\w+)+", (REPOSITORY / document).read_text(encoding="utf-8")))
    assert sorted(name for name in names - INVENTED if pydoc.locate(name) is None) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("python -m tools evalute --real a", "there is no command evalute"),
        ("python -m tools evaluate --reel a", "evaluate has no option --reel"),
        ("C=bundles/crf_gan_luna16/configs\npython -m monai.bundle run --config_file $C/train.json --sed 1", "--sed"),
        ("python -m tools phantom \\\n  --output_dir out   # some", None),
    ],
)
def test_what_is_wrong_is_seen(line, said, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    (words,) = commands(line)
    found = problem(words)
    assert found is None if said is None else said in found
