"""What ./dev bench measures: each a module with ROWS (names that can be asked for alone) and run(report, settings, rows)."""
from measure import provisioning, sql

MEASURES = {"provisioning": provisioning, "sql": sql}
