# SPDX-License-Identifier: MIT
"""Draws growth curves as SVG files: both axes logarithmic, one line for each contender, labelled at its end."""

import math
from html import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 50, 50
COLOURS = ("#0b63b0", "#c2451e", "#2f8f4e", "#7a4fb5", "#a67c00", "#00818a", "#b03a72", "#555555")


def _powers_of_ten(low, high):
    return [10**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def _short(value):
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"


def _spread(wanted, distance):
    """Moves label heights apart until no two are nearer than distance, keeping their order."""
    placed = []
    for height in sorted(wanted):
        placed.append(max(height, placed[-1] + distance) if placed else height)
    return placed


def curves(path, title, y_title, lines):
    """lines: label -> list of (x, y), all positive. Writes nothing if there is no point."""
    points = [point for line in lines.values() for point in line if point[1] > 0]
    if not points:
        return
    xs = _powers_of_ten(min(x for x, _ in points), max(x for x, _ in points))
    ys = _powers_of_ten(min(y for _, y in points), max(y for _, y in points))

    def place(ticks, value, begin, end):
        low, high = math.log10(ticks[0]), math.log10(ticks[-1])
        return begin + (end - begin) * ((math.log10(value) - low) / (high - low) if high > low else 0.5)

    def across(x):
        return place(xs, x, LEFT, WIDTH - RIGHT)

    def down(y):
        return place(ys, y, HEIGHT - BOTTOM, TOP)

    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
        f'<text x="{LEFT}" y="38" fill="#555">{escape(y_title)}</text>',
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 10}" text-anchor="end" fill="#555">n</text>',
    ]
    for x in xs:
        svg.append(f'<line x1="{across(x):.1f}" y1="{TOP}" x2="{across(x):.1f}" y2="{HEIGHT - BOTTOM}" stroke="#eee"/>')
        svg.append(f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(x)}</text>')
    for y in ys:
        svg.append(f'<line x1="{LEFT}" y1="{down(y):.1f}" x2="{WIDTH - RIGHT}" y2="{down(y):.1f}" stroke="#ddd"/>')
        svg.append(f'<text x="{LEFT - 8}" y="{down(y) + 4:.1f}" text-anchor="end">{_short(y)}</text>')
    drawn = [(label, [p for p in line if p[1] > 0]) for label, line in lines.items()]
    drawn = sorted(((label, line) for label, line in drawn if line), key=lambda one: down(one[1][-1][1]))
    heights = _spread([down(line[-1][1]) for _, line in drawn], 15)
    colour_of = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(lines)}
    for (label, line), height in zip(drawn, heights):
        colour, width = colour_of[label], 3 if label.startswith("haft") else 1.5
        corners = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in line)
        svg.append(f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        svg.extend(f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="2.5" fill="{colour}"/>' for x, y in line)
        svg.append(f'<text x="{WIDTH - RIGHT + 10}" y="{height + 4:.1f}" fill="{colour}">{escape(label)}</text>')
    svg.append("</svg>")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(svg) + "\n")


def growth(base, measured):
    """Two plots of one growth measurement, time and peak memory, in files that begin with base."""
    kinds = (("time", "median", "ns per operation"), ("memory", "peak_mib", "peak resident MiB"))
    for kind, key, y_title in kinds:
        lines = {
            label: [(size, point[key]) for size, point in sorted(points.items())]
            for label, points in measured["curves"].items()
        }
        name = f"{base.name}-{measured['workload']}-{measured['workers']}w-{kind}.svg"
        title = f"{measured['workload']}: {measured['title']}; {measured['workers']} worker(s)"
        curves(base.parent / name, title, y_title, lines)
