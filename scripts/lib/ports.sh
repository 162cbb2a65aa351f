# shellcheck shell=bash
# Ports of a stack: picked once, remembered in the stack's `ports` file, changed only when somebody else took one.
#
# They lie below the range from which the kernel hands out ports to outgoing connections, so that a port which is free
# while the stack is down stays free. The place to look first comes from the checkout's path and the stack's
# name: two stacks rarely want the same ports, and a wiped stack comes back on the ones it had.

declare -A port=()

readonly port_names=(postgres rabbitmq management distribution epmd mongodb)
readonly first_port=20000 last_port=31999
# Where the same servers of the machine's own would listen: they may be down just now.
readonly foreign_ports=' 25672 27017 27018 27019 27020 28017 '

load_ports() {
    local key number
    port=()
    [[ -e $stack/ports ]] || return 0
    while IFS='=' read -r key number; do
        [[ ! $key =~ ^[a-z]+$ || ! $number =~ ^[0-9]+$ ]] || port[$key]=$number
    done <"$stack/ports"
}

listening() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

remembered_by_a_stack() {
    grep -qsxE "[a-z]+=$1" "$stacks"/*/ports
}

# Sets `picked` to a port that nobody uses or has been promised.
pick_port() {
    local seed tries
    seed=$(cksum <<<"$stack" | cut -d ' ' -f 1)
    picked=$((first_port + seed % ((last_port - first_port) / 10) * 10))
    for ((tries = 0; tries < last_port - first_port; tries++)); do
        if [[ $foreign_ports != *" $picked "* && " ${port[*]} " != *" $picked "* ]] &&
            ! remembered_by_a_stack "$picked" && ! listening "$picked"; then
            return 0
        fi
        picked=$((picked < last_port ? picked + 1 : first_port))
    done
    die "no free port between $first_port and $last_port"
}

# claim_ports PORT...: for a server about to start. Picks the ones that are new or that somebody else took meanwhile.
claim_ports() {
    local wanted picked
    # Held from the look at the other stacks' files until ours can be looked at.
    exec 8>"$stacks/locks/ports"
    flock 8
    for wanted in "$@"; do
        if [[ -z ${port[$wanted]:-} ]]; then
            pick_port
        elif listening "${port[$wanted]}"; then
            pick_port
            say "port ${port[$wanted]} ($wanted) is taken by another process, using $picked from now on"
        else
            continue
        fi
        port[$wanted]=$picked
    done
    save_ports
    exec 8>&-
}

save_ports() {
    local key
    for key in "${port_names[@]}"; do
        [[ -z ${port[$key]:-} ]] || printf '%s=%s\n' "$key" "${port[$key]}"
    done >"$stack/ports.new"
    mv -f "$stack/ports.new" "$stack/ports"
}
