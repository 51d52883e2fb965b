"""Laws of the English in this repository: docstrings are sentences, and texts use the words of the field.

`tests/golden/words.toml` has the words to avoid. `tests/golden/not_yet.txt` names the files that still break these
laws; `python tests/prose.py` takes clean files off that list.
"""

import prose
import pytest


def test_a_file_is_clean_or_on_the_list() -> None:
    listed = prose.not_yet()
    assert [fault for name in prose.files() if name not in listed for fault in prose.faults_of(name)] == []


def test_the_list_only_shrinks() -> None:
    """A file that is clean, or gone, leaves the list: run `python tests/prose.py`."""
    present = set(prose.files())
    assert {name for name in prose.not_yet() if name not in present or not prose.faults_of(name)} == set()


@pytest.mark.parametrize(
    ("docstring", "is_sentence"),
    [
        ("Grades a reply.", True),
        ("`tokens` per reply, at most.", True),
        ("Grades a reply.\n\n    so that it counts", True),
        ("Whether a reply is right.", False),
        ("Of what a reply consists.", False),
        ("grades a reply.", False),
        ("Grades a reply", False),
        ("", False),
    ],
)
def test_a_docstring_is_a_sentence(docstring: str, is_sentence: bool) -> None:
    for source in (
        f'"""{docstring}"""',
        f'def f():\n    r"""{docstring}"""',
        f'class C:\n    x: int\n    """{docstring}"""',
    ):
        assert (prose.faults("a.py", source) == []) is is_sentence


@pytest.mark.parametrize(
    ("name", "source", "line"),
    [
        ("a.py", 'fail(f"{n}: mend\\nthe file")', 1),
        ("a.py", "x = 1\n# computed anew", 2),
        ("a.py", '"""A thing.\n\nIt is gone on\nwith.\n"""', 3),
        ("a.md", "Text\n\nWhoever runs this", 3),
        ("a.md", "Text\n```sh\nr1 run  # mend it\n```\n", 3),
        ("a.toml", 'x = 1\ny = "mend"  # owed\n', 2),
    ],
)
def test_a_word_to_avoid_is_found(name: str, source: str, line: int) -> None:
    (fault,) = prose.faults(name, source)
    assert fault.startswith(f"{name}:{line}: ")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.py", '"""A thing that keeps the key `aside`."""\nlanes = {"aside": 1}'),
        ("a.md", "See `lanes` and\n```python\nlanes = 2\n```\n"),
        ("a.toml", 'aside = "mend"\n'),
    ],
)
def test_names_and_data_keep_their_words(name: str, source: str) -> None:
    assert prose.faults(name, source) == []
