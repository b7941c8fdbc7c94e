"""The throughput ratios of a report as an SVG bar chart."""
from xml.sax.saxutils import escape

WIDTH, LABELS, BAR, GAP, TOP, BOTTOM = 840, 300, 18, 8, 44, 34

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px }
  .axis { fill: #59636e; font-size: 12px }
  .peer { stroke: #59636e; stroke-width: 1.5 }
  .must { stroke: #1f2328; stroke-width: 2 }
  .grid { stroke: #d1d9e0 }
  .ahead { fill: #2da44e } .behind { fill: #cf7b1f }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .axis { fill: #9198a1 } .peer { stroke: #9198a1 } .must { stroke: #e6edf3 } .grid { stroke: #3d444d }
  }
"""


def step(most):
    for candidate in (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100):
        if most / candidate <= 8:
            return candidate
    return most / 8


def svg(rows, title):
    """`rows`: those with a label are drawn, in their order."""
    drawn = [row for row in rows if row.bar]
    most = max([1.25] + [row.ratio or 0 for row in drawn] + [row.must.least or 0 for row in drawn if row.must]) * 1.05
    height = TOP + len(drawn) * (BAR + GAP) + BOTTOM
    floor = height - BOTTOM + 4

    def x(ratio):
        return LABELS + ratio / most * (WIDTH - LABELS - 60)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)}</text>',
    ]
    tick = step(most)
    for i in range(int(most / tick) + 1):
        at = x(i * tick)
        out.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 8}" y2="{floor}"/>')
        out.append(f'<text class="axis" x="{at:.1f}" y="{floor + 16}" text-anchor="middle">{i * tick:g} ×</text>')
    for index, row in enumerate(drawn):
        top = TOP + index * (BAR + GAP)
        kind = "ahead" if row.must is None or row.must.met(row.ratio) else "behind"
        out.append(f'<text x="{LABELS - 10}" y="{top + 13.5}" text-anchor="end">{escape(row.bar)}</text>')
        if row.ratio is not None:
            width = x(row.ratio) - LABELS
            out.append(f'<rect class="{kind}" x="{LABELS}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2"/>')
        value = "failed" if row.ratio is None else f"{row.ratio:.2f}"
        out.append(f'<text x="{x(row.ratio or 0) + 6:.1f}" y="{top + 13.5}">{value}</text>')
        if row.must and row.must.least:
            at = x(row.must.least)
            out.append(f'<line class="must" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 2}" y2="{top + BAR + 2}"/>')
    out.append(f'<line class="peer" x1="{x(1):.1f}" x2="{x(1):.1f}" y1="{TOP - 8}" y2="{floor}" stroke-dasharray="4 3"/>')
    out.append("</svg>")
    return "\n".join(out) + "\n"
