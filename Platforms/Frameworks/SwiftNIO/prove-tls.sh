#!/usr/bin/env bash
# Proves that nio-server serves HTTPS from TLSIdentity.files and .embedded in several children. Proves which errors
# follow if a key is missing, malformed, or belongs to another certificate. Listens on 127.0.0.1, on ports that the
# kernel chooses.
#
# usage: prove-tls.sh [debug|release]    debug by default; the build, and some fifteen seconds
set -euo pipefail
cd "$(dirname "$0")"
. ../../../CI/support.sh
needs swift= curl openssl
make_scratch
configuration=${1:-debug}

swift build -c "$configuration" --product nio-server
server=$(swift build -c "$configuration" --show-bin-path)/nio-server

# A certificate authority, its certificate for 127.0.0.1, and wrong keys.
cd "$scratch"
{
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj "/CN=Test authority"
    openssl req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj "/CN=localhost"
    echo "subjectAltName=IP:127.0.0.1" >extensions
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out certificate.pem \
        -extfile extensions
    openssl genrsa -out other.pem 2048
} >"$log" 2>&1 || fail "openssl failed"
cat certificate.pem ca.pem >chain.pem
sed 's/^-----BEGIN.*/&\n!/' key.pem >malformed.pem
head -n 5 key.pem >cut.pem
printf -- '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' >empty.pem

fetch() { curl -sS --fail --max-time 20 --cacert ca.pem "https://127.0.0.1:$port$1" "${@:2}"; }

# start KIND KEY: starts a fleet of four with this identity. KIND: files or embedded.
start() {
    local identity=(--tls-chain chain.pem --tls-key "$2")
    [ "$1" = files ] || identity+=(--tls-embedded)
    start_fleet "$server" --children 4 "${identity[@]}" 127.0.0.1:0
}

# serves_tls KIND: proves the answers and the drain with the right chain and key.
serves_tls() {
    start "$1" key.pem
    until_true are_ready 4
    port=$(listening_port)
    [ "$(fetch /)" = "Hello world!" ] || fail "$1: no answer"
    local end=$((SECONDS + 20))
    : >pids
    until [ "$(sort -u pids | wc -l)" -eq 4 ]; do
        [ "$SECONDS" -le "$end" ] || fail "$1: only $(sort -u pids | wc -l) children answer"
        fetch /pid >>pids
        echo >>pids
    done
    if curl -sS --max-time 20 "https://127.0.0.1:$port/" >/dev/null 2>&1; then
        fail "$1: a client without the authority trusts the certificate"
    fi

    # A drain: requests that were sent before the stop get their answers.
    local requests=() request number
    for number in 1 2 3 4 5 6 7 8; do
        fetch "/slow?ms=1000" --verbose >"answer$number" 2>"trace$number" &
        requests+=($!)
    done
    for number in 1 2 3 4 5 6 7 8; do until_true grep -q "^> GET" "trace$number"; done
    if [ "$(cat answer?)" != "" ]; then fail "$1: answered before the stop"; fi
    kill -TERM "$master"
    for request in "${requests[@]}"; do wait "$request" || fail "$1: the stop cut a request in flight"; done
    for number in 1 2 3 4 5 6 7 8; do
        [ "$(cat "answer$number")" = "Hello world!" ] || fail "$1: a wrong answer at the stop"
    done
    await_exit
    [ "$status" -eq 0 ] || fail "$1: exit status $status after SIGTERM"
    echo "ok    $1: 4 children answer over TLS ($(wc -l <pids) requests)," \
        "8 requests in flight get their answers at a stop, status 0"
}

# exits_with_78 KIND KEY: runs the fleet to its end, for up to twenty seconds.
exits_with_78() {
    start "$1" "$2"
    until_true has_exited
    await_exit
    [ "$status" -eq 78 ] || fail "$1 $2: exit status $status instead of 78"
}
has_exited() { ! kill -0 "$master" 2>/dev/null; }

# refused_by_master KIND KEY: one line is logged, and nothing is bound or started.
refused_by_master() {
    exits_with_78 "$1" "$2"
    [ "$(wc -l <"$log")" -eq 1 ] && has_lines "invalid TLS identity" 1 || fail "$1 $2: not one line"
    echo "ok    $1 $2: $(sed 's/.*error: //' "$log")"
}

# refused_by_child KIND KEY: one child exits with status 78 and gets no replacement.
refused_by_child() {
    exits_with_78 "$1" "$2"
    local first refusals
    first=$(sed -n 's/.*child \([0-9]*\) (slot .*exited: status 78 .*giving up$/\1/p' "$log")
    refusals=$(grep -c "prefork\[$first\]: error: invalid TLS identity: " "$log") || true
    [ -n "$first" ] && [ "$refusals" -eq 1 ] || fail "$1 $2: no error line from a child that exited with status 78"
    [ "$(grep -c " started$" "$log")" -le 4 ] && ! has_lines "in place of" 1 || fail "$1 $2: a child was replaced"
    echo "ok    $1 $2: $(sed -n "s/.*prefork\[$first\]: error: //p" "$log")"
}

serves_tls files
serves_tls embedded
refused_by_master files missing.pem
refused_by_master files "$scratch"
refused_by_master files malformed.pem
refused_by_master embedded malformed.pem
refused_by_master files cut.pem
refused_by_master files certificate.pem
refused_by_child files other.pem
refused_by_child embedded other.pem
refused_by_child files empty.pem
