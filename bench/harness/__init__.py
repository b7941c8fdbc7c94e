"""What the measures share: stacks, PgBouncer, pgbench, figures, tables."""
