"""The list of checks."""

from dataclasses import dataclass
from typing import Callable

CHECKS = []


@dataclass(frozen=True)
class Check:
    """Something that has to hold on both engines."""

    name: str
    function: Callable
    template: str


def check(name, template="seeded"):
    """Makes a function a check. It gets a site of its own, with a copy of the template of this name."""

    def register(function):
        CHECKS.append(Check(name, function, template))
        return function

    return register
