# In place of the entrypoint of PostgreSQL's image, which it goes on with: the server takes no key that others can read, and the
# one of the secret belongs to somebody of the machine's.
# shellcheck shell=bash
set -e
install -d -o postgres -g postgres -m 2775 /var/run/postgresql
install -o postgres -g postgres -m 600 /run/secrets/postgres.key /var/run/postgresql/server.key
exec docker-entrypoint.sh "$@"
