"""Many tenant databases under one cap, one query per move: SET leasehold.tenant, or a connection for each tenant."""
from harness import figures, load
from harness.report import Bound, Row
from harness.rounds import alternate, progress
from harness.stack import in_parallel
from measure.sql.side_by_side import ratio, shown

PEER, BY_SET, BY_CONNECTION = "PgBouncer, reconnecting", "Leasehold, SET", "Leasehold, reconnecting"


def prepare(settings, stack, bouncer):
    """Files for the load generator: how each side reaches each tenant."""
    tenants = [f"t{number:04d}" for number in range(settings.tenants)]
    progress(f"making {len(tenants)} tenants")
    stack.create_tenants(tenants)
    progress("taking their leases")
    leases = dict(zip(tenants, in_parallel(lambda tenant: stack.lease(tenant, "core"), tenants)))
    peers = {tenant: bouncer.dsn(stack.database_of(tenant)) for tenant in tenants}
    return {
        "peers": stack.write("peers", "".join(f"{tenant} {dsn}\n" for tenant, dsn in peers.items())),
        "leases": stack.write("leases", "".join(f"{tenant} {dsn}\n" for tenant, dsn in leases.items())),
        "central": stack.write("central", stack.lease("--connection", "central", "core", "--switch-to", "*") + "\n"),
    }


def median_of(key):
    return lambda side: figures.median([outcome[key] for outcome in side])


def troubles(side):
    """Errors by SQLSTATE and wrong databases, over all rounds."""
    errors, wrong = {}, 0
    for outcome in side:
        wrong += outcome["wrong_databases"]
        for code, number in outcome["errors"].items():
            errors[code] = errors.get(code, 0) + number
    named = " (" + ", ".join(f"{number:,} × {code}" for code, number in sorted(errors.items())) + ")" if errors else ""
    return sum(errors.values()), named, wrong


def measure(report, settings, stack, bouncer):
    files = prepare(settings, stack, bouncer)
    most_cpu = 0.0
    for clients in settings.tenant_clients:
        seeds = {}

        def side(name, *arguments):
            def run():
                stack.end_server_connections()
                seeds[name] = seeds.get(name, 0) + 1  # another order each round, the same for all
                return load.run(stack, "leasehold-bench-sql", "tenants", "--clients", str(clients), "--zipf", "1.0",
                                "--seconds", str(settings.seconds), "--seed", str(seeds[name]), *arguments,
                                timeout=settings.seconds + 30)
            return run

        sides = alternate(settings.rounds, {
            PEER: side(PEER, "--tenants", files["peers"]),
            BY_SET: side(BY_SET, "--tenants", files["leases"], "--set", files["central"]),
            BY_CONNECTION: side(BY_CONNECTION, "--tenants", files["leases"]),
        })
        what = f"{settings.tenants} tenants, {clients} clients"
        add(report, f"{what}, SET", sides, BY_SET, Bound(least=3.0), Bound(least=5.0))
        add(report, f"{what}, reconnecting", sides, BY_CONNECTION, Bound(least=1.5), Bound(least=2.0))
        for outcomes in sides.values():
            if isinstance(outcomes, list):
                most_cpu = max([most_cpu] + [outcome["cpu_share"] for outcome in outcomes])
    report.note(f"{settings.tenants} tenants: PgBouncer with one login that may use all databases, "
                f"max_user_connections {bouncer.cap}, its clients reconnecting for each tenant; max_connections 120, cap "
                f"{bouncer.cap}, Zipf 1.0. The load generator keeps its SCRAM keys and took at most {most_cpu:.0%} of one "
                "core.")


def add(report, what, sides, ours, must, aim):
    def cells(figure, text):
        return {"ours": shown(sides[ours], figure, text), "peer": shown(sides[PEER], figure, text)}

    rate, p99 = median_of("req_per_s"), median_of("p99_ms")
    report.add(Row(f"{what}: req/s", **cells(rate, figures.count), ratio=ratio(sides, rate, ours, PEER), must=must,
                   aim=aim, bar=what))
    report.add(Row(f"{what}: p99", **cells(p99, figures.milliseconds), ratio=ratio(sides, p99, ours, PEER),
                   must=Bound(most=1.0)))

    def text(side):
        number, named, wrong = troubles(side)
        return f"{number:,}{named}, {wrong:,}"

    clean = isinstance(sides[ours], list) and troubles(sides[ours])[0::2] == (0, 0)
    report.add(Row(f"{what}: errors, wrong databases", **cells(lambda side: side, text),
                   must=Bound(text="0, 0", holds=clean)))
