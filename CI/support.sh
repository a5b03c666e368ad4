# shellcheck shell=bash
# Shared by the shell scripts in CI and Platforms, which source this file. Needs Bash 4.4.

# The file with the running fleet's standard error, the fleet's process, and a directory that `clean_up` removes.
log='' master='' scratch=''

# fail MESSAGE: prints one line and exits with status 1.
fail() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
    exit 1
}

# needs PROGRAM[=PACKAGE]...: installs the Debian packages of missing programs. If it can't, exits with status 69 and
# one line. PACKAGE defaults to PROGRAM; an empty PACKAGE means that Debian has none. `python3:MODULE` is a Python
# module.
needs() {
    local missing=() packages=()
    find_missing "$@"
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "${#packages[@]}" -eq "${#missing[@]}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "$(basename "$0"): installing ${packages[*]}"
        apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null ||
            true
        find_missing "$@"
        [ "${#missing[@]}" -gt 0 ] || return 0
    fi
    echo "$(basename "$0"): missing programs: ${missing[*]} (Debian packages: ${packages[*]:-none})" >&2
    exit 69
}
# Sets the caller's `missing` and `packages`.
find_missing() {
    local word
    missing=() packages=()
    for word in "$@"; do
        if ! is_installed "${word%%=*}"; then
            missing+=("${word%%=*}")
            # Unquoted: an empty name adds nothing.
            # shellcheck disable=SC2206
            packages+=(${word#*=})
        fi
    done
}
is_installed() {
    case $1 in
    python3:*) python3 -c "import ${1#*:}" 2>/dev/null ;;
    # `type` alone also finds files that are not executable.
    *) [ -x "$(type -P "$1")" ] ;;
    esac
}

# What the test suite runs. It skips the tests of socket activation, of inits and of a kernel without pidfd if their
# programs are missing.
# shellcheck disable=SC2034
suite_programs=(taskset=util-linux ip=iproute2 systemd-socket-activate=systemd tini dumb-init catatonit strace)

# virtual_environment DIRECTORY: makes a Python virtual environment there for packages from PyPI.
virtual_environment() {
    needs python3 python3:ensurepip=python3-venv
    [ -x "$1/bin/pip" ] || python3 -m venv "$1"
}

# until_true COMMAND...: repeats the command until it succeeds, for up to 20 seconds.
until_true() {
    local end=$((SECONDS + 20))
    until "$@"; do
        [ "$SECONDS" -le "$end" ] || fail "not within 20 s: $*"
        sleep 0.02
    done
}

# make_scratch: makes the directory `scratch`. At exit it is removed, the fleet is killed, and a failure prints the log.
make_scratch() {
    scratch=$(mktemp -d)
    log=$scratch/log
    trap clean_up EXIT
}
clean_up() {
    local status=$?
    [ -z "$master" ] || kill -KILL "$master" 2>/dev/null || true
    [ "$status" -eq 0 ] || [ ! -s "$log" ] || cat "$log" >&2
    rm -rf "$scratch"
}

# MARK: a fleet

# build_release PRODUCT FLAGS...: builds the product in release configuration and prints its path.
build_release() {
    local product=$1 output
    shift
    output=$(swift build -c release --product "$product" "$@" 2>&1) || {
        echo "$output" >&2
        fail "swift build $* failed"
    }
    echo "$(swift build -c release "$@" --show-bin-path)/$product"
}

# start_fleet COMMAND...: starts it as `master`, with standard error in `log`.
start_fleet() {
    # Emptied here: the background job may begin only after the next look at the log.
    : >"$log"
    "$@" 2>"$log" &
    master=$!
}
has_lines() { [ "$(grep -c -e "$1" "$log")" -ge "$2" ]; }
are_ready() { has_lines ' ready after ' "$1"; }
listening_port() { sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' "$log"; }

# await_exit: waits for the master's exit and sets `status`.
await_exit() {
    status=0
    wait "$master" || status=$?
    master=
}

# stop_fleet NOTE: sends SIGTERM and expects exit status 0. The process id is the log's, because `master` may be a
# wrapper.
stop_fleet() {
    kill -TERM "$(sed -n 's/.*prefork\[\([0-9]*\)\].*/\1/p' "$log" | head -n 1)"
    await_exit
    [ "$status" -eq 0 ] || fail "$1: exit status $status after SIGTERM"
}

# serves NOTE COMMAND...: hello-prefork answers, recovers from SIGKILL, and stops with status 0.
serves() {
    local note=$1 url
    shift
    start_fleet "$@" --children 2 127.0.0.1:0
    until_true are_ready 2
    url=http://127.0.0.1:$(listening_port)
    [ "$(curl -sS --max-time 5 "$url/")" = "Hello world!" ] || fail "$note: no answer"
    kill -KILL "$(curl -sS --max-time 5 "$url/pid")"
    until_true are_ready 3
    [ "$(curl -sS --max-time 5 "$url/")" = "Hello world!" ] || fail "$note: no answer after SIGKILL"
    stop_fleet "$note"
    sed 's/^/    /' "$log"
    echo "$note: answers, recovers from SIGKILL, stops with status 0"
}
says() { grep -qF "$1" "$log" || fail "the log does not say \"$1\""; }
