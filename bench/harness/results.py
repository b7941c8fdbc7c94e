"""bench/RESULTS.md: a section for each measure and day, the newest first; and the plot."""
import os
import platform
import subprocess
import time

from harness import plot

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

INTRODUCTION = """# Results

Written by `./dev bench`; how it measures is in [README.md](README.md). Ratios are what matters: the times behind them belong to
one machine on one day.
"""


def merge(text, heading, section):
    """`text` with the section under `heading` replaced, or put before all others."""
    parts = (text or INTRODUCTION).split("\n## ")
    sections = [part for part in parts[1:] if part.split("\n", 1)[0] != heading]
    sections.insert(0, f"{heading}\n\n{section}")
    return "\n## ".join([parts[0].rstrip("\n") + "\n"] + [part.rstrip("\n") + "\n" for part in sections])


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=BENCH, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def commit():
    git = ("git", "-c", "safe.directory=*")
    name = output(*git, "rev-parse", "--short", "HEAD")
    if not name:
        return "unknown commit"
    changed = output(*git, "status", "--porcelain", "--untracked-files=no")
    return f"commit {name}" + (" with changes" if changed else "")


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    return f"{os.cpu_count()} cores ({model}), {platform.system()} {kernel}"


def versions():
    bouncer = (output("pgbouncer", "--version").splitlines() or ["PgBouncer ?"])[0]
    postgres = output("postgres", "--version").replace("postgres (PostgreSQL)", "PostgreSQL").split(" (")[0]
    return f"{postgres}, {bouncer}"


def write(report, settings, arguments):
    heading = f"{time.strftime('%Y-%m-%d')}: {report.name}"
    variables = [f"{name}='{value}'" for name, value in sorted(os.environ.items())
                 if name.startswith("BENCH_") and name != "BENCH_WRITE"]
    command = " ".join(variables + ["./dev bench"] + arguments)
    about = (
        f"`{command}` at {commit()}, on {machine()}, load {report.load_before:.1f} before; {versions()}. "
        f"Medians of {settings.rounds} alternating rounds of {settings.seconds:g} s.\n"
    )
    path = os.path.join(BENCH, "RESULTS.md")
    before = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            before = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(merge(before, heading, about + "\n" + report.markdown()))
    print("written: bench/RESULTS.md")
    if any(row.bar for row in report.rows):
        with open(os.path.join(BENCH, f"{report.name}.svg"), "w", encoding="utf-8") as file:
            file.write(plot.svg(report.rows, "Throughput, Leasehold ÷ PgBouncer (dashed: equal; mark: what it must reach)"))
        print(f"written: bench/{report.name}.svg")
