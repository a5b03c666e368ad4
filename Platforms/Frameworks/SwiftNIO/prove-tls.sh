#!/usr/bin/env bash
# Proves that nio-server serves HTTPS from TLSIdentity.files and .embedded in several children, and what becomes of keys that
# are missing, malformed or another certificate's. Exit status 1 where something is not so.
#
#   prove-tls [debug|release]    debug by default; the build, and some fifteen seconds
#
# Needs Linux or macOS with Swift, curl and openssl. Listens on 127.0.0.1, on ports that the kernel chooses.
set -euo pipefail
cd "$(dirname "$0")"
configuration=${1:-debug}

directory=$(mktemp -d)
master=
finish() {
    local status=$?
    if [ -n "$master" ]; then kill -KILL "$master" 2>/dev/null || true; fi
    # What a failure left behind: the last server's log.
    if [ "$status" -ne 0 ] && [ -f "$directory/log" ]; then cat "$directory/log" >&2; fi
    rm -rf "$directory"
}
trap finish EXIT
fail() {
    echo "FAIL  $1" >&2
    exit 1
}

swift build -c "$configuration" --product nio-server
server=$(swift build -c "$configuration" --show-bin-path)/nio-server

# A certificate authority, a certificate of its for 127.0.0.1, and keys that are wrong.
cd "$directory"
{
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj "/CN=Test authority"
    openssl req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj "/CN=localhost"
    echo "subjectAltName=IP:127.0.0.1" >extensions
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out certificate.pem \
        -extfile extensions
    openssl genrsa -out other.pem 2048
} >openssl.log 2>&1 || { cat openssl.log >&2; fail "openssl"; }
cat certificate.pem ca.pem >chain.pem
sed 's/^-----BEGIN.*/&\n!/' key.pem >malformed.pem
head -n 5 key.pem >cut.pem
printf -- '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' >empty.pem

# Runs its arguments until they succeed, for at most twenty seconds.
until_true() {
    local end=$((SECONDS + 20))
    until "$@"; do
        [ "$SECONDS" -le "$end" ] || fail "not in time: $*"
        sleep 0.02
    done
}
has_lines() { [ "$(grep -c -e "$1" log)" -ge "$2" ]; }
fetch() { curl -sS --fail --max-time 20 --cacert ca.pem "https://127.0.0.1:$port$1" "${@:2}"; }

identity() { # identity files|embedded KEY: the options for it
    identity=(--tls-chain chain.pem --tls-key "$2")
    [ "$1" = files ] || identity+=(--tls-embedded)
}

serves() { # serves KIND: with the right chain and key
    : >log # Emptied here: the last server's lines would be taken for this one's until the background job begins.
    identity "$1" key.pem
    "$server" --children 4 "${identity[@]}" 127.0.0.1:0 2>log &
    master=$!
    until_true has_lines "ready after" 4
    port=$(sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' log)
    [ "$(fetch /)" = "Hello world!" ] || fail "$1: no answer"
    local end=$((SECONDS + 20))
    : >pids
    until [ "$(sort -u pids | wc -l)" -eq 4 ]; do
        [ "$SECONDS" -le "$end" ] || fail "$1: only $(sort -u pids | wc -l) children answer"
        fetch /pid >>pids
        echo >>pids
    done
    if curl -sS --max-time 20 "https://127.0.0.1:$port/" >/dev/null 2>&1; then
        fail "$1: a certificate of nobody's was believed"
    fi

    # A drain: requests that are sent and not answered are answered.
    local requests=() request number
    for number in 1 2 3 4 5 6 7 8; do
        fetch "/slow?ms=1000" --verbose >"answer$number" 2>"trace$number" &
        requests+=($!)
    done
    for number in 1 2 3 4 5 6 7 8; do until_true grep -q "^> GET" "trace$number"; done
    if [ "$(cat answer?)" != "" ]; then fail "$1: answered before the stop"; fi
    kill -TERM "$master"
    for request in "${requests[@]}"; do wait "$request" || fail "$1: a request in flight was cut at the stop"; done
    for number in 1 2 3 4 5 6 7 8; do
        [ "$(cat "answer$number")" = "Hello world!" ] || fail "$1: a wrong answer at the stop"
    done
    local status=0
    wait "$master" || status=$?
    master=
    [ "$status" -eq 0 ] || fail "$1: exit status $status after TERM"
    echo "ok    $1: 4 children answer over TLS ($(wc -l <pids) requests), 8 requests in flight answered at a stop, status 0"
}

status_of() { # status_of KIND KEY: runs to its end, for at most twenty seconds
    local status=0
    identity "$1" "$2"
    "$server" --children 4 "${identity[@]}" 127.0.0.1:0 2>log &
    master=$!
    local end=$((SECONDS + 20))
    while kill -0 "$master" 2>/dev/null; do
        [ "$SECONDS" -le "$end" ] || fail "$1 $2: runs on"
        sleep 0.02
    done
    wait "$master" || status=$?
    master=
    [ "$status" -eq 78 ] || fail "$1 $2: exit status $status, not 78"
}

refused_by_master() { # refused_by_master KIND KEY: one line, and nothing was bound or started
    status_of "$1" "$2"
    [ "$(wc -l <log)" -eq 1 ] && has_lines "invalid TLS identity" 1 || fail "$1 $2: not one line"
    echo "ok    $1 $2: $(sed 's/.*error: //' log)"
}

refused_by_child() { # refused_by_child KIND KEY: status 78 once, and no replacement
    status_of "$1" "$2"
    local first refusals
    first=$(sed -n 's/.*child \([0-9]*\) (slot .*exited: status 78 .*giving up$/\1/p' log)
    refusals=$(grep -c "^prefork\[$first\]: error: invalid TLS identity: " log) || true
    [ -n "$first" ] && [ "$refusals" -eq 1 ] || fail "$1 $2: no line from a child that left with status 78"
    [ "$(grep -c " started$" log)" -le 4 ] && ! has_lines "in place of" 1 || fail "$1 $2: tried again"
    echo "ok    $1 $2: $(sed -n "s/^prefork\[$first\]: error: //p" log)"
}

serves files
serves embedded
refused_by_master files missing.pem
refused_by_master files "$directory"
refused_by_master files malformed.pem
refused_by_master embedded malformed.pem
refused_by_master files cut.pem
refused_by_master files certificate.pem
refused_by_child files other.pem
refused_by_child embedded other.pem
refused_by_child files empty.pem
