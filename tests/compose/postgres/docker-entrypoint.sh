#!/usr/bin/env bash
# As root: owns the data folder and goes on as user postgres, who makes an instance where there is none and runs the command.
set -euo pipefail
if [ "$(id -u)" = 0 ]; then
  install -d -o postgres -g postgres -m 700 "$PGDATA"
  install -d -o postgres -g postgres -m 2775 /var/run/postgresql
  install -o postgres -m 400 "$POSTGRES_PASSWORD_FILE" /var/run/postgresql/superuser
  exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username=postgres --pwfile=/var/run/postgresql/superuser --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  pg_ctl -w start -o "-c listen_addresses=''"
  for script in /docker-entrypoint-initdb.d/*.sh; do
    # shellcheck source=/dev/null
    [ ! -e "$script" ] || . "$script"
  done
  pg_ctl -w -m fast stop
fi
exec "$@"
