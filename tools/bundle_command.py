"""What ``python -m monai.bundle`` leaves to the user: options that no config has, and errors in a hundred lines.

Every config imports this module first. On a command line of ``monai.bundle`` the import refuses options that the
configs do not know, before anything else is read, and has errors that the user can correct end with their message in
one line; ``--traceback True`` shows where they come from. ``~`` is the home folder in any option. In any other process
it does nothing.
"""

from __future__ import annotations

import difflib
import inspect
import os
import pydoc
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ComponentLocator, ConfigComponent, ConfigParser, ConfigWorkflow
from monai.bundle.scripts import create_workflow, run

from tools.child_process import end_with_parent
from tools.errors import mendable_message
from tools.files import with_home
from tools.quiet import quiet

COMMAND = "monai.bundle.__main__"
TRACKING = ("output_dir", "tracking_uri", "experiment_name", "run_name", "save_execute_config")
"""Settings of ``--tracking`` that are given like options (MONAI's ``run`` explains them)."""


def options_of(arguments: Sequence[str]) -> dict[str, Any]:
    """Name -> value of the options of a command line, as fire reads them."""
    options: dict[str, Any] = {}
    for position, argument in enumerate(arguments):
        if not argument.startswith("--"):
            continue
        name, equals, value = argument.removeprefix("--").partition("=")
        following = arguments[position + 1 : position + 2]
        if not equals:
            value = following[0] if following and not following[0].startswith("--") else "True"
        options[name] = DefaultParseValue(value)
    return options


def unknown_option(options: Mapping[str, Any]) -> str | None:
    """A sentence on the first option that neither ``monai.bundle run`` nor the configs have, None if there is none."""
    own = {name for function in (run, create_workflow, ConfigWorkflow.__init__) for name in _parameters(function)}
    settings = ConfigParser.load_config_files(options["args_file"]) if options.get("args_file") else {}
    files = options.get("config_file", settings.get("config_file"))
    if files is None:
        return None  # MONAI says so
    config = ConfigParser.load_config_files(files)
    allowed = own | {"traceback"} | (set(TRACKING) if "tracking" in {*options, *settings} else set())
    for name in [*options, *settings]:
        if name not in allowed and not name.startswith("_meta_"):
            problem = _missing(config, name)
            if problem is not None:
                return problem
    return None


def _missing(config: Mapping[str, Any], id: str) -> str | None:
    """Return which part of a nested id the config lacks, and the nearest that it has."""
    node: Any = config
    parts = id.replace("::", "#").split("#")
    for depth, part in enumerate(parts):
        known = _keys(node)
        if known is not None and part not in known:
            above = "#".join(parts[:depth])
            if above and f"**@{above}" in str(config):  # arguments of a function, of which the config gives some
                return None
            place = f"in {above}" if above else "in the config"
            close = difflib.get_close_matches(part, known, n=1, cutoff=0.5)
            nearest = "#".join([*parts[:depth], *close]) if close else ""
            hint = f"Did you mean --{nearest}?" if close else f"There are {', '.join(sorted(known))}."
            return f"there is no option --{id}: nothing is called {part!r} {place}. {hint}"
        if known is None:
            return None
        if isinstance(node, Mapping):
            node = node.get(part)
        else:
            node = node[int(part)]
    return None


def _keys(node: Any) -> set[str] | None:
    """Names below a node of a config; None where any may be given."""
    if isinstance(node, list):
        return {str(position) for position in range(len(node))}
    if not isinstance(node, Mapping):
        return None
    if not ConfigComponent.is_instantiable(node):
        return {str(key) for key in node}
    target = ConfigComponent(node, locator=ComponentLocator()).resolve_module_name()
    component = pydoc.locate(target) if isinstance(target, str) else target
    if component is None:
        return None
    parameters = inspect.signature(component).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {*node, *(parameter.name for parameter in parameters), *ConfigComponent.non_arg_keys}


def _parameters(function: Any) -> Iterable[str]:
    return (
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and name != "self"
    )


def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an error that ends the process as Python does, but in one line if the user can correct it."""
    message = mendable_message(error)
    if message is None or options_of(sys.argv).get("traceback"):
        sys.__excepthook__(kind, error, trace)
    else:
        sys.stdout.flush()
        print(message, file=sys.stderr)


def _with_home() -> None:
    """Begin anew with ``~`` written out, if the command line has it, as in ``--dataset_dir=~/data``, where no shell
    does: MONAI has read the options by now, and any of them may be a path.
    """
    line = [with_home(argument) for argument in sys.orig_argv]
    if line != sys.orig_argv:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *line[1:]])


def watch(arguments: Sequence[str]) -> None:
    """Look after a command line of ``monai.bundle``, given without the program's name.

    Raises:
        SystemExit: an option is unknown; it has been named on standard error. The exit status is 2.
    """
    _with_home()
    end_with_parent()
    sys.excepthook = show
    quiet()
    if arguments and arguments[0] == "run":
        problem = unknown_option(options_of(arguments[1:]))
        if problem is not None:
            print(problem, file=sys.stderr)
            raise SystemExit(2)


if getattr(sys.modules["__main__"].__spec__, "name", None) == COMMAND:
    watch(sys.argv[1:])
