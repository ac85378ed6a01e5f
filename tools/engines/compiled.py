"""Passes of networks that torch compiles."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn


class CompiledPass:
    """A pass of a network, in the place of the method that computes it; copies of the network are not compiled.

    Args:
        network: name of the network among those that are trained.
        part: name of the pass, see ``compile_networks``.
        eager: method that computes it.
        backend: backend of ``torch.compile``.

    Attributes:
        calls: number of calls so far.
    """

    def __init__(self, network: str, part: str, eager: Callable, backend: str | Callable) -> None:
        self.network = network
        self.part = part
        self.eager = eager
        self.calls = 0

        def call(*args: Any, **kwargs: Any) -> Any:
            return eager(*args, **kwargs)

        # torch compiles a code for eight different inputs, and then no more: every pass has one of its own. And the
        # code of torch's containers, such as Sequential, it would not look into.
        call.__code__ = call.__code__.replace(co_name=f"{network}.{part}")
        self._compiled = torch.compile(call, backend=backend, dynamic=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self._compiled(*args, **kwargs)

    def __deepcopy__(self, memo: dict) -> Callable:
        return copy.deepcopy(self.eager, memo)


def compile_networks(networks: Mapping[str, nn.Module], backend: str | Callable = "inductor") -> list[CompiledPass]:
    """Compile what losses call of networks.

    That is a network's own pass ("forward"), or what the network names in its attribute ``called_parts``: submodules
    and methods which losses call by themselves. A whole network is not compiled by compiling its own pass if a loss
    only calls parts of it.

    Args:
        networks: networks by name. Those that are compiled already are compiled anew.
        backend: backend of ``torch.compile``, by name or as a function.

    Raises:
        ValueError: a network has not what it names.
    """
    passes = []
    for name, network in networks.items():
        for part in getattr(network, "called_parts", ("forward",)):
            if not hasattr(network, part):
                raise ValueError(
                    f"compile: the network '{name}', a {type(network).__name__}, names {part!r} in its "
                    "called_parts, and has no such submodule or method. Correct its called_parts."
                )
            found = getattr(network, part)
            owner, method = (found, "forward") if isinstance(found, nn.Module) else (network, part)
            eager = getattr(owner, method)
            eager = eager.eager if isinstance(eager, CompiledPass) else eager
            passes.append(CompiledPass(name, part, eager, backend))
            setattr(owner, method, passes[-1])
    return passes


def check_called(passes: Iterable[CompiledPass]) -> None:
    """Look whether a loss has called each of the networks in a way that is compiled.

    Raises:
        ValueError: a network was not called so; the message names it.
    """
    passes = list(passes)
    called = {one.network for one in passes if one.calls}
    for one in passes:
        if one.network not in called:
            parts = ", ".join(other.part for other in passes if other.network == one.network)
            raise ValueError(
                f"compile: of the network '{one.network}' this is compiled: {parts}; and no loss calls it. Name what "
                "losses call of it, its submodules or methods, in the attribute called_parts of its class; or train "
                "without --compile."
            )
