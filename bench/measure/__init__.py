"""What ./dev bench measures: each a module with ROWS (names that can be asked for alone) and run(report, settings, rows)."""
from measure import migrations, provisioning, sql, tls

MEASURES = {"migrations": migrations, "provisioning": provisioning, "sql": sql, "tls": tls}
