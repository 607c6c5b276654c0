"""Numbers for people: never a power of ten for a count, never ones that round up into one."""

from __future__ import annotations

import pytest

from models.digits import digits, many


@pytest.mark.parametrize(
    ("value", "figures", "text"),
    [
        (0.0, 3, "0"),
        (0.01234, 3, "0.0123"),
        (999.4, 3, "999"),
        (999.9, 3, "1,000"),
        (-999.9, 3, "-1,000"),
        (1830.0, 3, "1,830"),
        (47_411.6, 4, "47,412"),
        (47_411.6, 6, "47,411.6"),
        (1e9, 3, "1,000,000,000"),
        (1e20, 3, "1e+20"),
        (-1.7e308, 3, "without bound"),
        (1e-7, 3, "1e-07"),
    ],
)
def test_a_number_in_few_digits(value: float, figures: int, text: str) -> None:
    assert digits(value, figures) == text


def test_one_and_many() -> None:
    assert many(1, "member") == "1 member"
    assert many(2000, "member") == "2,000 members"
