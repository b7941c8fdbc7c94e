"""Tenants that come: how soon they are ready, against raw CREATE DATABASE; each row's conditions stand in bench/README.md."""
from harness.rounds import Failure
from measure.provisioning import burst, fleet, latency
from measure.provisioning.field import Field

ROWS = ("latency", "burst", "fleet")


def run(report, settings, rows):
    def measure(row, what, config, **more):
        if row not in rows:
            return
        try:
            with Field(f"config/{config}.yaml", **more) as field:  # each its own, so that no row finds what another left
                what(report, settings, field)
        except Failure as failure:
            report.failed(row, failure)

    measure("latency", latency.measure, "provisioning")
    measure("burst", burst.from_stock, "provisioning-stock")
    measure("burst", burst.without_spares, "provisioning-none", spares=False)
    # 500 tenants do not fit into a /tmp in memory.
    measure("fleet", fleet.measure, "provisioning-fleet", folder="/var/tmp")
