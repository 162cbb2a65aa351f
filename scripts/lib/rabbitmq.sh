# shellcheck shell=bash
# The stack's RabbitMQ: the package's own launcher with folders, ports, cookie and port mapper of the stack.
#
# /usr/sbin/rabbitmq-server is not used because it changes to the system's account and with it to the system's
# broker. The port mapper (epmd) is a server of the stack with its own port: left to itself, Erlang would start one
# for the whole machine that outlives the stack.

readonly rabbitmq_launcher=/usr/lib/rabbitmq/bin/rabbitmq-server
readonly rabbitmq_user=orderflow
# Two schedulers that neither spin while idle nor sit on fixed cores: the machine has others to serve.
readonly rabbitmq_erlang='+S 2:2 +stbt u +sbwt none +sbwtdcpu none +sbwtdio none'

find_rabbitmq() {
    local folder
    [[ -x $rabbitmq_launcher ]] || return 1
    epmd=
    for folder in /usr/bin /usr/local/bin /usr/lib/erlang/bin /usr/lib/erlang/erts-*/bin; do
        [[ ! -x $folder/epmd ]] || epmd=$folder/epmd
    done
    [[ -n $epmd ]]
}

write_rabbitmq_config() {
    local home=$stack/rabbitmq
    mkdir -p "$home/conf.d"
    chmod 0700 "$home"
    [[ -s $home/.erlang.cookie ]] || (umask 077 && random_word >"$home/.erlang.cookie")
    # The name is kept: the broker's data is filed under it, and a moved checkout must find its own again.
    [[ -s $home/node ]] ||
        printf 'orderflow-%s-%s@localhost\n' "$name" "$(cksum <<<"$root" | cut -d ' ' -f 1)" >"$home/node"
    printf '[rabbitmq_consistent_hash_exchange,rabbitmq_management].\n' >"$home/enabled_plugins"
    printf '[].\n' >"$home/advanced.config"
    : >"$home/env.conf"
    (
        umask 077
        cat >"$home/rabbitmq.conf" <<END
listeners.tcp.1 = 127.0.0.1:${port[rabbitmq]}
management.tcp.ip = 127.0.0.1
management.tcp.port = ${port[management]}

default_user = $rabbitmq_user
default_pass = $password
default_user_tags.administrator = true

# The default of 50 MB would let a full disk take PostgreSQL and MongoDB down first.
disk_free_limit.absolute = 512MB
# Memory held by the log of quorum queues is bounded by this; the default is 512 MB.
raft.wal_max_size_bytes = 67108864

# One chart of five minutes is enough for a stack that nobody watches.
management.sample_retention_policies.global.minute = 5
management.sample_retention_policies.basic.minute = 5
management.sample_retention_policies.detailed.10 = 5

log.console = true
log.console.level = info
# Tests open and close thousands of connections.
log.connection.level = warning
END
    )
}

# An operator's questions to the stack's own broker; the package's rabbitmqctl would ask the system's.
write_rabbitmq_ctl() {
    local home=$stack/rabbitmq node
    read -r node <"$home/node"
    (
        umask 077
        cat >"$home/ctl" <<END
#!/bin/sh
export HOME='$home' ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=${port[epmd]}
export RABBITMQ_NODENAME='$node' RABBITMQ_MNESIA_BASE='$home/mnesia' RABBITMQ_CONF_ENV_FILE='$home/env.conf'
exec '${rabbitmq_launcher%-server}ctl' "\$@"
END
    )
    chmod 0700 "$home/ctl"
}

start_epmd() {
    claim_ports epmd
    launch epmd ERL_EPMD_ADDRESS=127.0.0.1 "$epmd" -port "${port[epmd]}"
}

epmd_ready() {
    listening "${port[epmd]}"
}

stop_epmd() {
    halt epmd TERM 5
}

start_rabbitmq() {
    local home=$stack/rabbitmq node
    claim_ports rabbitmq management distribution
    write_rabbitmq_config
    write_rabbitmq_ctl
    read -r node <"$home/node"
    say "starting RabbitMQ on 127.0.0.1:${port[rabbitmq]}, its API on ${port[management]}"
    # RUNNING_UNDER_SYSTEMD makes the launcher become the broker instead of a shell that watches over it, so
    # that the pid we know is the broker's.
    launch rabbitmq \
        HOME="$home" RUNNING_UNDER_SYSTEMD=true ERL_FLAGS='-start_epmd false' \
        ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="${port[epmd]}" \
        RABBITMQ_NODENAME="$node" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="${port[rabbitmq]}" \
        RABBITMQ_DIST_PORT="${port[distribution]}" \
        RABBITMQ_MNESIA_BASE="$home/mnesia" RABBITMQ_LOG_BASE="$home/log" RABBITMQ_LOGS=- \
        RABBITMQ_PID_FILE="$home/broker.pid" \
        RABBITMQ_CONF_ENV_FILE="$home/env.conf" RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
        RABBITMQ_CONFIG_FILES="$home/conf.d" RABBITMQ_ADVANCED_CONFIG_FILE="$home/advanced.config" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} $rabbitmq_erlang" \
        ERL_CRASH_DUMP="$home/erl_crash.dump" \
        "$rabbitmq_launcher"
}

# rabbitmqctl would boot an Erlang of its own for every question. The broker opens its AMQP port last, and the API
# answers our password only once the user is made.
rabbitmq_ready() {
    listening "${port[rabbitmq]}" && api_answers
}

api_answers() {
    local secret
    secret=$(printf '%s' "$rabbitmq_user:$password" | base64)
    # shellcheck disable=SC2016 # for the inner shell
    timeout 2 bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$0" &&
        printf "GET /api/whoami HTTP/1.0\r\nAuthorization: Basic %s\r\n\r\n" "$1" >&3 &&
        read -r -u 3 _ status _ && [[ $status == 200 ]]' "${port[management]}" "$secret"
}

stop_rabbitmq() {
    local signal=TERM
    "$gently" || signal=KILL
    halt rabbitmq "$signal" 30
}
