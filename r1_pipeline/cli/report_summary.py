"""Summarizes the claims of a report for the terminal: missed bars, failed gates, and the number of bars met."""

from collections.abc import Iterator, Mapping
from typing import Any

SYMBOLS = {"at least": "≥", "at most": "≤", "above": ">", "below": "<"}


def failures(report: Mapping[str, Any]) -> list[str]:
    """Returns one line for every bar of `report.json` that is not met or not measured, and for every failed gate."""
    return [*_bars(report), *_gates(report)]


def summary(report: Mapping[str, Any]) -> list[str]:
    """Returns the lines of `failures` and the number of bars met; empty if the report has neither bars nor failures."""
    bars = report.get("bars", [])
    met = sum(bar["passed"] is True for bar in bars)
    return [*failures(report), *([f"{met} of {len(bars)} bars met"] if bars else [])]


def _bars(report: Mapping[str, Any]) -> Iterator[str]:
    for bar in report.get("bars", []):
        if not bar["passed"]:
            value = "not measured" if bar["value"] is None else f"{bar['value']:.4g}"
            ends = " ({:.3g} to {:.3g})".format(*bar["interval"]) if bar["interval"] else ""
            yield f"bar missed: {bar['claim']}: {value}{ends}, must be {SYMBOLS[bar['sense']]} {bar['limit']:g}"


def _gates(report: Mapping[str, Any]) -> Iterator[str]:
    for name, gate in report["gates"].items():
        if not gate["passed"]:
            yield f"gate failed: {name}: {gate['value']:.4g}, limit {gate['limit']:.4g}"
