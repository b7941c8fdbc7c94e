"""Moving a session to another tenant: what it takes of the gateway, system calls and all."""
from harness import figures, pgbench
from harness.report import Bound, Row
from harness.rounds import Failure, alternate
from measure.sql.side_by_side import NEIGHBOUR, TENANT

CLIENTS = 16  # with one, the loop looks for work in vain on its time
MOST_MICROSECONDS = 10
FORMS = {
    "SET": ("simple", [f"SET leasehold.tenant = '{tenant}';" for tenant in (TENANT, NEIGHBOUR)]),
    "set_config, bound": ("prepared", [f"SELECT set_config('leasehold.tenant', :{name}, false);" for name in "ab"]),
}


def measure(report, settings, side):
    stack = side.stack
    for tenant in (TENANT, NEIGHBOUR):
        side.dsns(tenant)
    dsn = stack.lease("--connection", "central", "core", "--switch-to", "*")

    def moves(form):
        mode, statements = FORMS[form]
        script = stack.write(f"switch-{mode}.sql", "\n".join(statements) + "\n")
        return lambda: pgbench.run(stack, dsn, CLIENTS, settings.seconds,
                                   ["-M", mode, "-f", script, "-D", f"a={TENANT}", "-D", f"b={NEIGHBOUR}"],
                                   stack.gateway_pid())

    for form, rounds in alternate(settings.rounds, {form: moves(form) for form in FORMS}).items():
        if isinstance(rounds, Failure):
            report.failed(f"switch by {form}", rounds)
            continue
        moved = 2 * sum(outcome.transactions for outcome in rounds)
        cost = sum(outcome.cpu_us * outcome.transactions for outcome in rounds) / moved
        rate = figures.median([2 * outcome.tps for outcome in rounds])
        report.add(Row(f"switch by {form}: gateway CPU, system calls too",
                       ours=f"{cost:.1f} µs ({figures.count(rate)}/s, {CLIENTS} clients)",
                       must=Bound(text=f"≤ {MOST_MICROSECONDS} µs", holds=cost <= MOST_MICROSECONDS)))
