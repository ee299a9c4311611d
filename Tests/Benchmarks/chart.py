"""The starts as a bar chart in SVG, on a log scale: `chart.py RESULTS.json CHART.svg`.

Readable on light and on dark: a grey that stands out from both, and true black or white where the viewer tells which.
"""

import json
import math
import sys
from html import escape
from pathlib import Path

from report import Absent, NotRun, Results

SYSTEMS = [  # label, place in the results, whether it is ours
    ("bare process (floor)", ("starts", "floor"), False),
    ("Bulkhead, prewarmed", ("cells", "prewarmed"), True),
    ("Bulkhead, reused reactor", ("cells", "reused"), True),
    ("Bulkhead, Python by snapshot", ("cells", "snapshot"), True),
    ("Bulkhead, cold, cell renewed", ("cells", "renewed"), True),
    ("Bulkhead, cold, cell ready", ("cells", "cold_ready"), True),
    ("Bulkhead, cold, nothing ready", ("cells", "cold_nothing_ready"), True),
    ("bubblewrap", ("starts", "peers", "bwrap"), False),
    ("firejail", ("starts", "peers", "firejail"), False),
    ("crun", ("starts", "peers", "crun"), False),
    ("runsc (gVisor)", ("starts", "peers", "runsc"), False),
    ("nsjail", ("starts", "peers", "nsjail"), False),
    ("isolate", ("starts", "peers", "isolate"), False),
]
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #757575 }
.title { font-size: 16px; font-weight: 600 } .value { font-variant-numeric: tabular-nums }
.none { font-style: italic; font-size: 11px }
.other { fill: #8c959f } .ours { fill: #0f8a8a } .grid { stroke: #8c959f; stroke-opacity: .3 }
.tail { stroke: #757575; stroke-width: 2 }
@media (prefers-color-scheme: light) { text { fill: #1f2328 } .tail { stroke: #1f2328 } }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .tail { stroke: #e6edf3 } }
"""
WIDTH, LEFT, RIGHT, TOP, ROW = 860, 220, 160, 64, 28


def _time(microseconds):
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds / 1_000_000:.3g} s"


def _found(results):
    """Label, p50 and p99 (or None and why), ours."""
    for label, path, ours in SYSTEMS:
        try:
            figure = results.at(*path)
            yield label, figure["p50_us"], figure["p99_us"], "", ours
        except NotRun:
            yield label, None, None, "not measured", ours
        except Absent as reason:
            yield label, None, None, " ".join(str(reason).split())[:70], ours


def svg(topics):
    systems = list(_found(Results(topics)))
    known = [value for _, p50, p99, _, _ in systems if p50 for value in (p50, p99)] or [10, 1000]
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    high = max(high, low + 1)
    bottom = TOP + ROW * len(systems)

    def x(value):
        share = (math.log10(value) - low) / (high - low)
        return LEFT + max(0.0, share) * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 48}" role="img" '
        f'aria-label="Time from request to first byte of the answer, by system">',
        f"<style>{STYLE}</style>",
        '<text class="title" x="12" y="26">From an event to the first byte of its answer</text>',
        '<text x="12" y="46">bar: median; tick: p99; less is better</text>',
    ]
    for power in range(low, high + 1):
        at = x(10 ** power)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 6}" y2="{bottom}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{_time(10 ** power)}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{bottom + 38}" text-anchor="end">time, log scale</text>')
    for index, (label, p50, p99, why, ours) in enumerate(systems):
        y = TOP + ROW * index
        parts.append(f'<text x="{LEFT - 10}" y="{y + 16}" text-anchor="end">{escape(label)}</text>')
        if p50 is None:
            parts.append(f'<text class="none" x="{LEFT + 6}" y="{y + 16}">{escape(why)}</text>')
            continue
        width = max(2.0, x(p50) - LEFT)
        kind = "ours" if ours else "other"
        parts.append(f'<rect class="{kind}" x="{LEFT}" y="{y + 3}" width="{width:.1f}" height="{ROW - 10}" rx="2"/>')
        parts.append(f'<line class="tail" x1="{x(p99):.1f}" x2="{x(p99):.1f}" y1="{y + 5}" y2="{y + ROW - 9}"/>')
        parts.append(f'<text class="value" x="{max(LEFT + width, x(p99)) + 8:.1f}" y="{y + 16}">'
                     f'{_time(p50)}, p99 {_time(p99)}</text>')
    return "\n".join(parts + ["</svg>"]) + "\n"


def main():
    Path(sys.argv[2]).write_text(svg(json.loads(Path(sys.argv[1]).read_text())["topics"]))


if __name__ == "__main__":
    main()
