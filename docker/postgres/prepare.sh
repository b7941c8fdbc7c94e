# Sourced by PostgreSQL's image when it makes a new instance: the login of a provisioner, or of gateways, and its database.
# shellcheck shell=bash disable=SC2154 # DATABASE and RIGHTS are variables of the container
psql -v ON_ERROR_STOP=1 --username postgres --dbname postgres -v database="$DATABASE" <<SQL
\set password \`cat /run/secrets/login\`
CREATE ROLE leasehold LOGIN NOSUPERUSER ${RIGHTS-} PASSWORD :'password';
CREATE DATABASE :"database" OWNER leasehold;
SQL
