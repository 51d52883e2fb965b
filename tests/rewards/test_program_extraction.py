"""Laws of program extraction: every kind of fence that models write, and texts that leave it open."""

import pytest

from r1_pipeline.data.templates import summarize
from r1_pipeline.rewards.program_extraction import extract_program

ONE = "print(int(input())+1)"
TWO = "n=int(input())\nif n:\n    print(n+1)"
DOCUMENTED = '''def f(x):
    """Adds one.

    ```
    f(1)
    ```
    """
    return x + 1'''


@pytest.mark.parametrize(
    ("final", "source"),
    [
        (ONE, ONE),
        (f"```python\n{ONE}\n```", ONE),
        (f"```\r\n{ONE}\r\n```\r", ONE),
        (f"Input\n```\n1\n```\n```py\n{ONE}\n```\nOutput\n```text\n2\n```", ONE),
        (f"```json\n[1]\n```\n```\n{ONE}\n```", ONE),
        (f"```python\n{ONE}\n```\nagain\n```python\n{ONE}\n```", ONE),
        (f"1. The program:\n   ```python\n   {ONE}\n   ```", ONE),
        (f"- ```python\n  {TWO.replace(chr(10), chr(10) + '  ')}\n  ```", TWO),
        (f"10. ```python\n    {ONE}\n    ```\n11. Done.", ONE),
        (f"\t```python\n\t{ONE}\n\t```", ONE),
        (f"   ```python\n{TWO}\n```", TWO),
        (f'```python title="a.py"\n{ONE}\n```', ONE),
        (f"```python:main.py\n{ONE}\n```", ONE),
        (f"```{{.python .numberLines}}\n{ONE}\n```", ONE),
        (f"``` python\n{ONE}\n```", ONE),
        (f"```Python \n{ONE}\n``` ", ONE),
        (f"~~~python\n{ONE}\n~~~", ONE),
        ("~~~~python\nprint('~~~')\n~~~\n~~~~", "print('~~~')\n~~~"),
        (f"````python\n{ONE}\n```\n`````", f"{ONE}\n```"),
        (f"```python\ns='''```'''\n{ONE}\n```", f"s='''```'''\n{ONE}"),
        (f"```python\n{DOCUMENTED}\n```", DOCUMENTED),
        (f"The program is: ```python\n{ONE}\n```", ONE),
        (f"10. The program: ```python\n    {ONE}\n    ```", ONE),
        (f"Write ```f``` so:\n```python\n{ONE}\n```", ONE),
        (f"```python\n{ONE}```", ONE),
    ],
)
def test_a_block_is_read_as_markdown_says(final, source):
    found = extract_program(final)
    assert found and (found.source, found.language) == (source, "python")


@pytest.mark.parametrize("tag", ["cpp", "C++", "cc", " cpp", 'cpp title="a.cpp"', "{.cpp}"])
def test_the_first_word_behind_the_fence_is_the_language(tag):
    found = extract_program(f"```{tag}\nint main() {{}}\n```")
    assert found and (found.source, found.language) == ("int main() {}", "cpp")


@pytest.mark.parametrize(
    "final",
    [
        "", " \n", "```python\n```", "x" * 70_000,
        f"```python\n{ONE}\n", f"```python\n{ONE}\n~~~", f"````python\n{ONE}\n```", f"```python\n{ONE}\n        ```\n.",
        f"```\n{ONE}\n```\n```\n{TWO}\n```",
        f"```python\n{ONE}\n```\n```python\n{TWO}",
        "```python\nprint(1)\n```\n```cpp\nint main() {}\n```",
        "```java\nclass A {}\n```",
    ],
)  # fmt: skip
def test_no_program_several_or_an_open_fence_are_none(final):
    assert extract_program(final) is None


def test_a_reference_is_read_as_it_was_written():
    for source in (ONE, TWO, DOCUMENTED):
        found = extract_program(summarize("code", source))
        assert found and found.source == source


def test_a_reply_of_fences_alone_is_read_however_long():
    assert extract_program("```a\n" * 50_001) is None
    assert extract_program(("`" * 2 + " ") * 200_000 + "```") is None
