#!/usr/bin/env bash
# Checks the package on systems other than the one that CI/run.sh runs on. Each part also runs alone:
#
#   darwin       type-checks the library's sources against Apple's headers           1 min   0.2 GB
#   musl         type-checks them against musl's headers                             1 min   0.2 GB, shared with darwin
#   static       hello-prefork with Swift linked statically, and fully static        3 min   0.1 GB, in .build
#   bare         hello-prefork without /proc, on a read-only system, without HOME    2 min   0.1 GB, in .build
#   unsupported  the one error on Windows and WASI                                   5 s
#   trixie       build and suite with Swift 6.0.3 and glibc 2.41 (Debian 13)        10 min   3.8 GB
#   trixie-6.3   build and suite with this machine's Swift on glibc 2.41            10 min   3.8 GB, shared with trixie
#   arm64        cross-compiled by Swift 6.0.3, unit tests under QEMU               10 min   6.4 GB, 3.8 of them shared
#
# usage: CI/platforms.sh [PART...]    every part by default; times are of two busy processors and include downloads
#
# Needs Debian or Ubuntu, and Swift 6.3. The last three parts need root, for chroot and mount namespaces; arm64 also
# needs Linux 6.7 with user namespaces. Downloads and roots stay in ${PREFORK_CACHE:-/var/tmp/prefork-platforms} and are
# reused. Debian 13 comes from the mirror in this machine's apt configuration. PREFORK_MIRROR overrides it.
set -euo pipefail
cd "$(dirname "$0")/.."
. CI/support.sh
tree=$PWD
cache=${PREFORK_CACHE:-/var/tmp/prefork-platforms}

part_names=(darwin musl static bare unsupported trixie trixie-6.3 arm64)
[ "$#" -gt 0 ] || set -- "${part_names[@]}"
needed=(swift=)
for part in "$@"; do
    case $part in
    darwin | musl) needed+=(python3 python3:ensurepip=python3-venv) ;;
    static) needed+=(curl ldd=libc-bin) ;;
    bare) needed+=(curl bwrap=bubblewrap) ;;
    unsupported) ;;
    trixie | trixie-6.3) needed+=(debootstrap unshare=util-linux) ;;
    arm64) needed+=(debootstrap mmdebstrap unshare=util-linux) ;;
    *) fail "no part is named $part; the parts are ${part_names[*]}" ;;
    esac
    case $part in trixie* | arm64) [ "$(id -u)" = 0 ] || fail "the part $part needs root" ;; esac
