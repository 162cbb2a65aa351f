# shellcheck shell=bash
# The stack's PostgreSQL: a cluster of its own from the machine's binaries, of which pg_ctlcluster knows nothing.
#
# It asks for passwords (scram) even on loopback: everyone on the machine can reach the port, and clients
# meet the handshake they will meet in production. It has no Unix socket, since nothing of ours would use one and its
# path may be 107 bytes at most, which a deep checkout exceeds.

readonly postgres_user=orderflow postgres_database=orderflow

# Sets postgres_bin.
find_postgres() {
    local version
    if [[ -e $stack/postgres/PG_VERSION ]]; then
        # A cluster runs only on the major version that made it, so a newer package must not take over.
        read -r version <"$stack/postgres/PG_VERSION"
        for postgres_bin in "/usr/lib/postgresql/$version/bin" "$(path_folder postgres)"; do
            [[ "$("$postgres_bin/postgres" --version 2>/dev/null)" != *" $version."* ]] || return 0
        done
        die "its data is PostgreSQL $version's, which is no longer installed: scripts/stack wipe $name"
    fi
    while read -r postgres_bin; do
        [[ ! -x $postgres_bin/postgres || ! -x $postgres_bin/initdb || ! -x $postgres_bin/pg_isready ]] || return 0
    done < <(
        printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV
        path_folder postgres
    )
    return 1
}

# PostgreSQL refuses to run as root. Sets as_postgres to the words that go before its commands.
choose_postgres_account() {
    as_postgres=()
    ((EUID == 0)) || return 0
    getent passwd postgres >/dev/null || die "PostgreSQL does not run as root, and there is no account postgres"
    as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)
    # A checkout below a 0700 folder (root's home, mktemp -d) is out of that account's reach. The capability lets it
    # pass; it is all that the server gets of root.
    if ! reachable "$stack"; then
        as_postgres+=(--inh-caps=+dac_override --ambient-caps=+dac_override)
        reachable "$stack" || die "the account postgres cannot reach $stack"
    fi
}

# Not `test -x`: that asks by access(2), which leaves capabilities out of account.
reachable() {
    "${as_postgres[@]}" stat "$1/." >/dev/null 2>&1
}

# Made aside and renamed when complete: what an interrupted start leaves behind is never taken for a cluster.
create_cluster() {
    local new=$stack/postgres.new
    say "creating a PostgreSQL cluster"
    rm -rf "$new"
    mkdir -m 0700 "$new"
    (umask 077 && printf '%s\n' "$password" >"$new.password")
    ((EUID != 0)) || chown postgres: "$new" "$new.password"
    # The database is made in single-user mode, so that it is part of what the rename makes visible.
    (
        cd "$stack"
        "${plain[@]}" "${as_postgres[@]}" "$postgres_bin/initdb" --pgdata="$new" --username="$postgres_user" \
            --pwfile="$new.password" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-instructions &&
            "${plain[@]}" "${as_postgres[@]}" "$postgres_bin/postgres" --single -D "$new" -c exit_on_error=on postgres \
                <<<"CREATE DATABASE $postgres_database"
    ) >"$stack/postgres.log" 2>&1 9>&- || fail postgres "the cluster could not be created"
    rm -f "$new.password"
    mv "$new" "$stack/postgres"
}

# After a crash PostgreSQL refuses to start when the pid in its lock file is in use, even by a program that got that
# number later. The file is safe to remove once nothing works in the data folder; the backends of a killed server
# need a moment to notice.
remove_stale_lock() {
    local deadline=$((SECONDS + 10))
    [[ -e $stack/postgres/postmaster.pid ]] || return 0
    while works_in "$stack/postgres"; do
        ((SECONDS < deadline)) || die "processes of an earlier PostgreSQL still work in $stack/postgres"
        sleep 0.1
    done
    rm -f "$stack/postgres/postmaster.pid"
}

works_in() {
    local process program
    for process in /proc/[0-9]*; do
        if [[ $process/cwd -ef $1 ]] && read -r program <"$process/comm" && [[ $program == postgres ]]; then
            return 0
        fi
    done 2>/dev/null
    return 1
}

start_postgres() {
    choose_postgres_account
    [[ -e $stack/postgres ]] || create_cluster
    remove_stale_lock
    claim_ports postgres
    say "starting PostgreSQL on 127.0.0.1:${port[postgres]}"
    launch postgres "${as_postgres[@]}" "$postgres_bin/postgres" -D "$stack/postgres" \
        -c listen_addresses=127.0.0.1 -c port="${port[postgres]}" -c unix_socket_directories= \
        -c max_connections=300 -c shared_buffers=256MB \
        -c fsync=on -c synchronous_commit=on -c full_page_writes=on \
        -c timezone=UTC -c log_timezone=UTC -c log_line_prefix='%m [%p] %d '
}

postgres_ready() {
    "${plain[@]}" "$postgres_bin/pg_isready" --quiet --timeout=2 --host=127.0.0.1 --port="${port[postgres]}" \
        --dbname="$postgres_database" --username="$postgres_user"
}

# SIGINT is the fast shutdown, which does not wait for clients to leave; SIGQUIT is the one that writes nothing.
stop_postgres() {
    local signal=INT
    "$gently" || signal=QUIT
    halt postgres "$signal" 20
}
