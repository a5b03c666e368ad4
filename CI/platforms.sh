#!/usr/bin/env bash
# What the package does on other systems than the one that `CI/run.sh` runs on. Parts, each of which runs alone:
#
#   darwin       the library's sources type-checked against Apple's headers         1 min   0.2 GB
#   musl         the same against musl's headers                                    1 min   0.2 GB, shared with darwin
#   static       hello-prefork with Swift linked statically, and fully static       3 min   0.1 GB, in .build
#   bare         hello-prefork without /proc, read-only, without HOME               2 min   0.1 GB, in .build
#   unsupported  the one sentence on Windows and WASI                               5 s
#   trixie       Swift 6.0.3 and glibc 2.41 (Debian 13): build and suite           10 min   3.8 GB
#   trixie-6.3   this machine's Swift on glibc 2.41: build and suite               10 min   3.8 GB, shared with trixie
#   arm64        cross-compiled for arm64 by Swift 6.0.3, unit tests under QEMU    10 min   6.4 GB, 3.8 of them shared
#
# usage: CI/platforms.sh [PART...]; without a part all of them. Times are those of two busy cores, downloads included.
# Needs Debian or Ubuntu, Swift 6.3 and root (debootstrap, chroot, mount namespaces; what is missing is installed by apt-get);
# arm64 also Linux 6.7 with user namespaces.
# Downloads and roots stay in ${PREFORK_CACHE:-/var/tmp/prefork-platforms}, outside of the tree, and are used again.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$PWD
cache=${PREFORK_CACHE:-/var/tmp/prefork-platforms}
mirror=${PREFORK_MIRROR:-http://deb.debian.org/debian}
mkdir -p "$cache"
scratch=$(mktemp -d)
master=
trap '[ -z "$master" ] || kill -KILL "$master" 2>/dev/null || true; rm -rf "$scratch"' EXIT

fail() { printf 'platforms: %s\n' "$*" >&2; exit 1; }

# install PROGRAM PACKAGE...: by apt-get, where the program is not there.
install() {
    command -v "$1" >/dev/null && return
    shift
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# once STAMP COMMAND...: runs it unless it has succeeded before.
once() {
    local stamp=$cache/stamp-$1
    shift
    [ -e "$stamp" ] || { "$@" && touch "$stamp"; }
}

# until_true COMMAND...: runs it until it succeeds, for at most 15 seconds.
until_true() {
    local end=$((SECONDS + 15))
    until "$@"; do
        [ "$SECONDS" -le "$end" ] || { cat "$log" >&2; fail "not in time: $*"; }
        sleep 0.02
    done
}

# MARK: headers

# The wheel of PyPI carries the C headers of many systems.
fetch_headers() {
    local wheels=$cache/wheels headers=$cache/headers
    mkdir -p "$wheels"
    if ! ls "$wheels"/ziglang-*.whl >/dev/null 2>&1; then
        python3 -m pip --version >/dev/null 2>&1 || install pip3 python3-pip
        python3 -m pip download --quiet --no-deps -d "$wheels" ziglang
    fi
    python3 - "$wheels" "$headers" <<'PYTHON'
import glob, os, sys, zipfile
wheels, headers = sys.argv[1:]
prefix = "ziglang/lib/libc/include/"
wanted = ("any-darwin-any", "any-linux-any", "x86-linux-any", "generic-musl", "x86_64-linux-musl")
archive = zipfile.ZipFile(sorted(glob.glob(wheels + "/ziglang-*.whl"))[-1])
for name in archive.namelist():
    if name.startswith(prefix) and not name.endswith("/"):
        system, _, path = name[len(prefix):].partition("/")
        if system in wanted:
            target = os.path.join(headers, system, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(archive.read(name))
PYTHON
}

resources() { echo "$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")/lib/swift"; }

# type_check NAME FLAGS...: the library, then the system calls of the demonstration server; the compiler's errors, if any.
type_check() {
    local name=$1 overlay=$tree/Platforms/Headers/$1/Overlay.swift
    shift
    for sources in "$(find "$library" -name '*.swift')" "$program/Posix.swift"; do
        # shellcheck disable=SC2086
        swiftc -typecheck -swift-version 6 -wmo -package-name prefork -module-name Checked "$@" \
            -module-cache-path "$scratch/modules" $sources "$overlay" >"$scratch/diagnostics" 2>&1 ||
            grep -qE ': error: ' "$scratch/diagnostics" || echo "swiftc: error: $(tail -n 3 "$scratch/diagnostics")"
        grep -E '(^|/)[^ ]+:[0-9]+:[0-9]+: error: |^<unknown>:0: error: ' "$scratch/diagnostics" |
            # Embedded Swift's own, which is what a toolchain on Linux has for Apple's systems.
            grep -v "error: 'discard' statement cannot be used in an embedded function" || true
    done
}

# check_headers NAME FLAGS...: no error; and a wrong name, a wrong type and a wrong count of arguments are errors.
check_headers() {
    local name=$1 found
    library=$tree/Sources/Prefork program=$tree/Sources/hello-prefork
    found=$(type_check "$@")
    [ -z "$found" ] || { echo "$found" >&2; fail "$name: the sources do not type-check"; }
    # The checker must have looked: each of these breaks a copy in one place, behind a condition for that system.
    local file pattern
    while IFS='|' read -r file pattern; do
        rm -rf "$scratch/broken"
        cp -r "$tree/Sources" "$scratch/broken"
        sed -i "$pattern" "$scratch/broken/$file"
        if cmp -s "$tree/Sources/$file" "$scratch/broken/$file"; then fail "$name: nothing to break by $pattern"; fi
        library=$scratch/broken/Prefork program=$scratch/broken/hello-prefork
        found=$(type_check "$@")
        [ -n "$found" ] || fail "$name: $pattern in $file was not noticed"
        echo "$name: $pattern is noticed: $(head -n 1 <<<"$found" | sed 's/.*error: //')"
    done
    echo "$name: $(find Sources/Prefork -name '*.swift' | wc -l) files of the library type-check"
}

part_darwin() {
    once headers fetch_headers
    local sdk=$scratch/darwin
    mkdir -p "$sdk/usr"
    cp -r "$cache/headers/any-darwin-any" "$sdk/usr/include"
    cp Platforms/Headers/Darwin/Darwin.h Platforms/Headers/Darwin/module.modulemap "$sdk/usr/include/"
    cp Platforms/Headers/Darwin/SDKSettings.json "$sdk/"
    # There is no standard library for macOS in a toolchain for Linux; that for embedded systems has an Apple triple.
    check_headers Darwin -enable-experimental-feature Embedded -target arm64-apple-ios18.0 -sdk "$sdk" \
        -I "$(resources)/shims" <<'BREAKS'
Prefork/System/ExitWatch.swift|s/NOTE_EXIT)/NOTE_EXITS)/
Prefork/System/SpawnAttributes.swift|s/POSIX_SPAWN_CLOEXEC_DEFAULT$/POSIX_SPAWN_CLOEXEC_DEFAULTS/
Prefork/System/DarwinListener.swift|s/sun_len = UInt8/sun_len = UInt16/
Prefork/System/ProgramFile.swift|s/_NSGetExecutablePath(nil, &size)/_NSGetExecutablePath(nil)/
BREAKS
}

part_musl() {
    once headers fetch_headers
    local sdk=$scratch/musl
    mkdir -p "$sdk/usr/include" "$sdk/module"
    for system in any-linux-any x86-linux-any generic-musl x86_64-linux-musl; do
        if [ -d "$cache/headers/$system" ]; then cp -r "$cache/headers/$system/." "$sdk/usr/include/"; fi
    done
    cp Platforms/Headers/Musl/Musl.h Platforms/Headers/Musl/module.modulemap "$sdk/module/"
    # The standard library is this machine's (no swiftmodule says which C library it was built on), the C library is musl;
    # _GNU_SOURCE is what the compiler defines for *-linux-musl.
    check_headers Musl -target x86_64-unknown-linux-gnu -sdk "$sdk" -I "$sdk/module" -Xcc -D_GNU_SOURCE <<'BREAKS'
Prefork/System/SignalHandling.swift|s/action.__sa_handler/action.__sigaction_handler/
Prefork/System/SystemConstant.swift|s/static let tcp = IPPROTO_TCP$/static let tcp = CInt(IPPROTO_TCP.rawValue)/
BREAKS
}

# MARK: statically linked, and in bare surroundings

# serves NOTE COMMAND...: hello-prefork answers, recovers from KILL, and stops with status 0. `log` is what it said.
serves() {
    local note=$1 port url child status=0
    shift
    log=$scratch/log
    : >"$log"
    "$@" --children 2 127.0.0.1:0 2>"$log" &
    master=$!
    until_true ready_lines 2
    port=$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\)$/\1/p' "$log")
    url=http://127.0.0.1:$port
    [ "$(curl -sS --max-time 5 "$url/")" = "Hello world!" ] || fail "$note: no answer"
    child=$(curl -sS --max-time 5 "$url/pid")
    kill -KILL "$child"
    until_true ready_lines 3
    [ "$(curl -sS --max-time 5 "$url/")" = "Hello world!" ] || fail "$note: no answer after a KILL"
    # The pid of the log: `master` may be what the program was started by.
    kill -TERM "$(sed -n '1s/^prefork\[\([0-9]*\)\].*/\1/p' "$log")"
    wait "$master" || status=$?
    master=
    [ "$status" -eq 0 ] || { cat "$log" >&2; fail "$note: exit status $status after TERM"; }
    sed 's/^/    /' "$log"
    echo "$note: answers, recovers from KILL, stops with status 0"
}
ready_lines() { [ "$(grep -c ' ready after ' "$log")" -ge "$1" ]; }
says() { grep -qF "$1" "$log" || fail "the log does not say \"$1\""; }

