"""Packs what crosses between the two sandboxes of a unit test. Imported by the driver inside a sandbox, nowhere else.

Plain values cross, and instances of the classes that the prelude gives to both sides: by the name of their class and
with their attributes, so that nothing of a program's own making arrives. Not covered: what a forged message makes; it
can hold no more than an honest one.
"""

from __future__ import annotations

from typing import Any

PLAIN = (type(None), bool, int, float, str)
SEQUENCES = (list, tuple, set, frozenset)
SHORT = 64  # bits of an integer that crosses as it is

shared: dict[str, Any] = {}  # the prelude's classes


def pack(value: Any) -> Any:
    """JSON that tells a tuple from a list, beside the shared instances in it.

    An instance is a place in a list, so that chains of any length cross, loops included. A long integer crosses in
    base 16: to read one in base 10 takes time that grows with the square of its length.
    """
    met: list[Any] = []
    places: dict[int, int] = {}

    def packed(value: Any) -> Any:
        name = type(value).__name__
        if type(value) is int and value.bit_length() > SHORT:
            return ["int", hex(value)]
        if type(value) in PLAIN:
            return value
        if type(value) in SEQUENCES:
            return [name, [packed(item) for item in value]]
        if type(value) is complex:
            return [name, [value.real, value.imag]]
        if name in shared and hasattr(value, "__dict__"):
            if id(value) not in places:
                places[id(value)] = len(met)
                met.append(value)
            return ["object", places[id(value)]]
        if isinstance(value, dict):  # a Counter and its like become a dict
            return ["dict", [[packed(key), packed(item)] for key, item in value.items()]]
        raise TypeError(f"a {name} does not cross between test and program")

    whole, objects = packed(value), []
    for each in met:  # which grows on the way
        objects.append([type(each).__name__, [[name, packed(item)] for name, item in vars(each).items()]])
    return [whole, objects]


def unpack(pair: Any) -> Any:
    """The inverse of `pack`."""
    whole, objects = pair
    made = [shared[name].__new__(shared[name]) for name, _ in objects]

    def unpacked(packed: Any) -> Any:
        if type(packed) is not list:
            return packed
        name, items = packed
        if name == "object":
            return made[items]
        if name == "int":
            return int(items, 16)
        if name == "dict":
            return {unpacked(key): unpacked(item) for key, item in items}
        if name == "complex":
            return complex(*items)
        kind = next(kind for kind in SEQUENCES if kind.__name__ == name)
        return kind(unpacked(item) for item in items)

    for place, (_, fields) in enumerate(objects):
        vars(made[place]).update((name, unpacked(item)) for name, item in fields)
    return unpacked(whole)
