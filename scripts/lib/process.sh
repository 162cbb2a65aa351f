# shellcheck shell=bash
# Starting, recognising and stopping the servers of a stack.
#
# A pid alone does not name a server: after a crash or a reboot the number may belong to someone else, and a copied
# checkout brings the pid files of the original along. So a pid file holds the pid, the process's start time,
# the boot, and the stack's folder (by inode), and only a process that matches all four is ever signalled.

# In clock ticks after boot; fails when there is no such process, or only its zombie.
start_time() {
    local stat fields
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != Z ]] || return 1
    printf '%s' "${fields[19]}"
}

identity() {
    local started boot
    started=$(start_time "$1") || return 1
    read -r boot </proc/sys/kernel/random/boot_id
    printf '%s %s %s %s\n' "$1" "$started" "$boot" "$(stat -c %i "$stack")"
}

# Prints the server's pid when it is alive and ours.
pid_of() {
    local recorded pid
    { read -r recorded <"$stack/$1.pid"; } 2>/dev/null || return 1
    pid=${recorded%% *}
    [[ $pid =~ ^[0-9]+$ && "$(identity "$pid")" == "$recorded" ]] || return 1
    printf '%s' "$pid"
}

alive() {
    pid_of "$1" >/dev/null
}

# Goes before a command to run it without the caller's variables: PGPORT, ERL_FLAGS or RABBITMQ_NODENAME would bend it.
readonly plain=(env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8)

# launch SERVER COMMAND...: detached from this script and its terminal.
launch() {
    local server=$1
    shift
    rm -f "$stack/$server.pid"
    [[ ! -e $stack/$server.log ]] || mv -f "$stack/$server.log" "$stack/$server.log.1"
    become "$server" "$@" </dev/null >"$stack/$server.log" 2>&1 &
    disown
    until [[ -s $stack/$server.pid ]] || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
}

# The process writes the pid file itself, before it becomes the server: a script killed at any point leaves no
# server that nobody knows.
become() {
    local server=$1 fd
    shift
    cd "$stack" || exit
    # The lock of this script and the pipes of a caller such as make would stay open as long as the server lives.
    for fd in "/proc/$BASHPID/fd"/*; do
        fd=${fd##*/}
        ((fd <= 2)) || exec {fd}>&-
    done
    # More sockets than the usual 1,024; not without limit, because Erlang sizes its tables by it.
    ulimit -Sn 65536 2>/dev/null || ulimit -Sn "$(ulimit -Hn)"
    export stack
    export -f start_time identity
    # shellcheck disable=SC2016 # for the inner shell
    exec setsid bash -c 'identity $$ >"$0.new" && mv "$0.new" "$0" && exec "$@"' \
        "$stack/$server.pid" "${plain[@]}" "$@"
}

# Whether servers may take their time to stop.
gently=true

# halt SERVER SIGNAL SECONDS: asks, waits, and takes it away when it does not go.
halt() {
    local server=$1 signal=$2 patience=$3 pid
    if pid=$(pid_of "$server"); then
        kill "-$signal" "$pid" 2>/dev/null || true
        if ! gone "$server" "$patience"; then
            say "$server does not stop within $patience s, killing it"
            kill -KILL "$pid" 2>/dev/null || true
            gone "$server" 5 || die "$server (pid $pid) cannot be killed"
        fi
    fi
    rm -f "$stack/$server.pid"
}

gone() {
    local deadline=$((SECONDS + $2))
    while alive "$1"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.05
    done
}
