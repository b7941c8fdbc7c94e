"""pgbench -S on one tenant database, three ways."""
from harness import figures
from harness.report import Bound, Row
from measure.sql.side_by_side import SIDES, ratio, shown


def tps(side):
    return figures.median([outcome.tps for outcome in side])


def p99(side):
    return figures.median([outcome.p99_ms for outcome in side])


def cpu(side):
    """Over all rounds: the kernel counts in steps of 10 ms."""
    return sum(outcome.cpu_us * outcome.transactions for outcome in side) / sum(outcome.transactions for outcome in side)


def microseconds(value):
    return f"{value:.1f} µs" if value else ""


def rows(report, what, sides, tps_must, tps_aim):
    def row(measure, figure, text, must, aim, bar=""):
        direct, peer, ours = (shown(sides[name], figure, text, why=bool(bar)) for name in SIDES)
        report.add(Row(f"{what}: {measure}", ours, direct, peer, ratio(sides, figure), must, aim, bar))

    row("tps", tps, figures.count, Bound(least=tps_must), Bound(least=tps_aim), bar=what)
    row("p99 latency", p99, figures.milliseconds, Bound(most=1.0), None)
    row("proxy CPU per transaction", cpu, microseconds, None, Bound(most=0.8))


def queries(report, settings, side):
    for mode in settings.modes:
        for clients in settings.clients:
            sides = side.pgbench(clients, ["-S", "-M", mode])
            rows(report, f"pgbench -S {mode}, {clients} client{'s' if clients > 1 else ''}", sides, 1.0, 1.25)


def connections(report, _, side):
    clients = 8
    sides = side.pgbench(clients, ["-S", "-C"])
    rows(report, f"pgbench -S -C, {clients} clients", sides, 1.0, 1.5)
    report.note("-C: pgbench (libpq) stretches the password anew for each connection, 4,096 rounds on all three sides, "
                "in cores that it shares with the proxies.")
