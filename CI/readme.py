#!/usr/bin/env bash
# The programs of README.md and Platforms/Frameworks/Plain/README.md, word for word, in a package of their own: they build, answer and stop.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
package=$root/.build/readme
rm -rf "$package/Sources"
targets=
add() { # add NAME FILE: the first Swift text in it
    mkdir -p "$package/Sources/$1"
    awk '/^```swift$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' "$2" >"$package/Sources/$1/$1.swift"
    targets+=".executableTarget(name: \"$1\", dependencies: [.product(name: \"Prefork\", package: \"prefork\")]), "
}
add Server README.md
add Plain Platforms/Frameworks/Plain/README.md
cat >"$package/Package.swift" <<PACKAGE
// swift-tools-version: 6.0
import PackageDescription
let package = Package(
    name: "Server",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "prefork", path: "$root")],
    targets: [$targets]
)
PACKAGE
swift build --package-path "$package" -Xswiftc -warnings-as-errors

# The address is the README's, so the port must be free; in a network namespace of its own where that can be had.
run='"$0" & master=$!
    for _ in $(seq 200); do curl -sf http://127.0.0.1:8080/ >/dev/null && break; sleep 0.05; done
    answer=$(curl -sS http://127.0.0.1:8080/); kill -TERM "$master"; wait "$master"; status=$?
    [ "$answer" = hello ] && [ "$status" -eq 0 ] && echo "readme: $(basename "$0") answers and stops"'
for program in Server Plain; do
    if unshare --net true 2>/dev/null; then
        unshare --net sh -c "ip link set lo up 2>/dev/null || ifconfig lo up; $run" "$package/.build/debug/$program"
    else
        sh -c "$run" "$package/.build/debug/$program"
    fi
done
