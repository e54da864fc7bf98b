"""Durations as text."""


def duration(seconds: float) -> str:
    """Format a duration in seconds; a negative one counts as zero.

    >>> duration(0.034), duration(9.6), duration(310), duration(3725)
    ('34 ms', '9.6 s', '5 min 10 s', '1 h 2 min')
    """
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def whole_seconds(seconds: float) -> str:
    """Format a duration in whole seconds, for a display that counts up or down.

    >>> whole_seconds(9.6), whole_seconds(310.9), whole_seconds(-1)
    ('9 s', '5 min 10 s', '0 s')
    """
    whole = max(0, int(seconds))
    return f"{whole} s" if whole < 60 else duration(whole)
