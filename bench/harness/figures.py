"""Figures: medians, quantiles, and what /proc tells of a process."""
import math
import os
import statistics

TICKS = os.sysconf("SC_CLK_TCK")


def median(values):
    return statistics.median(values)


def quantile(values, share):
    """Nearest rank: the smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def cpu_seconds(pid):
    """User and system time of a process with all its threads, also those that have ended. In steps of 10 ms."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise RuntimeError(f"process {pid} has no VmRSS")


def count(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def milliseconds(value):
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms"