# build_hello DIRECTORY FLAGS...: prints the program's path.
build_hello() {
    local where=$1
    shift
    swift build -c release --product hello-prefork --scratch-path "$where" "$@" >"$scratch/build" 2>&1 ||
        { cat "$scratch/build" >&2; fail "no build with $*"; }
    echo "$(swift build -c release --scratch-path "$where" "$@" --show-bin-path)/hello-prefork"
}
static_program() { build_hello .build/static-library --static-swift-stdlib; }
fully_static_program() { build_hello .build/static-executable -Xswiftc -static-executable; }

part_static() {
    local program
    program=$(static_program)
    if ldd "$program" | grep -i swift; then fail "static: the Swift runtime is a shared library"; fi
    serves "static standard library" "$program"
    says "exits by pidfd, descriptors closed by closefrom"

    program=$(fully_static_program)
    if ldd "$program" >/dev/null 2>&1; then fail "static: $program has shared libraries"; fi
    serves "fully static executable" "$program"
    # No dlsym(3) there, so no pidfd_open(2) and no closefrom.
    says "exits by SIGCHLD and ppid polling, descriptors closed one by one"
}

part_bare() {
    install bwrap bubblewrap
    local program static
    program=$(build_hello .build/release-here)
    static=$(static_program)
    # An empty directory in place of /proc, all of it read-only, no variable at all.
    bare() {
        bwrap --clearenv --ro-bind / / --tmpfs /proc --remount-ro /proc --dev /dev --remount-ro /dev \
            --chdir /usr --unshare-user --uid 65534 --gid 65534 "$@"
    }
    if bare /bin/sh -c ': >/tmp/prefork-writes' 2>/dev/null; then fail "bare: /tmp is writable"; fi
    [ -z "$(bare /bin/ls -A /proc)" ] || fail "bare: there is something in /proc"
    serves "bare" bare "$program"
    says "there is no /proc: children are started as $program"
    serves "bare, static standard library" bare "$static"
    says "there is no /proc: children are started as $static"
    # By a name that is looked for, as a shell does it.
    serves "bare, found in PATH" bwrap_path "$(dirname "$program")"
    says "there is no /proc: children are started as $program"
}
bwrap_path() {
    local directory=$1
    shift
    bwrap --clearenv --setenv PATH "/usr/bin:/bin:$directory" --ro-bind / / --tmpfs /proc --remount-ro /proc \
        --dev /dev --remount-ro /dev --chdir /usr /bin/sh -c 'exec hello-prefork "$@"' sh "$@"
}

