"""Texts for people, made of values that others chose."""


def printable(text: str) -> str:
    """Return a text on one line, with characters that are not printable escaped.

    >>> printable("driver 1\\nDriver: 2")
    'driver 1\\\\nDriver: 2'
    """
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def shortened(text: str, length: int) -> str:
    """Return a text of at most `length` characters; a longer one ends in an ellipsis.

    >>> shortened("a long text", 6)
    'a lon…'
    """
    return text if len(text) <= length else f"{text[: length - 1]}…"
