"""How long and how much to measure, from the environment."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Settings:
    rounds: int = 5
    seconds: float = 3
    clients: tuple = (1, 16, 64)
    modes: tuple = ("simple", "prepared")
    tenants: int = 300
    tenant_clients: tuple = (32, 200)
    idle_clients: int = 10000
    scale: int = 10
    provisioning_rounds: int = 100
    burst: int = 100
    burst_rounds: int = 2
    fleet: tuple = (50, 200, 500)
    fleet_rounds: int = 40
    migrated: int = 300
    counted: int = 500
    write: str = "auto"

    @classmethod
    def of(cls, env):
        """ValueError says which variable is wrong."""
        default = cls()

        def number(name, kind, fallback, least):
            text = env.get(name, "")
            if not text:
                return fallback
            try:
                value = kind(text)
            except ValueError:
                value = None
            if value is None or value < least:
                raise ValueError(f"{name} is '{text}'; allowed: a number, at least {least}")
            return value

        def numbers(name, fallback):
            try:
                return tuple(int(word) for word in env.get(name, "").split()) or fallback
            except ValueError:
                raise ValueError(f"{name} is '{env[name]}'; allowed: numbers") from None

        modes = tuple(env.get("BENCH_MODES", "").split()) or default.modes
        if not set(modes) <= {"simple", "extended", "prepared"}:
            raise ValueError(f"BENCH_MODES is '{env['BENCH_MODES']}'; allowed: simple, extended, prepared")
        write = env.get("BENCH_WRITE", "auto")
        if write not in ("auto", "yes", "no"):
            raise ValueError(f"BENCH_WRITE is '{write}'; allowed: auto, yes, no")
        return cls(
            rounds=number("BENCH_ROUNDS", int, default.rounds, 1),
            seconds=number("BENCH_SECONDS", float, default.seconds, 0.5),
            clients=numbers("BENCH_CLIENTS", default.clients),
            modes=modes,
            tenants=number("BENCH_TENANTS", int, default.tenants, 2),
            tenant_clients=numbers("BENCH_TENANT_CLIENTS", default.tenant_clients),
            idle_clients=number("BENCH_IDLE_CLIENTS", int, default.idle_clients, 1),
            scale=number("BENCH_SCALE", int, default.scale, 1),
            provisioning_rounds=number("BENCH_PROVISIONING_ROUNDS", int, default.provisioning_rounds, 1),
            burst=number("BENCH_BURST", int, default.burst, 1),
            burst_rounds=number("BENCH_BURST_ROUNDS", int, default.burst_rounds, 1),
            fleet=numbers("BENCH_FLEET", default.fleet),
            fleet_rounds=number("BENCH_FLEET_ROUNDS", int, default.fleet_rounds, 1),
            migrated=number("BENCH_MIGRATED", int, default.migrated, 3),
            counted=number("BENCH_COUNTED", int, default.counted, 3),
            write=write,
        )

    def representative(self):
        """Whether a run with these may stand in RESULTS.md."""
        ours = dataclasses.asdict(self)
        for name, value in dataclasses.asdict(Settings()).items():
            if name in ("rounds", "seconds", "provisioning_rounds", "burst_rounds", "fleet_rounds"):
                if ours[name] < value:
                    return False
            elif name != "write" and ours[name] != value:
                return False
        return True
