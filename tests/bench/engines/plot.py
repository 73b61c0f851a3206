"""The medians as a picture, in SVG, written by hand: a group of bars for each case, as long as they are fast."""

from collections.abc import Iterator, Sequence
from html import escape

from tests.bench.engines.cases import Case
from tests.bench.engines.contenders import BUILTIN, DIRECT
from tests.bench.engines.rounds import Sample
from tests.bench.engines.table import medians, number

WIDTH, LABEL, LENGTH = 760, 110, 520
BAR, GAP, TITLE, EDGE = 16, 3, 26, 14
COLOURS = {BUILTIN: "#2563eb", DIRECT: "#9ca3af"}
OTHERS = "#d6a45c"


def drawn(samples: Sequence[Sample], cases: Sequence[Case], names: Sequence[str]) -> str:
    """Readable on light and dark alike: it brings its own ground along."""
    parts: list[str] = []
    y = EDGE
    for case in cases:
        rates = {name: found["rate"] for name in names if (found := medians(samples, case.key, name))}
        parts += group(case, rates, y)
        y += TITLE + len(rates) * (BAR + GAP) + EDGE
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}"'
            ' font-family="system-ui, sans-serif" font-size="12" fill="#1f2937">',
            f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def group(case: Case, rates: dict[str, float], y: int) -> Iterator[str]:
    unit = case.figures[0].unit
    yield f'<text x="{EDGE}" y="{y + 14}" font-weight="600">{escape(case.title)} ({escape(unit)})</text>'
    longest = max(rates.values(), default=1)
    for place, (name, rate) in enumerate(rates.items()):
        yield from bar(name, rate, rate / longest, y + TITLE + place * (BAR + GAP))


def bar(name: str, rate: float, share: float, y: int) -> Iterator[str]:
    middle, length, colour = y + BAR - 4, max(1, round(share * LENGTH)), COLOURS.get(name, OTHERS)
    yield f'<text x="{LABEL - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>'
    yield f'<rect x="{LABEL}" y="{y}" width="{length}" height="{BAR}" rx="2" fill="{colour}"/>'
    yield f'<text x="{LABEL + length + 6}" y="{middle}">{number(rate)}</text>'
