"""This module reads exact numbers and separates them from units, percent signs, number bases and counted nouns.

`number` returns the exact value of literals only; `split` splits a normal form (`latex.normal`) into value and unit.
Units are compared, never converted: "5 m" is not "500 cm". A counted noun ("5 apples") is no unit.
Not covered: units inside lists, units written as fractions, radians against degrees.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from r1_pipeline.rewards.latex import compact, unworded

_INTEGER = r"[+-]?(?:[0-9]{1,300}|[0-9]{1,3}(?:,[0-9]{3}){1,80})"
_NUMBER = re.compile(rf"{_INTEGER}(?:\.[0-9]{{0,30}})?|[+-]?\.[0-9]{{1,30}}")
_POWER = re.compile(r"([+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?)(?:\\times|\\cdot|\*)10\^\{?([+-]?[0-9]{1,3})\}?")
_FRACTION = re.compile(r"([+-]?)(?:\\frac\{([+-]?[0-9]{1,100})\}\{([0-9]{1,100})\}|([0-9]{1,100})/([0-9]{1,100}))")

_UNITS = {
    word: line.split()[0]
    for line in """
mm millimeter millimetre 毫米|cm centimeter centimetre 厘米|dm decimeter decimetre 分米|m meter metre 米
km kilometer kilometre 千米 公里|in inch inche|ft foot feet|yd yard|mi mile|mg milligram 毫克|g gram 克
kg kilogram 千克 公斤|t ton tonne 吨|oz ounce|lb pound|s sec second 秒|min minute 分钟|h hr hour 小时 时|day 天
week 周|month 个月|yr year 年|ml milliliter millilitre 毫升|l liter litre 升|gal gallon|mph|kmh kph
cent ¢ 分|dollar usd 美元 \\$|euro eur €|sterling gbp £|yuan rmb cny 元 块 ¥
rupee rs inr ₹|degree ° 度|rad radian|newton N|joule J|watt W
pascal Pa|hertz Hz|volt V|kelvin K|celsius|fahrenheit|mole mol|cal calorie|kcal kilocalorie""".replace("\n", "|").split(
        "|"
    )
    for word in line.split()
}
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "百": 2, "千": 3, "万": 4, "亿": 8}
_POWERS = {"square": "^2", "sq": "^2", "cubic": "^3", "平方": "^2", "立方": "^3"}
_NOT_COUNTED = re.compile(
    r"not|none|for|where|when|mod|are|choose|factorial|sqrt|sin|cos|tan|log|exp|inf(?:ty|inity)?|maybe|either|but|plus"
    r"|minus|times|over|than|with|all|any"
)
_PERCENT = re.compile(r"(.*?\S)\s*(?:\\?%|(?:\\text\{ ?)?(?:percentage|percent|per cent) ?\}?)", re.DOTALL)
_BASE = re.compile(r"\(?([0-9A-Fa-f]{1,300})\)?_\{([0-9]{1,2})\}")
_MONEY = re.compile(r"([+-]?)\s*(?:(?:US)?(\\\$|€|£|¥|₹)|(USD|EUR|GBP|CNY|RMB|INR|Rs)\.?)\s*(?=[\d.(]|\\(?!\$))")
_PAID = re.compile(r"(.*[\d.)}])\s*(\\\$|€|£|¥|₹|¢)", re.DOTALL)
_TEMPERATURE = re.compile(r"(.*\S)\s*\^\{\\circ\}\s*(?:\\text\{)?\s*([CF])\s*\}?", re.DOTALL)
_WORDS_IN_TEXT = re.compile(
    r"(.*?[^\s\\])\s*((?:\\text\{[^{}\d]*\}(?:\^\{-?[0-9]\})?(?:\s|/|\\cdot(?![a-z]))*)+)", re.DOTALL
)
_PLAIN_WORDS = re.compile(
    r"(.*?[0-9}).])(\s*)"
    r"([a-zA-Z](?:[a-zA-Z/ ]|\.(?= |$)|\\cdot )*(?:\^\{-?[0-9]\})?|[\u4e00-\u9fff][\u4e00-\u9fff/]{0,7})"
)
_MEASURED = re.compile(
    r"(.*(?:[0-9}).!]|\\pi(?![a-zA-Z])))\s*([a-zA-Z](?:[a-zA-Z/ ]|\^\{-?[0-9]\}|\.(?= |$)|\\cdot )*)", re.DOTALL
)
_CONSTANTS = re.compile(r"\\(?:pi|sqrt|frac|cdot|times|ln|log|sin|cos|tan|left|right)(?![a-zA-Z])")
_LETTERS = re.compile(r"[a-zA-Z\\]")
_UNIT_WORD = re.compile(r"(?!(?:mg|hr|rs|mi|ml)\b)\b[a-zA-Z]{2,}")
_SPACED = re.compile(r"(平方|立方|每|/)")


@dataclass(frozen=True)
class Quantity:
    """A value and its unit: a canonical name, "%" for percent, "_b" for digits in base b, or "" for none."""

    value: str
    unit: str


def number(text: str) -> Fraction | None:
    """Returns the exact value of an integer, decimal, simple fraction or power-of-ten literal; None for other text."""
    literal = compact(text)
    if _NUMBER.fullmatch(literal):
        return Fraction(literal.replace(",", ""))
    if power := _POWER.fullmatch(literal):
        return Fraction(power[1]) * Fraction(10) ** int(power[2])
    if (ratio := _FRACTION.fullmatch(literal)) and int(below := ratio[3] or ratio[5]):
        return Fraction(int(ratio[2] or ratio[4]), int(below)) * (-1 if ratio[1] == "-" else 1)
    return None


def split(text: str) -> Quantity:
    """Splits a normal form into value and unit; returns the whole text and no unit if none is recognised."""
    if based := _BASE.fullmatch(compact(text)):
        return Quantity(based[1], f"_{based[2]}")
    if percent := _PERCENT.fullmatch(text):
        return Quantity(percent[1], "%")
    if text.endswith("^{\\circ}") and text.count("\\circ") == 1:
        return Quantity(text.removesuffix("^{\\circ}").rstrip(), "degree")
    if temperature := _TEMPERATURE.fullmatch(text):
        return Quantity(temperature[1], {"C": "celsius", "F": "fahrenheit"}[temperature[2]])
    if money := _MONEY.match(text):
        rest = split(money[1] + text[money.end() :])
        return Quantity(rest.value, rest.unit or _UNITS[money[2] or money[3].lower()])
    if (paid := _PAID.fullmatch(text)) and number(paid[1]) is not None:
        return Quantity(paid[1], _UNITS[paid[2]])
    if (worded := _WORDS_IN_TEXT.fullmatch(text)) and "\\text" not in worded[1]:
        return _named(worded[1], unworded(worded[2]).strip("() ")) or Quantity(text, "")
    plain = _PLAIN_WORDS.fullmatch(text)
    if plain is None or number(plain[1]) is None:
        return _measured(text)
    product = not plain[2] and plain[3].isascii() and (len(plain[3]) == 1 or _unit(plain[3].split()) is None)
    return Quantity(text, "") if product else _named(plain[1], plain[3]) or Quantity(text, "")


def _measured(text: str) -> Quantity:
    """Splits a constant that is no literal (`2\\pi cm`) from its unit; a single letter is a factor, not a unit."""
    measured = _MEASURED.fullmatch(text)
    if measured is None or _LETTERS.search(_CONSTANTS.sub(" ", measured[1])):
        return Quantity(text, "")
    names = measured[2].split()
    unit = _unit(names) if _UNIT_WORD.search(measured[2]) else None
    return Quantity(text, "") if unit is None else Quantity(measured[1].rstrip(), unit)


def _named(value: str, words: str) -> Quantity | None:
    """Returns a value with the unit in the words after it, multiplied by scales such as "million".

    Returns None if the words are neither a unit nor a counted noun.
    """
    names, power = words.replace(".", " ").split(), 0
    unit = _unit(names)
    if unit is None and (scale := names[0].lower() if names[0].isascii() else names[0][0]) in _SCALES:
        power = _SCALES[scale]
        names = [name for name in (names[0][len(scale) :], *names[1:]) if name]
        unit = _unit(names)
    if unit is None:
        if not all(_counted(name) for name in names) or len(names) > 4:
            return None
        unit = ""
    if not power:
        return Quantity(value, unit)
    exact = number(value)
    return None if exact is None else Quantity(str(exact * 10**power), unit)


def _counted(name: str) -> bool:
    return name.isalpha() and not _NOT_COUNTED.fullmatch(name.lower()) and (len(name) > 2 or not name.isascii())


def _unit(names: list[str]) -> str | None:
    """Returns the canonical spelling of a unit, "" for "square unit"; None if any part of it is unknown."""
    parts, power = [], ""
    for name in _SPACED.sub(r" \1 ", " ".join(names)).replace("\\cdot", " ").replace(" ^", "^").split():
        word, _, exponent = name.partition("^")
        lower = word.lower()
        unit = _UNITS.get(word) or _UNITS.get(lower) or _UNITS.get(lower.rstrip("s"))
        if lower in ("/", "per", "每"):
            parts.append("/")
        elif lower in _POWERS:
            power = _POWERS[lower]
        elif lower in ("unit", "units"):
            continue
        elif unit is None:
            return None
        else:
            parts.append(unit + ("^" + exponent.strip("{}") if exponent else power))
            power = ""
    return " ".join(parts)
