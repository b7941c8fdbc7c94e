"""Figures: medians, quantiles, and what /proc tells of a process."""
import math
import os
import statistics

from harness.rounds import Failure

TICKS = os.sysconf("SC_CLK_TCK")


def median(values):
    return statistics.median(values)


def quantile(values, share):
    """Nearest rank: the smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def about_process(pid, what):
    try:
        with open(f"/proc/{pid}/{what}", encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        raise Failure("the proxy has ended") from None


def cpu_seconds(pid):
    """User and system time of a process with all its threads, also those that have ended. In steps of 10 ms."""
    fields = about_process(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_kib(pid):
    for line in about_process(pid, "status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise Failure("the proxy has ended")


def count(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def milliseconds(value):
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms"
