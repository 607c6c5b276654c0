"""Charts in pages: room for labels in a wider font, one image each, nothing drawn twice."""

from __future__ import annotations

import re

import pytest

from pages.charts import Charts, fitted

LABEL = "relapsing-remitting, with a treatment that has a long name"


def _spec(label: str) -> dict[str, object]:
    rows = [{"a": 1.0, "b": label}, {"a": 2.0, "b": "x"}]
    return {
        "mark": {"type": "rule"},
        "data": {"values": rows},
        "encoding": {
            "x": {"field": "a", "type": "quantitative"},
            "y": {"field": "b", "type": "nominal", "axis": {"labelLimit": 400}},
        },
    }


def _room(svg: str) -> tuple[float, float, float]:
    head = re.search(r'width="([\d.]+)" height="[\d.]+" viewBox="(-?[\d.]+) 0 ([\d.]+)', svg)
    assert head is not None
    return float(head[1]), float(head[2]), float(head[3])


def test_there_is_room_for_the_longest_label_in_a_wider_font() -> None:
    long, short = (str(Charts().figure(_spec(label), "t")) for label in (LABEL, "y"))
    wide, left, whole = _room(long)
    assert wide == whole
    assert -left >= 0.1 * 10 * len(LABEL)
    assert _room(short)[1] > left


def test_a_chart_is_one_image_with_its_title() -> None:
    svg = str(Charts().figure(_spec(LABEL), 'a "title" & more'))
    assert svg.count("role=") == 1
    assert svg.count("aria-") == 1
    assert 'aria-label="a &#34;title&#34; &amp; more"' in svg


@pytest.mark.parametrize("text", ['role="x"', 'say aria-label="y"'])
def test_what_a_label_says_is_left_alone(text: str) -> None:
    drawn = f'<svg class="marks" width="9" height="9" viewBox="0 0 9 9"><text>{text}</text></svg>'
    assert text in fitted(drawn)