part_unsupported() {
    local target found
    for target in x86_64-unknown-windows-msvc wasm32-unknown-wasi; do
        found=$(swiftc -frontend -typecheck -parse-stdlib -target "$target" Sources/PlatformCheck/*.swift 2>&1 | grep 'error: ' | sort -u || true)
        [ "$(grep -cE '^[^ ].*: error: ' <<<"$found")" -eq 1 ] || { echo "$found" >&2; fail "$target: not one sentence"; }
        echo "$target: $(grep -E '^[^ ].*: error: ' <<<"$found" | sed 's/.*error: //')"
    done
}

# MARK: Debian 13

make_trixie() {
    install debootstrap debootstrap
    rm -rf "$cache/trixie"
    debootstrap --variant=minbase --include=ca-certificates trixie "$cache/trixie" "$mirror" >/dev/null
    in_trixie none apt-get install -y -qq --no-install-recommends swiftlang libc6-dev libstdc++-14-dev \
        curl iproute2 procps python3 systemd util-linux qemu-user >/dev/null
    in_trixie none apt-get clean
    mkdir -p "$cache/trixie"/{tree,build,opt/swift,arm64}
}

# in_trixie BINDS COMMAND...: in the root, with mounts of its own. BINDS: none, tree, swift (the tree and this machine's
# Swift) or arm64 (the tree and arm64's root, with its programs run by qemu).
in_trixie() {
    local root=$cache/trixie binds=$1 path=/usr/libexec/swift/bin
    shift
    if [ "$binds" = swift ]; then path=/opt/swift/usr/bin; fi
    export -f mount_trixie
    unshare --mount --propagation private bash -euo pipefail -c '
        root=$1 tree=$2 binds=$3 swift=$4 arm64=$5 path=$6
        shift 6
        mount_trixie
        exec chroot "$root" env -i HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
            PATH="$path:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
    ' - "$root" "$tree" "$binds" "$(dirname "$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")")" \
        "$cache/arm64" "$path" "$@"
}

mount_trixie() {
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys" 2>/dev/null || true
    if [ -d /sys/fs/cgroup ]; then mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup" 2>/dev/null || true; fi
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/tmp"
    [ "$binds" != none ] || return 0
    mount --bind "$tree" "$root/tree"
    mount -o remount,bind,ro "$root/tree"
    if [ "$binds" = swift ]; then
        mount --bind "$swift" "$root/opt/swift"
        mount -o remount,bind,ro "$root/opt/swift"
    fi
    if [ "$binds" = arm64 ]; then mount --bind "$arm64" "$root/arm64"; fi
}

# A copy of what is built, so that nothing is written into the tree; the build directory is kept for the next time.
copied='set -euo pipefail; mkdir -p "$0"; cd "$0"; rm -rf Package.swift Sources Tests
    cp -a /tree/Package.swift /tree/Sources /tree/Tests .; '

part_trixie() {
    once trixie make_trixie
    in_trixie tree bash -c "$copied"'swift --version; swift build --build-tests -Xswiftc -warnings-as-errors
        swift test --skip-build -Xswiftc -warnings-as-errors' /build/6.0
}

part_trixie_6_3() {
    once trixie make_trixie
    in_trixie swift bash -c "$copied"'swift --version; swift build --build-tests -Xswiftc -warnings-as-errors
        swift test --skip-build -Xswiftc -warnings-as-errors' /build/6.3
}

# MARK: arm64

make_arm64() {
    install mmdebstrap mmdebstrap
    rm -rf "$cache/arm64"
    # Unpacked, not set up: nothing of it runs before the tests do.
    mmdebstrap --quiet --variant=extract --arch=arm64 --include=swiftlang,libc6-dev,libstdc++-14-dev trixie \
        "$cache/arm64" "$mirror"
}

# Swift's description of a foreign system. `-sdk` must be said to the compiler, too, or it finds no `SwiftGlibc`.
arm64_destination='{
    "version": 1,
    "sdk": "/arm64",
    "toolchain-bin-dir": "/usr/libexec/swift/bin",
    "target": "aarch64-unknown-linux-gnu",
    "extra-cc-flags": [],
    "extra-cpp-flags": [],
    "extra-swiftc-flags": [
        "-sdk", "/arm64",
        "-resource-dir", "/arm64/usr/libexec/swift/lib/swift",
        "-use-ld=lld",
        "-Xlinker", "-rpath", "-Xlinker", "/arm64/usr/libexec/swift/lib/swift/linux"
    ]
}'

# in_arm64 COMMAND...: in Debian 13's root, where programs for arm64 run by qemu. The kernel's list of foreign formats is that
# of a user namespace (Linux 6.7), so nothing is registered for others.
in_arm64() {
    export -f mount_trixie
    unshare --user --map-root-user --mount --pid --fork --kill-child bash -euo pipefail -c '
        root=$1 tree=$2 arm64=$3 binds=arm64
        shift 3
        mount_trixie
        mount --bind "$arm64/usr/lib/aarch64-linux-gnu" "$root/usr/lib/aarch64-linux-gnu"
        mount -t binfmt_misc binfmt_misc "$root/proc/sys/fs/binfmt_misc"
        magic="\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00"
        mask="\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff"
        # F: the emulator is opened here and now. P: the program sees the argv[0] that it was given.
        printf "%s" ":arm64:M::$magic:$mask:$root/usr/bin/qemu-aarch64:FP" >"$root/proc/sys/fs/binfmt_misc/register"
        exec chroot "$root" env -i HOME=/root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ' - "$cache/trixie" "$tree" "$cache/arm64" "$@"
}

# The tests that cannot hold there, by name, and why: what QEMU's emulation of Linux's calls does not hand on, and what takes
# too long. A child of most integration tests is the test program, which takes ten seconds and more to start there on two busy
# cores; their deadlines are 20 s, and some are about milliseconds. In their place hello-prefork serves, recovers and stops.
arm64_skips='
no SO_ATTACH_REUSEPORT_CBPF|PreforkTests.DecoyTests/(lifecycle|rotation|narrowed|unfillable|deferred|givenUp|closing)
no SO_ATTACH_REUSEPORT_CBPF|PreforkTests.SteeringTests/isAccepted
no SO_ATTACH_REUSEPORT_CBPF|PreforkTests.ShardedListenerTests/(steering|copies|stranger)
only the first four bytes of TCP_INFO|PreforkTests.ShardedListenerTests/(queues|backlog)
only the first four bytes of TCP_INFO|PreforkTests.SocketSourceTests/restored
no sock_diag(7)|PreforkTests.HalfOpenTests/(seen|dualStack)
no sock_diag(7)|PreforkTests.SocketSourceTests/unixBacklog
no time for children that are test programs|IntegrationTests.
'

part_arm64() {
    once trixie make_trixie
    once arm64 make_arm64
    # What the setting up of its packages would have made, and where the programs look for their loader.
    ln -sfn usr/lib "$cache/arm64/lib"
    mkdir -p "$cache/trixie/usr/lib/aarch64-linux-gnu"
    ln -sfn aarch64-linux-gnu/ld-linux-aarch64.so.1 "$cache/trixie/usr/lib/ld-linux-aarch64.so.1"
    in_trixie arm64 bash -c "$copied"'printf "%s" "$1" >destination.json
        swift build --build-tests --destination destination.json -Xswiftc -warnings-as-errors
        ' /build/arm64 "$arm64_destination"
    local tests=/build/arm64/.build/aarch64-unknown-linux-gnu/debug/preforkPackageTests.xctest
    local skips=() reason pattern
    while IFS='|' read -r reason pattern; do
        [ -n "$pattern" ] || continue
        echo "not under QEMU: $pattern ($reason)"
        skips+=(--skip "$pattern")
    done <<<"$arm64_skips"
    in_arm64 "$tests" --testing-library swift-testing "${skips[@]}"
    in_arm64 bash -c "set -euo pipefail; scratch=/tmp; master=; $(declare -f serves until_true ready_lines says fail)"'
        serves arm64 "$0"
        says "exits by pidfd, descriptors closed by closefrom"
        says "cannot be steered to ready children"' /build/arm64/.build/aarch64-unknown-linux-gnu/debug/hello-prefork
}

# MARK: the end

part_names=(darwin musl static bare unsupported trixie trixie-6.3 arm64)
run_part() {
    local start=$SECONDS function=part_${1//[-.]/_}
    printf '\n== %s\n' "$1"
    "$function"
    printf '== %s: passed in %s s\n' "$1" "$((SECONDS - start))"
}
for part in "$@"; do
    case " ${part_names[*]} " in
    *" $part "*) ;;
    *) fail "there is no part $part; there are ${part_names[*]}" ;;
    esac
done
if [ $# -eq 0 ]; then set -- "${part_names[@]}"; fi
for part in "$@"; do run_part "$part"; done
