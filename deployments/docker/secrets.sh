#!/usr/bin/env bash
# Makes the secrets of compose.yaml beside it, once: what is there already stays as it is.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p secrets
chmod 0700 secrets

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
make() { # make NAME VALUE
    [ -e "secrets/$1" ] || printf '%s\n' "$2" >"secrets/$1"
    # Compose mounts them as they are, for users of the images who are not you; the folder is yours alone.
    chmod 0444 "secrets/$1"
}

make postgres_password "$(random)"
make database_url "postgresql://runwatch:$(cat secrets/postgres_password)@postgres/runwatch"
make jwt_secret "$(random)"
make node_token "$(random)"
make admin_password "$(random)"
make grafana_password "$(random)"
make prometheus_token "none yet"
echo "Secrets are in $(pwd)/secrets"
