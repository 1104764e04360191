#!/usr/bin/env bash
# Install the Debian packages that the end-to-end tests use, if they are missing: PostgreSQL's server, of which
# tools/private_postgres.py starts clusters of its own, and Chromium, which opens Airflow's pages.
set -euo pipefail
packages=()
command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)
command -v chromium >/dev/null || packages+=(chromium)
[ "${#packages[@]}" -gt 0 ] || exit 0
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" apt-get install -q -y --no-install-recommends "${packages[@]}"
