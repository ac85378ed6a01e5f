"""The command line of ``python -m tools``: what it lists, explains and refuses, before anything is imported.

A command's signature and docstring are taken from its source, so that help is there at once and a misspelt option or a
value of the wrong type is refused before torch, MONAI or any data are read.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from operator import length_hint
from pathlib import Path
from typing import Any

import fire

from tools.errors import did_you_mean, mendable_message
from tools.files import with_home
from tools.quiet import quiet

REPOSITORY = Path(__file__).resolve().parents[1]
HELP = {"--help", "-h"}
WORDS = {"int": "a whole number", "float": "a number", "bool": "True or False", "str": "text"}
SIMPLE = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,), "None": (type(None),)}


class UsageError(Exception):
    """The command line is not one that the command takes."""


def run_command(commands: Mapping[str, str], arguments: list[str]) -> None:
    """Run a command, or list all of them.

    An error that the user can correct (a misspelt option, a missing file) ends with its message in one line, the last
    on the screen; ``--traceback`` anywhere on the line shows the traceback instead.

    Args:
        commands: name -> "module:function", or "module:class" whose methods are steps.
        arguments: words of the command line.
    """
    traceback = "--traceback" in arguments
    arguments = [argument for argument in arguments if argument != "--traceback"]
    try:
        _run(commands, arguments)
    except UsageError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except Exception as error:
        message = mendable_message(error)
        if traceback or message is None:
            raise
        raise SystemExit(message) from None


def _run(commands: Mapping[str, str], arguments: list[str]) -> None:
    if not arguments or arguments[0] in HELP:
        print(listing(commands))
        return
    name, *rest = arguments
    if name not in commands:
        raise UsageError(f"there is no command {name!r}.{did_you_mean(name, commands)} `python -m tools` lists all.")
    module, _, target = commands[name].partition(":")
    called: list[Call] = []
    # how text is to be read stands in an attribute of the function, which fire would list in its help
    helping = bool(HELP & set(rest))
    component = outline(module, target, called.append, texts=not helping)
    if helping:  # behind "--" they are fire's own
        rest = [*(rest[:1] if inspect.isclass(component) and not HELP & set(rest[:1]) else []), "--", "--help"]
    _check_options(name, component, rest)
    fire.Fire(component, command=rest, name=name)
    quiet()
    for call in called:  # one; none where help was asked for
        found = getattr(importlib.import_module(module), target)
        result = (getattr(found(), call.step) if call.step else found)(**call.values)
        if result is not None:
            print(result)


def listing(commands: Mapping[str, str]) -> str:
    """Every command with the first line of its docstring."""
    lines = ["python -m tools COMMAND [options]; python -m tools COMMAND --help explains one.", ""]
    for name, place in commands.items():
        declared = _declaration(*place.split(":"))
        lines += [name, f"    {_first_line(declared)}"]
        if isinstance(declared, ast.ClassDef):
            lines += [f"    {name} {step.name:<8} {_first_line(step)}" for step in _steps(declared)]
    return "\n".join(lines)


class Call:
    """What was asked for: the step, "" where the command has none, and its arguments."""

    def __init__(self, step: str, values: dict[str, Any]) -> None:
        self.step, self.values = step, values


def outline(module: str, target: str, call: Callable[[Call], None], texts: bool = True) -> Any:
    """A function, or a class with its methods, that has the signatures and docstrings of a command's source.

    Called by fire, it checks the types of simple arguments and hands them to `call`. Nothing is imported.
    """
    declared = _declaration(module, target)
    if isinstance(declared, ast.FunctionDef):
        return _function(declared, "", module, call, texts)
    steps = {step.name: staticmethod(_function(step, step.name, module, call, texts)) for step in _steps(declared)}
    return type(target, (), steps | {"__doc__": ast.get_docstring(declared)})


def _declaration(module: str, target: str) -> ast.FunctionDef | ast.ClassDef:
    for node in _source(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == target:
            return node
    raise LookupError(f"{module} has no {target}")


def _source(module: str) -> ast.Module:
    return ast.parse(REPOSITORY.joinpath(*module.split(".")).with_suffix(".py").read_bytes())


def _steps(declared: ast.ClassDef) -> list[ast.FunctionDef]:
    return [node for node in declared.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def _first_line(declared: ast.FunctionDef | ast.ClassDef) -> str:
    return (ast.get_docstring(declared) or "").partition("\n")[0]


def _function(
    declared: ast.FunctionDef, step: str, module: str, call: Callable[[Call], None], texts: bool
) -> Callable[..., None]:
    arguments = [argument for argument in declared.args.args if argument.arg != "self"]
    defaults = declared.args.defaults
    required = len(arguments) - len(defaults)
    annotations = {argument.arg: ast.unparse(argument.annotation) for argument in arguments}
    parameters = [
        inspect.Parameter(
            argument.arg,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty if number < required else _value(defaults[number - required], module),
        )
        for number, argument in enumerate(arguments)
    ]
    if declared.args.kwarg is not None:
        parameters.append(inspect.Parameter(declared.args.kwarg.arg, inspect.Parameter.VAR_KEYWORD))
    signature = inspect.Signature(parameters)

    def function(*given: Any, **named: Any) -> None:
        values = dict(signature.bind(*given, **named).arguments)
        for name, value in values.items():
            _check_type(name, value, annotations.get(name, "Any"))
        values = _with_homes(values)
        if declared.args.kwarg is not None:
            values |= values.pop(declared.args.kwarg.arg, {})
        call(Call(step, values))

    function.__name__, function.__doc__ = declared.name, ast.get_docstring(declared)
    function.__signature__ = signature
    as_typed = {name: _text for name, types in annotations.items() if types in ("str", "str | None")}
    return fire.decorators.SetParseFns(**as_typed)(function) if texts else function


def _value(node: ast.expr, module: str) -> Any:
    """A default: a literal, or the name of one, here or in the module that it is imported from."""
    if not isinstance(node, ast.Name):
        return ast.literal_eval(node)
    for statement in _source(module).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == node.id:
            return _value(statement.value, module)
        if isinstance(statement, ast.ImportFrom) and node.id in (alias.name for alias in statement.names):
            return _value(node, str(statement.module))
    raise LookupError(f"{module} has no {node.id}")


def _text(value: str) -> str | None:
    """Text stays as it was typed, 007 and 1e5 too."""
    return None if value == "None" else value


def _with_homes(value: Any) -> Any:
    """A value of an option with ``~`` written out in every text of it, see `with_home`."""
    if isinstance(value, str):
        return with_home(value)
    if isinstance(value, Mapping):
        return {key: _with_homes(item) for key, item in value.items()}
    return type(value)(map(_with_homes, value)) if isinstance(value, list | tuple) else value


def _check_type(name: str, value: Any, annotation: str) -> None:
    types = annotation.split(" | ")
    if types == ["int", "Sequence[int]"]:
        for one in value if isinstance(value, list | tuple) else (value,):
            _check_type(name, one, "int")
        return
    if not SIMPLE.keys() >= set(types):
        return
    allowed = tuple(kind for type_ in types for kind in SIMPLE[type_])
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        expected = " or ".join(WORDS[type_] for type_ in types if type_ != "None")
        raise UsageError(f"--{name} is {value!r}, expected {expected}")


def _check_options(command: str, component: Any, arguments: list[str]) -> None:
    """Refuse options that the command does not have, values that are missing, and values too many."""
    if inspect.isclass(component):
        if not arguments or arguments[0].startswith("-"):
            return
        step, *arguments = arguments
        if not hasattr(component, step):
            steps = [name for name in vars(component) if not name.startswith("_")]
            raise UsageError(f"{command} has no step {step!r}.{did_you_mean(step, steps)} It has {', '.join(steps)}.")
        command, component = f"{command} {step}", getattr(component, step)
    if "--" in arguments:
        return
    parameters = dict(inspect.signature(component).parameters)
    anything = [name for name, p in parameters.items() if p.kind is inspect.Parameter.VAR_KEYWORD]
    parameters = {name: parameter for name, parameter in parameters.items() if name not in anything}
    named, positional = set(), 0
    tokens = iter(arguments)
    for token in tokens:
        if not token.startswith("--"):
            positional += 1
            continue
        option, equals, _ = token.removeprefix("--").partition("=")
        name = option.replace("-", "_")
        switch = isinstance(parameters[name].default, bool) if name in parameters else name.startswith("no")
        name = name if name in parameters else name.removeprefix("no") if switch else name
        if name not in parameters and not anything:
            raise UsageError(
                f"{command} has no option --{option}.{did_you_mean(name, parameters, '--')} "
                f"`python -m tools {command} --help` explains all."
            )
        named.add(name)
        following = arguments[len(arguments) - length_hint(tokens) :][:1]
        if not equals and following and not following[0].startswith("--"):
            next(tokens)
        elif not equals and not switch:
            raise UsageError(f"--{option} needs a value")
    open_names = [name for name in parameters if name not in named]
    if positional > len(open_names):
        raise UsageError(f"{command} takes at most {len(parameters)} values: {', '.join(parameters)}")
    missing = [name for name in open_names[positional:] if parameters[name].default is inspect.Parameter.empty]
    if missing:
        raise UsageError(
            f"{command} needs {' and '.join(f'--{name}' for name in missing)}. "
            f"`python -m tools {command} --help` explains all."
        )
