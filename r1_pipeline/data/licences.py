"""Licences, by SPDX identifier, whose rows a profile lets into its corpus."""

PERMISSIVE = (
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "ODC-By-1.0",
    "PDDL-1.0",
    "Unlicense",
)
"""Use, change and passing on for any purpose, with attribution at most; neither share-alike nor non-commercial."""
