"""This module guesses the encoding of text that is not UTF-8, so that a message can say how to convert it.

It converts nothing. Names of encodings are those of `iconv`.
"""

import re

_MARKS = {b"\xff\xfe\x00\x00": "UTF-32", b"\x00\x00\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_ZEROS: dict[tuple[bool, ...], str] = {
    (True, True, True, False): "UTF-32BE",
    (False, True, True, True): "UTF-32LE",
    (True, False, True, False): "UTF-16BE",
    (False, True, False, True): "UTF-16LE",
}
"""The pattern of zero bytes in the first two or four characters of a file that begins in ASCII."""
_HAN_PAIRS = re.compile("[\u4e00-\u9fff]{2}")


def wide_encoding(head: bytes) -> str:
    """Returns the two- or four-byte encoding of a file with these first four bytes; empty if it has none."""
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    return _ZEROS.get(tuple(byte == 0 for byte in head), "")


def looks_like(line: bytes) -> tuple[str, str]:
    """Returns the likeliest encoding of a line that is not UTF-8: its name for people, and its name for `iconv`."""
    for codec, label, name in (("gb2312", "Chinese (GB18030)", "GB18030"), ("shift_jis", "Shift JIS", "SHIFT_JIS")):
        try:
            if _HAN_PAIRS.search(line.decode(codec)):
                return label, name
        except UnicodeDecodeError:
            continue
    return "Latin-1 (Windows-1252)", "WINDOWS-1252"
