"""Alternating rounds, so that what the machine does meanwhile meets all sides alike."""
import sys
import time


class Failure(Exception):
    """A side could not be measured; the text says why."""


def progress(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def alternate(rounds, sides):
    """Runs each of `sides` (name → function) once a round: name → its results. Failure in place of the list for a side
    that failed in most rounds; after two failures in a row it is left alone, since a failure may take as long as a
    time-out."""
    results = {name: [] for name in sides}
    failures = {name: [] for name in sides}
    in_a_row = dict.fromkeys(sides, 0)
    for _ in range(rounds):
        for name, measure in sides.items():
            if in_a_row[name] >= 2:
                continue
            try:
                results[name].append(measure())
                in_a_row[name] = 0
            except Failure as failure:
                progress(f"  {name} failed: {failure}")
                failures[name].append(failure)
                in_a_row[name] += 1
    return {
        name: failures[name][0] if len(results[name]) <= len(failures[name]) or in_a_row[name] >= 2 else results[name]
        for name in sides
    }
