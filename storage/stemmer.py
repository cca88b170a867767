"""English words cut to their stem, so that "decided" finds "decides": Porter's algorithm of 1980.

Two changes: a few irregular forms are looked up first, and "y" becomes "i" only after a consonant
(as in Porter's own second version), so that "deployed" and "deployment" meet.
Pure. Words of other languages go through it too, which does no harm: index and query cut alike,
and whoever wrote the exact word is ranked first.
"""

import re

_IRREGULAR = {
    form: word
    for word, forms in {
        "begin": "began begun",
        "break": "broke broken",
        "bring": "brought",
        "build": "built",
        "buy": "bought",
        "catch": "caught",
        "child": "children",
        "choose": "chose chosen",
        "come": "came",
        "do": "did done does",
        "feel": "felt",
        "find": "found",
        "foot": "feet",
        "forget": "forgot forgotten",
        "get": "got gotten",
        "give": "gave given",
        "go": "went gone goes",
        "hold": "held",
        "keep": "kept",
        "know": "knew known",
        "lose": "lost",
        "make": "made",
        "man": "men",
        "mean": "meant",
        "meet": "met",
        "mouse": "mice",
        "pay": "paid",
        "person": "people",
        "run": "ran",
        "say": "said",
        "see": "saw seen",
        "sell": "sold",
        "send": "sent",
        "show": "shown",
        "speak": "spoke spoken",
        "spend": "spent",
        "take": "took taken",
        "teach": "taught",
        "tell": "told",
        "think": "thought",
        "understand": "understood",
        "win": "won",
        "woman": "women",
        "write": "wrote written",
    }.items()
    for form in forms.split()
}

_LONG_SUFFIXES = (
    ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"),
    ("abli", "able"), ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"),
    ("ization", "ize"), ("ation", "ate"), ("ator", "ate"), ("alism", "al"), ("iveness", "ive"),
    ("fulness", "ful"), ("ousness", "ous"), ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble"),
)  # fmt: skip
_MIDDLE_SUFFIXES = (
    ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"),
    ("ful", ""), ("ness", ""),
)  # fmt: skip
_ENDINGS = (
    "ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ion", "ism",
    "ate", "iti", "ous", "ive", "ize", "al", "er", "ic", "ou",
)  # fmt: skip

_ANY_LONG = tuple(suffix for suffix, _ in _LONG_SUFFIXES)
_ANY_MIDDLE = tuple(suffix for suffix, _ in _MIDDLE_SUFFIXES)

_PLAIN = re.compile(r"[a-z]{3,40}")
_VOWEL = re.compile(r"[aeiou]|(?<=[^aeiou])y")
_SYLLABLE = re.compile(r"(?:[aeiou]|(?<=[^aeiou])y)+(?:[^aeiouy]|(?<=[aeiou])y)")
_SHORT_END = re.compile(r"(?:^|.*[^aeiouy]|.*[aeiou]y)[^aeiou][aeiouy][^aeiouwxy]$")


def stem(word: str) -> str:
    """The stem of a folded word; the word itself where it is not made of a to z."""
    if not _PLAIN.fullmatch(word):
        return word
    word = _IRREGULAR.get(word, word)
    if len(word) < 3:
        return word
    word = _without_plural(word)
    if word.endswith(("ed", "ing")):
        word = _without_past(word)
    if word.endswith("y") and len(word) > 2 and word[-2] not in "aeiou":
        word = word[:-1] + "i"
    if word.endswith(_ANY_LONG):
        word = _shortened(word, _LONG_SUFFIXES)
    if word.endswith(_ANY_MIDDLE):
        word = _shortened(word, _MIDDLE_SUFFIXES)
    if word.endswith(_ENDINGS):
        word = _without_ending(word)
    return _tidied(word) if word.endswith(("e", "ll")) else word


def _measure(part: str) -> int:
    """How many times a vowel is followed by a consonant in `part`."""
    return len(_SYLLABLE.findall(part))


def _without_plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def _without_past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) else word
    for suffix in ("ed", "ing"):
        rest = word.removesuffix(suffix)
        if rest != word:
            return _mended(rest) if _VOWEL.search(rest) else word
    return word


def _mended(rest: str) -> str:
    """`rest` as a word again, once "ed" or "ing" is gone: hoping -> hope, running -> run."""
    if rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if len(rest) > 1 and rest[-1] == rest[-2] and rest[-1] not in "aeioulsz":
        return rest[:-1]
    if _measure(rest) == 1 and _SHORT_END.match(rest):
        return rest + "e"
    return rest


def _shortened(word: str, suffixes: tuple[tuple[str, str], ...]) -> str:
    for suffix, shorter in suffixes:
        if word.endswith(suffix):
            rest = word[: -len(suffix)]
            return rest + shorter if _measure(rest) else word
    return word


def _without_ending(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending):
            rest = word[: -len(ending)]
            if _measure(rest) < 2 or (ending == "ion" and rest[-1] not in "st"):
                return word
            return rest
    return word


def _tidied(word: str) -> str:
    if word.endswith("e"):
        rest = word[:-1]
        measure = _measure(rest)
        if measure > 1 or (measure == 1 and not _SHORT_END.match(rest)):
            word = rest
    if word.endswith("ll") and _measure(word[:-1]) > 1:
        word = word[:-1]
    return word
