"""One tenant floods from 200 clients; what does another's client wait, with the flood and without?"""
from harness import figures, pgbench
from harness.report import Bound, Row
from harness.rounds import Failure, alternate
from measure.sql.side_by_side import NEIGHBOUR, TENANT

FLOOD_CLIENTS, CLIENTS = 200, 8
# At a rate, as people who are not a benchmark do: flat out, the eight alone keep all cores busy, and whatever comes beside them
# makes them wait for a core.
NEIGHBOURS_LOAD = ["-S", "-R", "400"]

# Reads take a core each, so that under the first flood the neighbour waits for the machine's cores too, whatever a pool does;
# the second keeps the cores free and every server connection busy: there only the pool decides.
SLEEP = "SELECT pg_sleep(0.01);\n"


def measure(report, settings, side):
    neighbour, flooder = side.dsns(NEIGHBOUR), side.dsns(TENANT)
    script = side.stack.write("sleep.sql", SLEEP)
    floods = {"alone": None, "pgbench -S": ["-S"], "10 ms transactions": ["-f", script]}

    def p99(name, flood):
        def run():
            if flood is None:
                return pgbench.run(side.stack, neighbour[name], CLIENTS, settings.seconds, NEIGHBOURS_LOAD).p99_ms
            # Longer than it needs, so that it does not end first.
            with pgbench.Flood(side.stack, flooder[name], FLOOD_CLIENTS, settings.seconds + 30, flood):
                return pgbench.run(side.stack, neighbour[name], CLIENTS, settings.seconds, NEIGHBOURS_LOAD).p99_ms
        return run

    names = ("PgBouncer", "Leasehold")
    sides = alternate(settings.rounds,
                      {f"{name}, {what}": p99(name, flood) for what, flood in floods.items() for name in names})
    for what in list(floods)[1:]:
        (peer, _), (ours, ratio) = (cell(sides[f"{name}, alone"], sides[f"{name}, {what}"]) for name in names)
        report.add(Row(f"p99 of {CLIENTS} clients, alone → beside {FLOOD_CLIENTS} of another tenant ({what})", ours,
                       peer=peer, ratio=ratio, must=Bound(most=2.0)))
    report.note("Beside a flood: the ratio is Leasehold's own, flooded ÷ alone. PgBouncer's one login shares its "
                "max_user_connections among both databases.")


def cell(alone, flooded):
    for side in (alone, flooded):
        if isinstance(side, Failure):
            return f"failed: {side}", None
    before, after = figures.median(alone), figures.median(flooded)
    return f"{figures.milliseconds(before)} → {figures.milliseconds(after)} ({after / before:.1f} ×)", after / before
