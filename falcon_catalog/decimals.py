"""Whole numbers as text spells them."""


def read_decimal(text: str, *, most: int) -> int | None:
    """Return the whole number that decimal digits spell, or ``most`` if it is larger.

    Any number of digits is accepted, which int() does not; None for other text.
    """
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    return most if len(digits) > len(str(most)) else min(int(digits or "0"), most)
