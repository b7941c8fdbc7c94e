"""The SQL gateway against PgBouncer; each row's conditions stand in bench/README.md."""
from harness.bouncer import PgBouncer
from harness.rounds import Failure
from harness.stack import Stack
from measure.sql import fairness, idle, leases, pgbench, policy, switch, tenants
from measure.sql.side_by_side import OneTenant

ROWS = ("pgbench", "connect", "switch", "tenants", "fairness", "idle", "leases", "policy")

ONE_TENANT_CAP, MANY_TENANTS_CAP = 50, 90


def run(report, settings, rows):
    def measure(row, what, *arguments):
        if row not in rows:
            return
        try:
            what(report, settings, *arguments)
        except Failure as failure:  # of what a row needs beforehand; the others may still have it
            report.failed(row, failure)

    if {"pgbench", "connect", "switch", "fairness", "leases", "policy"} & set(rows):
        # Room for both sides' pools and the direct connections at once: nobody's connections have to go for another's.
        with Stack("config/one-tenant.yaml", 300) as stack, PgBouncer(stack, ONE_TENANT_CAP) as bouncer:
            side = OneTenant(stack, bouncer, settings)
            measure("pgbench", pgbench.queries, side)
            measure("connect", pgbench.connections, side)
            measure("switch", switch.measure, side)
            measure("fairness", fairness.measure, side)
            measure("leases", leases.measure, side)
            measure("policy", policy.measure, side)
    if "tenants" in rows:
        with Stack("config/many-tenants.yaml", 120) as stack, PgBouncer(stack, MANY_TENANTS_CAP) as bouncer:
            measure("tenants", tenants.measure, stack, bouncer)
    if "idle" in rows:
        # Of their own: memory that earlier clients have left behind would hide what these cost.
        with Stack("config/one-tenant.yaml", 300) as stack, PgBouncer(stack, ONE_TENANT_CAP) as bouncer:
            measure("idle", idle.measure, stack, bouncer)
