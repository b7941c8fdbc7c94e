"""What the audit trail costs: the same load on two stacks, of which one records."""
import tempfile

from harness import figures, load, pgbench
from harness.report import Bound, Row
from harness.rounds import Failure, alternate
from harness.stack import Stack, derive
from measure.sql.pgbench import cpu, microseconds, tps
from measure.sql.side_by_side import ratio, shown

ROWS = ("query", "move", "acquire")

OFF, ON = "off", "on"
TENANT, NEIGHBOUR, CLIENTS, CALLERS = "pgb", "neighbour", 16, 64
SHORTER = 3
MOST = Bound(least=0.95)


def run(report, settings, rows):
    with tempfile.TemporaryDirectory(prefix="leasehold-bench-audit.") as folder:
        silent = derive("one-tenant.yaml", folder, lambda text: text + "audit:\n  record: \"off\"\n")
        with Stack(silent, 300) as off, Stack("config/one-tenant.yaml", 300) as on:
            stacks = {OFF: off, ON: on}
            for stack in stacks.values():
                stack.create_tenants([TENANT, NEIGHBOUR])
            measures = {"query": queries, "move": moves, "acquire": leases}
            for row in rows:
                try:
                    measures[row](report, settings, stacks)
                except Failure as failure:
                    report.failed(row, failure)


def scripted(settings, stacks, name, statements):
    """`statements`: of a session that may use all tenants."""
    def side(stack):
        dsn = stack.lease("--connection", "central", "core", "--switch-to", "*")
        script = stack.write(f"{name}.sql", "\n".join(statements) + "\n")
        return lambda: pgbench.run(stack, dsn, CLIENTS, settings.seconds, ["-f", script], stack.gateway_pid())

    return alternate(settings.rounds, {name: side(stack) for name, stack in stacks.items()})


def add(report, what, sides, figure, text, **bounds):
    report.add(Row(what, shown(sides[ON], figure, text), direct=f"off: {shown(sides[OFF], figure, text)}",
                   ratio=ratio(sides, figure, ON, OFF), **bounds))


def queries(report, settings, stacks):
    """As an application works: it moves to the tenant of a request and asks something."""
    statements = [f"SET leasehold.tenant = '{tenant}';\nSELECT count(*) FROM pg_catalog.pg_class;"
                  for tenant in (TENANT, NEIGHBOUR)]
    sides = scripted(settings, stacks, "queries", statements)
    what = f"a move and a query each, {CLIENTS} clients"
    add(report, f"{what}: rate", sides, tps, figures.count, must=MOST)
    add(report, f"{what}: gateway CPU for two of each", sides, cpu, microseconds)


def moves(report, settings, stacks):
    """Nothing but events of the trail, more than it can take."""
    sides = scripted(settings, stacks, "moves", [f"SET leasehold.tenant = '{t}';" for t in (TENANT, NEIGHBOUR)])
    add(report, f"nothing but moves, {CLIENTS} clients: gateway CPU for two", sides, cpu, microseconds)


def leases(report, settings, stacks):
    """Many short rounds: single ones differ by more than what is looked for."""
    seconds = max(1, settings.seconds // SHORTER)

    def calls(stack):
        return lambda: load.run(stack, "leasehold-bench-leases", "acquire", "--gateway", stack.env["LEASEHOLD_GATEWAY"],
                                "--callers", str(CALLERS), "--seconds", str(seconds), "--tenant", TENANT,
                                "--service", "core", timeout=seconds + 30)

    sides = alternate(SHORTER * settings.rounds, {name: calls(stack) for name, stack in stacks.items()})

    def rate(side):
        return figures.median([outcome["req_per_s"] for outcome in side])

    report.note(f"AcquireLease: {SHORTER * settings.rounds} rounds of {seconds:g} s.")
    add(report, f"AcquireLease, {CALLERS} callers: rate", sides, rate, lambda value: f"{figures.count(value)}/s", must=MOST)
