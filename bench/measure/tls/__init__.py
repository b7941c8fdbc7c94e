"""What TLS costs: the same load on two stacks, one in clear and one with all of its connections encrypted and verified."""
from harness import figures, load, pgbench
from harness.report import Row
from harness.rounds import Failure, alternate
from harness.stack import Stack
from measure.sql.pgbench import cpu, microseconds, tps
from measure.sql.side_by_side import ratio, shown

ROWS = ("query", "connect", "acquire")

CLEAR, TLS = "in clear", "TLS"
TENANT, CALLERS = "pgb", 64


def run(report, settings, rows):
    with Stack("config/one-tenant.yaml", 300) as clear, Stack("config/one-tenant.yaml", 300, tls=True) as encrypted:
        stacks = {CLEAR: clear, TLS: encrypted}
        for stack in stacks.values():
            stack.create_tenants([TENANT])
            stack.init_pgbench(TENANT, settings.scale)
        measures = {"query": queries, "connect": connections, "acquire": leases}
        for row in rows:
            try:
                measures[row](report, settings, stacks)
            except Failure as failure:
                report.failed(row, failure)


def sql(settings, stacks, clients, options):
    dsns = {CLEAR: stacks[CLEAR].lease(TENANT, "core"),
            TLS: stacks[TLS].verified(stacks[TLS].lease(TENANT, "core"))}

    def side(name):
        stack = stacks[name]
        return lambda: pgbench.run(stack, dsns[name], clients, settings.seconds, options, stack.gateway_pid())

    return alternate(settings.rounds, {name: side(name) for name in stacks})


def add(report, what, sides, figure, text):
    report.add(Row(what, shown(sides[TLS], figure, text), direct=f"{CLEAR}: {shown(sides[CLEAR], figure, text)}",
                   ratio=ratio(sides, figure, TLS, CLEAR)))


def queries(report, settings, stacks):
    for clients in settings.clients:
        sides = sql(settings, stacks, clients, ["-S", "-M", "prepared"])
        what = f"pgbench -S prepared over TLS, {clients} client{'s' if clients > 1 else ''}"
        add(report, f"{what}: tps", sides, tps, figures.count)
        add(report, f"{what}: gateway CPU per transaction", sides, cpu, microseconds)


def connections(report, settings, stacks):
    sides = sql(settings, stacks, 8, ["-S", "-C"])
    add(report, "pgbench -S -C over TLS, 8 clients: tps", sides, tps, figures.count)
    add(report, "pgbench -S -C over TLS, 8 clients: gateway CPU per transaction", sides, cpu, microseconds)


def leases(report, settings, stacks):
    def calls(stack, *arguments):
        return lambda: load.run(stack, "leasehold-bench-leases", "acquire", "--gateway", stack.env["LEASEHOLD_GATEWAY"],
                                "--callers", str(CALLERS), "--seconds", str(settings.seconds), "--tenant", TENANT,
                                "--service", "core", *arguments, timeout=settings.seconds + 30)

    env = stacks[TLS].env
    sides = alternate(settings.rounds, {
        CLEAR: calls(stacks[CLEAR]),
        TLS: calls(stacks[TLS], "--ca", env["LEASEHOLD_CA"], "--cert", env["LEASEHOLD_CERT"], "--key",
                   env["LEASEHOLD_KEY"]),
    })

    def rate(side):
        return figures.median([outcome["req_per_s"] for outcome in side])

    add(report, f"AcquireLease over mutual TLS, {CALLERS} callers", sides, rate, lambda value: f"{figures.count(value)}/s")
