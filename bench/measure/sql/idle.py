"""What an idle client costs in memory: the growth of the proxy's resident set, after log-in, and after one query each."""
import time

from harness import figures, load
from harness.report import Bound, Row
from harness.rounds import Failure, progress

TENANT = "idle"
PATIENCE = 60


def measure(report, settings, stack, bouncer):
    stack.create_tenants([TENANT])
    dsns = {
        "PgBouncer": (bouncer.dsn(stack.database_of(TENANT)), bouncer.pid),
        "Leasehold": (stack.lease(TENANT, "core"), stack.gateway_pid()),
    }
    figures_of = {name: grow(stack, settings.idle_clients, dsn, pid) for name, (dsn, pid) in dsns.items()}
    for step, what in enumerate(("after log-in", "after one query each")):
        ours, peer = figures_of["Leasehold"][step], figures_of["PgBouncer"][step]
        fits = not isinstance(ours, Failure) and ours <= 8
        report.add(Row(f"{settings.idle_clients:,} idle clients, {what}: memory of the proxy per client", cell(ours),
                       peer=cell(peer), must=Bound(text="≤ 8 KiB", holds=fits)))


def cell(side):
    return f"failed: {side}" if isinstance(side, Failure) else f"{side:.1f} KiB"


def settled_kib(pid):
    time.sleep(1)  # what the last log-ins needed is given back
    return figures.resident_kib(pid)


def grow(stack, clients, dsn, pid):
    """KiB per client after each of the two steps; Failure where not all of them came through."""
    progress(f"{clients:,} idle clients")
    results = []
    before = settled_kib(pid)
    with load.Idle(stack.write("idle", dsn + "\n"), clients, PATIENCE) as idle:
        for key, step in (("connected", idle.connected), ("answered", idle.answered)):
            try:
                answer = step()
                if answer[key] < clients:
                    errors = ", ".join(f"{number:,} × {code}" for code, number in answer["errors"].items())
                    raise Failure(f"{answer[key]:,} of {clients:,} {key}; {errors}")
                results.append((settled_kib(pid) - before) / clients)
            except Failure as failure:
                progress(f"  {failure}")
                results += [failure, Failure("see above")][: 2 - len(results)]
                break
    return results
