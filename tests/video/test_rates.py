from __future__ import annotations

from fractions import Fraction

import pytest

from video import InputError, parse_rate


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("24000/1001", Fraction(24000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (24000 / 1001, Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("47.952", Fraction(48000, 1001)),
        (59.94, Fraction(60000, 1001)),
        ("119.88", Fraction(120000, 1001)),
        ("24", Fraction(24)),
        ("24.00", Fraction(24)),
        (24, Fraction(24)),
        (24.0, Fraction(24)),
        (12.5, Fraction(25, 2)),
        ("59.9", Fraction(599, 10)),
        ("23.9", Fraction(239, 10)),
        (Fraction(30000, 1001), Fraction(30000, 1001)),
        (1000, Fraction(1000)),
        ("0.5", Fraction(1, 2)),
    ],
)
def test_rates_are_exact(value: str | int | float | Fraction, expected: Fraction) -> None:
    assert parse_rate(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("abc", "", "0", "-1", "nan", "inf", "1/0", "1/2/3", "1001", "1e400", "9" * 50, "24 fps"),
        *(0, -24, 1e9, 1e-9, float("nan"), float("inf"), True, None),
    ],
)
def test_what_is_no_rate_is_refused_and_quoted(value: object) -> None:
    with pytest.raises(InputError, match="frame rate above 0") as caught:
        parse_rate(value)  # type: ignore[arg-type]
    assert repr(value) in str(caught.value)
