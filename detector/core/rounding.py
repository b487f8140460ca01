"""Numbers for people and files: rounded to significant digits."""


def six_digits(value: float) -> float:
    """Rounded to six significant digits: what an alert, a request or a report shows.

    >>> six_digits(1234567.8)
    1234570.0
    """
    return float(f"{value:.6g}")


def nine_digits(value: float) -> float:
    """Rounded to nine significant digits: more than float32 holds, and a manifest that people can read.

    >>> nine_digits(0.12345678949)
    0.123456789
    """
    return float(f"{value:.9g}")
