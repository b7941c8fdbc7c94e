"""What ./dev bench measures: each a module with ROWS (names that can be asked for alone) and run(report, settings, rows)."""
from measure import audit, migrations, provisioning, sql, tls

MEASURES = {"audit": audit, "migrations": migrations, "provisioning": provisioning, "sql": sql, "tls": tls}