done
needs "${needed[@]}"
# The folder that has usr/bin/swift.
toolchain=$(readlink -f "$(command -v swift)")
toolchain=${toolchain%/usr/bin/*}
mkdir -p "$cache"
make_scratch

# once STAMP COMMAND...: runs the command unless it succeeded before.
once() {
    local stamp=$cache/stamp-$1
    shift
    [ -e "$stamp" ] || { "$@" && touch "$stamp"; }
}

# MARK: headers

# A wheel on PyPI carries the C headers of many systems.
fetch_headers() {
    local wheels=$cache/wheels headers=$cache/headers
    mkdir -p "$wheels"
    if ! ls "$wheels"/ziglang-*.whl >/dev/null 2>&1; then
        virtual_environment "$cache/venv"
        "$cache/venv/bin/pip" download --quiet --no-deps -d "$wheels" ziglang
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

# libc_module FLAGS...: compiles the module by which the sources import the C library.
libc_module() {
    mkdir -p "$scratch/libc"
    swiftc -emit-module -swift-version 6 -wmo -module-name PreforkLibc "$@" -module-cache-path "$scratch/modules" \
        -o "$scratch/libc/PreforkLibc.swiftmodule" "$tree"/Sources/PreforkLibc/*.swift
}

# type_check NAME FLAGS...: type-checks the library, then the demonstration server's system calls, then preforkctl, and
# prints the errors. The caller sets `library` and `program`.
type_check() {
    local overlay=$tree/Platforms/Headers/$1/Overlay.swift sources
    shift
    for sources in "$(find "$library" -name '*.swift')" \
        "$(find "$program" -name 'Posix.swift' -o -name 'Event*.swift')" "$(echo "$tree"/Sources/preforkctl/*)"; do
        # shellcheck disable=SC2086
        swiftc -typecheck -swift-version 6 -wmo -package-name prefork -module-name Checked "$@" \
            -I "$scratch/libc" -module-cache-path "$scratch/modules" $sources "$overlay" >"$scratch/diagnostics" 2>&1 ||
            grep -qE ': error: ' "$scratch/diagnostics" || echo "swiftc: error: $(tail -n 3 "$scratch/diagnostics")"
        grep -E '(^|/)[^ ]+:[0-9]+:[0-9]+: error: |^<unknown>:0: error: ' "$scratch/diagnostics" |
            # This error belongs to Embedded Swift, the only standard library for Apple systems in a toolchain on Linux.
            grep -v "error: 'discard' statement cannot be used in an embedded function" || true
    done
}

# check_headers NAME FLAGS...: the sources have no error. Each break that standard input lists as FILE|SED COMMAND is an
# error.
check_headers() {
    local name=$1 found file pattern
    library=$tree/Sources/Prefork program=$tree/Sources/hello-prefork
    libc_module "${@:2}"
    found=$(type_check "$@")
    [ -z "$found" ] || { echo "$found" >&2; fail "$name: the sources do not type-check"; }
    # Each break changes a copy in one place, behind a condition for that system. It shows that the compiler looked
    # there.
    while IFS='|' read -r file pattern; do
        rm -rf "$scratch/broken"
        cp -r "$tree/Sources" "$scratch/broken"
        sed -i "$pattern" "$scratch/broken/$file"
        ! cmp -s "$tree/Sources/$file" "$scratch/broken/$file" || fail "$name: $pattern changes nothing in $file"
        library=$scratch/broken/Prefork program=$scratch/broken/hello-prefork
        found=$(type_check "$@")
        [ -n "$found" ] || fail "$name: $pattern in $file causes no error"
        echo "$name: $pattern causes: $(head -n 1 <<<"$found" | sed 's/.*error: //')"
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
    # A toolchain for Linux has no standard library for macOS. Its library for embedded systems has an Apple triple.
    check_headers Darwin -enable-experimental-feature Embedded -target arm64-apple-ios18.0 -sdk "$sdk" \
        -I "$toolchain/usr/lib/swift/shims" <<'BREAKS'
Prefork/System/ExitWatch.swift|s/NOTE_EXIT)/NOTE_EXITS)/
Prefork/System/SpawnAttributes.swift|s/POSIX_SPAWN_CLOEXEC_DEFAULT$/POSIX_SPAWN_CLOEXEC_DEFAULTS/
Prefork/System/DarwinListener.swift|s/ss_len = UInt8/ss_len = UInt16/
Prefork/System/ProgramFile.swift|s/_NSGetExecutablePath(nil, &size)/_NSGetExecutablePath(nil)/
hello-prefork/EventQueue+Darwin.swift|s/EVFILT_WRITE/EVFILT_WRITES/
BREAKS
}

part_musl() {
    once headers fetch_headers
    local sdk=$scratch/musl system
    mkdir -p "$sdk/usr/include" "$sdk/module"
    for system in any-linux-any x86-linux-any generic-musl x86_64-linux-musl; do
        if [ -d "$cache/headers/$system" ]; then cp -r "$cache/headers/$system/." "$sdk/usr/include/"; fi
    done
    cp Platforms/Headers/Musl/Musl.h Platforms/Headers/Musl/module.modulemap "$sdk/module/"
    # The standard library is this machine's, because a swiftmodule does not name the C library that it was built on.
    # The C library is musl. The compiler defines _GNU_SOURCE for *-linux-musl.
    check_headers Musl -target x86_64-unknown-linux-gnu -sdk "$sdk" -I "$sdk/module" -Xcc -D_GNU_SOURCE <<'BREAKS'
Prefork/System/SignalAction.swift|s/action.__sa_handler/action.__sigaction_handler/
Prefork/System/SystemConstant.swift|s/static let tcp = IPPROTO_TCP$/static let tcp = CInt(IPPROTO_TCP.rawValue)/
BREAKS
}

# MARK: statically linked, and with little around it

static_program() { build_release hello-prefork --scratch-path .build/static-library --static-swift-stdlib; }
fully_static_program() {
    build_release hello-prefork --scratch-path .build/static-executable -Xswiftc -static-executable
}

part_static() {
    local program
    program=$(static_program)
    if ldd "$program" | grep -i swift; then fail "static: the Swift runtime is a shared library"; fi
    serves "static standard library" "$program"
    says "using pidfd to watch children, closefrom to close descriptors"

    program=$(fully_static_program)
    if ldd "$program" >/dev/null 2>&1; then fail "static: $program has shared libraries"; fi
    serves "fully static executable" "$program"
    # Without dlsym(3) the library finds neither pidfd_open(2) nor closefrom.
    says "using SIGCHLD and ppid polling to watch children, enumeration to close descriptors"
}

# bare ARGUMENT...: runs bwrap with an empty directory in place of /proc, on a read-only system, without any variable.
bare() {
    bwrap --clearenv --ro-bind / / --tmpfs /proc --remount-ro /proc --dev /dev --remount-ro /dev --chdir /usr "$@"
}
bare_user() { bare --unshare-user --uid 65534 --gid 65534 "$@"; }
# bare_path DIRECTORY ARGUMENT...: finds the program by its name in PATH, as a shell does.
bare_path() {
    local directory=$1
    shift
    bare --setenv PATH "/usr/bin:/bin:$directory" /bin/sh -c 'exec hello-prefork "$@"' sh "$@"
}

part_bare() {
    local program static
    program=$(build_release hello-prefork --scratch-path .build/release-here)
    static=$(static_program)
    if bare_user /bin/sh -c ': >/tmp/prefork-writes' 2>/dev/null; then fail "bare: /tmp is writable"; fi
    [ -z "$(bare_user /bin/ls -A /proc)" ] || fail "bare: /proc is not empty"
    serves "bare" bare_user "$program"
    says "there is no /proc: children are started as $program"
    serves "bare, static standard library" bare_user "$static"
    says "there is no /proc: children are started as $static"
    serves "bare, found in PATH" bare_path "$(dirname "$program")"
    says "there is no /proc: children are started as $program"
}

part_unsupported() {
    local target found
    for target in x86_64-unknown-windows-msvc wasm32-unknown-wasi; do
        found=$(swiftc -frontend -typecheck -parse-stdlib -target "$target" Sources/PreforkLibc/*.swift 2>&1 |
            grep '^[^ ].*: error: ' | sort -u || true)
        [ "$(grep -c . <<<"$found")" -eq 1 ] || { echo "$found" >&2; fail "$target: not exactly one error"; }
        echo "$target: ${found#*error: }"
    done
}

# MARK: Debian 13

# debian_mirror: prints the address of a Debian mirror.
debian_mirror() {
    local mirror=${PREFORK_MIRROR:-}
    [ -n "$mirror" ] || mirror=$(configured_mirror)
    if [ -z "$mirror" ]; then
        # Labels come with the package lists.
        apt-get update -qq >&2
        mirror=$(configured_mirror)
    fi
    [ -n "$mirror" ] || fail "apt is not configured with a Debian mirror; set PREFORK_MIRROR"
    echo "$mirror"
}
configured_mirror() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Label: Debian' 'Component: main' | sed -n 1p
}

make_trixie() {
    local mirror
    mirror=$(debian_mirror)
    rm -rf "$cache/trixie"
    debootstrap --variant=minbase --include=ca-certificates trixie "$cache/trixie" "$mirror" >/dev/null
    in_trixie none apt-get install -y -qq --no-install-recommends swiftlang libc6-dev libstdc++-14-dev \
        curl iproute2 procps python3 systemd util-linux qemu-user >/dev/null
    in_trixie none apt-get clean
    mkdir -p "$cache/trixie"/{tree,build,toolchain,arm64}
}

# in_trixie BINDS COMMAND...: runs the command in Debian 13's root, with its own mounts. BINDS is none, tree, swift (the
# tree and this machine's Swift), or arm64 (the tree and arm64's root, whose programs QEMU runs).
in_trixie() {
    local root=$cache/trixie binds=$1 path=/toolchain/usr/bin
    shift
    [ "$binds" = swift ] || path=$(debian_swift)/bin
    export -f mount_trixie
    unshare --mount --propagation private bash -euo pipefail -c '
        root=$1 tree=$2 binds=$3 toolchain=$4 arm64=$5 path=$6
        shift 6
        mount_trixie
        exec chroot "$root" env -i HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
            PATH="$path:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
    ' - "$root" "$tree" "$binds" "$toolchain" "$cache/arm64" "$path" "$@"
}
# debian_swift: prints where Debian's package swiftlang has put the toolchain, as seen in the root.
debian_swift() {
    local link
    link=$(readlink "$cache/trixie/usr/bin/swift" || true)
    echo "${link%/bin/swift}"
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
        mount --bind "$toolchain" "$root/toolchain"
        mount -o remount,bind,ro "$root/toolchain"
    fi
    if [ "$binds" = arm64 ]; then mount --bind "$arm64" "$root/arm64"; fi
}

# Copies the package, so that the build writes nothing into the tree. The next run reuses the build directory, which is
# $0.
copied='set -euo pipefail; mkdir -p "$0"; cd "$0"; rm -rf Package.swift Sources Tests
    cp -a /tree/Package.swift /tree/Sources /tree/Tests .; '
build_and_test="$copied"'swift --version; swift build --build-tests -Xswiftc -warnings-as-errors
    swift test --skip-build -Xswiftc -warnings-as-errors'

part_trixie() {
    once trixie make_trixie
    in_trixie tree bash -c "$build_and_test" /build/6.0
}

part_trixie_6_3() {
    once trixie make_trixie
    in_trixie swift bash -c "$build_and_test" /build/6.3
}

# MARK: arm64

make_arm64() {
    local mirror
    mirror=$(debian_mirror)
    rm -rf "$cache/arm64"
    # The packages are extracted but not configured, so none of their programs runs before the tests do.
    mmdebstrap --quiet --variant=extract --arch=arm64 --include=swiftlang,libc6-dev,libstdc++-14-dev trixie \
        "$cache/arm64" "$mirror"
}

# arm64_destination: prints Swift's description of the foreign system. The compiler also needs `-sdk`; without it
# `SwiftGlibc` is missing.
arm64_destination() {
    local swift
    swift=$(debian_swift)
    cat <<JSON
{
    "version": 1,
    "sdk": "/arm64",
    "toolchain-bin-dir": "$swift/bin",
    "target": "aarch64-unknown-linux-gnu",
    "extra-cc-flags": [],
    "extra-cpp-flags": [],
    "extra-swiftc-flags": [
        "-sdk", "/arm64",
        "-resource-dir", "/arm64$swift/lib/swift",
        "-use-ld=lld",
        "-Xlinker", "-rpath", "-Xlinker", "/arm64$swift/lib/swift/linux"
    ]
}
JSON
}

# in_arm64 COMMAND...: runs the command in Debian 13's root, where QEMU runs programs for arm64. The list of foreign
# formats belongs to a user namespace (Linux 6.7), so the registration affects no other process.
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
        # F opens the emulator now, outside the root. P passes the original argv[0] to the program.
        printf "%s" ":arm64:M::$magic:$mask:$root/usr/bin/qemu-aarch64:FP" >"$root/proc/sys/fs/binfmt_misc/register"
        exec chroot "$root" env -i HOME=/root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ' - "$cache/trixie" "$tree" "$cache/arm64" "$@"
}

# The tests that cannot pass under QEMU, each with the reason: a system call that QEMU does not pass on, or time. A
# child of most integration tests is the test program, whose start takes more than ten seconds there on two busy
# processors. Their deadlines are 20 s, and some are milliseconds. hello-prefork serves, recovers and stops in their
# place.
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
    # What the configuration of its packages would make, and the place where its programs look for their loader.
    ln -sfn usr/lib "$cache/arm64/lib"
    mkdir -p "$cache/trixie/usr/lib/aarch64-linux-gnu"
    ln -sfn aarch64-linux-gnu/ld-linux-aarch64.so.1 "$cache/trixie/usr/lib/ld-linux-aarch64.so.1"
    in_trixie arm64 bash -c "$copied"'printf "%s" "$1" >destination.json
        swift build --build-tests --destination destination.json -Xswiftc -warnings-as-errors
        ' /build/arm64 "$(arm64_destination)"
    local built=/build/arm64/.build/aarch64-unknown-linux-gnu/debug skips=() reason pattern
    while IFS='|' read -r reason pattern; do
        [ -n "$pattern" ] || continue
        echo "not under QEMU: $pattern ($reason)"
        skips+=(--skip "$pattern")
    done <<<"$arm64_skips"
    in_arm64 "$built/preforkPackageTests.xctest" --testing-library swift-testing "${skips[@]}"
    in_arm64 bash -euo pipefail -c '. /tree/CI/support.sh
        make_scratch
        serves arm64 "$0"
        says "using pidfd to watch children, closefrom to close descriptors"
        says "cannot be steered to ready children"' "$built/hello-prefork"
}

for part in "$@"; do
    start=$SECONDS
    printf '\n== %s\n' "$part"
    "part_${part//[-.]/_}"
    printf '== %s: passed in %s s\n' "$part" "$((SECONDS - start))"
done
