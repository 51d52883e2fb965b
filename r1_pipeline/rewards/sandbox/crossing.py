"""This module packs the values that cross between the two sandboxes of a unit test; only the driver imports it.

Plain values cross, and instances of the classes that the prelude defines on both sides. An instance crosses as the name
of its class and its attributes, so that no code of the program arrives. Not covered: forged messages, which can contain
no more than honest ones.
"""

from __future__ import annotations

from typing import Any

PLAIN = (type(None), bool, int, float, str)
SEQUENCES = (list, tuple, set, frozenset)
SHORT = 64  # bits of the longest integer that crosses unchanged

shared: dict[str, Any] = {}  # the prelude's classes


def pack(value: Any) -> Any:
    """Returns a JSON value that distinguishes tuples from lists, and the list of the shared instances in it.

    An instance is represented by its index in that list, so that linked structures of any length cross, cycles
    included. A long integer crosses in base 16, because parsing base 10 takes time quadratic in its length. Raises
    `TypeError` for a value of any other type.
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
        if isinstance(value, dict):  # subclasses such as Counter become a dict
            return ["dict", [[packed(key), packed(item)] for key, item in value.items()]]
        raise TypeError(f"a {name} does not cross between test and program")

    whole, objects = packed(value), []
    for each in met:  # the list grows during the loop
        objects.append([type(each).__name__, [[name, packed(item)] for name, item in vars(each).items()]])
    return [whole, objects]


def unpack(pair: Any) -> Any:
    """Returns the value that `pack` packed."""
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
