"""A measure's rows: each printed when it is known, all as a Markdown table at the end."""
import dataclasses
import os
import typing

HEADINGS = ("measure", "direct", "PgBouncer", "Leasehold", "ratio", "must", "aim")


@dataclasses.dataclass(frozen=True)
class Bound:
    """What a figure is held against: `least`, `most`, or a text with its own verdict."""

    least: typing.Optional[float] = None
    most: typing.Optional[float] = None
    text: str = ""
    holds: bool = False

    def met(self, ratio):
        if self.text:
            return self.holds
        if ratio is None:
            return False
        return ratio >= self.least if self.least is not None else ratio <= self.most

    def cell(self, ratio):
        bound = self.text or (f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}")
        return f"{bound}: {'met' if self.met(ratio) else 'missed'}"


@dataclasses.dataclass(frozen=True)
class Row:
    measure: str
    ours: str
    direct: str = ""
    peer: str = ""
    ratio: typing.Optional[float] = None
    must: typing.Optional[Bound] = None
    aim: typing.Optional[Bound] = None
    bar: str = ""  # its label in the plot of throughput ratios

    def cells(self):
        return (
            self.measure,
            self.direct or "–",
            self.peer or "–",
            self.ours,
            "–" if self.ratio is None else f"{self.ratio:.2f}",
            self.must.cell(self.ratio) if self.must else "",
            self.aim.cell(self.ratio) if self.aim else "",
        )


def line(cells):
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


class Report:
    def __init__(self, name):
        self.name = name
        self.load_before = os.getloadavg()[0]  # what others did on this machine
        self.rows = []
        self.notes = []

    def add(self, row):
        if not self.rows:
            print(line(HEADINGS))
        self.rows.append(row)
        print(line(row.cells()), flush=True)

    def failed(self, what, failure):
        """A row without figures, which counts as missed."""
        self.add(Row(what, ours=f"failed: {failure}", must=Bound(text="measured")))

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def markdown(self):
        musts = [row for row in self.rows if row.must]
        met = sum(row.must.met(row.ratio) for row in musts)
        lines = [line(HEADINGS), line(["---"] + ["--:"] * 4 + ["---"] * 2)]
        lines += [line(row.cells()) for row in self.rows]
        if musts:
            lines += ["", f"{met} of {len(musts)} musts are met."]
        if self.notes:
            lines += [""] + [f"- {text}" for text in self.notes]
        return "\n".join(lines) + "\n"
