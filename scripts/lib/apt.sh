#!/usr/bin/env bash
# usage: apt.sh PACKAGE...     (as root)
#
# Installs Debian packages of servers without what usually comes along: no service is started, none will be at the next
# boot, and PostgreSQL's `main` cluster is not made. A service that was there before is left as it is.

set -euo pipefail

readonly policy=/usr/sbin/policy-rc.d
readonly clusters=/etc/postgresql-common/createcluster.d
readonly mark='orderflow: scripts/stack is installing packages'

# Held on a folder that exists anyway, so that two checkouts do not take each other's policy away, and no file stays.
exec 9</var/lib/dpkg
flock 9

# Also runs first, for what a killed installation has left.
restore() {
    if grep -qsF "$mark" "$policy"; then rm -f "$policy"; fi
    if [[ -e $clusters/orderflow.conf ]]; then
        rm -f "$clusters/orderflow.conf"
        rmdir --ignore-fail-on-non-empty "$clusters"
    fi
}

units() {
    local unit
    for unit in postgresql.service rabbitmq-server.service epmd.service epmd.socket; do
        if [[ -e /lib/systemd/system/$unit ]]; then echo "$unit"; fi
    done
}

disable() {
    local script=${1%.service}
    if type -P systemctl >/dev/null; then systemctl --quiet disable "$1" || true; fi
    if [[ -e /etc/init.d/$script ]]; then update-rc.d "$script" disable || true; fi
}

# apt's pages of progress are shown only when it fails.
apt() {
    local output
    output=$(DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" 2>&1 9<&-) || {
        tail -n 30 <<<"$output"
        return 1
    }
}

trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
restore

# One that is there already is the owner's word on services; ours would only repeat or override it.
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$policy"
    chmod 0755 "$policy"
fi
mkdir -p "$clusters"
echo 'create_main_cluster = off' >"$clusters/orderflow.conf"

before=$(units)
# The lists may be missing, as in most images, or name files that the archive has replaced since.
apt --no-install-recommends --yes install "$@" >/dev/null || {
    apt update || true # a broken list of somebody else's archive need not matter
    apt --no-install-recommends --yes install "$@"
}
while read -r unit; do
    if [[ -n $unit && $'\n'$before$'\n' != *$'\n'$unit$'\n'* ]]; then disable "$unit"; fi
done < <(units)
