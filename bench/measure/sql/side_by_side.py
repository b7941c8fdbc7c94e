"""One tenant with pgbench's tables, reached directly, through PgBouncer and through the gateway."""
from harness import pgbench
from harness.rounds import Failure, alternate, progress

TENANT, NEIGHBOUR = "pgb", "neighbour"

SIDES = ("direct", "PgBouncer", "Leasehold")


class OneTenant:
    def __init__(self, stack, bouncer, settings):
        self.stack = stack
        self.bouncer = bouncer
        self._settings = settings
        self._prepared = set()

    def dsns(self, tenant=TENANT):
        """Side → connection string."""
        stack = self.stack
        database = stack.database_of(tenant)
        if tenant not in self._prepared:
            progress(f"making tenant {tenant}, pgbench scale {self._settings.scale}")
            stack.create_tenants([tenant])
            stack.init_pgbench(tenant, self._settings.scale)
            self._prepared.add(tenant)
        return {
            "direct": stack.dsn_of_peer(stack.port, database),
            "PgBouncer": self.bouncer.dsn(database),
            "Leasehold": stack.lease(tenant, "core"),
        }

    def proxies(self):
        return {"direct": None, "PgBouncer": self.bouncer.pid, "Leasehold": self.stack.gateway_pid()}

    def pgbench(self, clients, options):
        """Alternating rounds of pgbench: side → outcomes or Failure."""
        dsns, proxies = self.dsns(), self.proxies()

        def side(name):
            return lambda: pgbench.run(self.stack, dsns[name], clients, self._settings.seconds, options, proxies[name])

        return alternate(self._settings.rounds, {name: side(name) for name in SIDES})


def shown(side, figure, text, why=True):
    """A side's cell: the figure as text, or why there is none."""
    if isinstance(side, Failure):
        return f"failed: {side}" if why else "failed"
    return text(figure(side))


def ratio(sides, figure, ours="Leasehold", peer="PgBouncer"):
    if isinstance(sides[ours], Failure) or isinstance(sides[peer], Failure):
        return None
    return figure(sides[ours]) / figure(sides[peer]) if figure(sides[peer]) else None
