#!/usr/bin/env bash
# Builds the documentation with the toolchain's docc, warnings as errors, into the directory that is given (default
# .build/docs), and fails where a public symbol has no documentation. Half a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-.build/docs}
graphs=$(mktemp -d)
trap 'rm -rf "$graphs"' EXIT
# Without the tests' modules the next step fails, though it is not about them.
swift build --build-tests

swift package dump-symbol-graph --minimum-access-level public --skip-synthesized-members >"$graphs/log" 2>&1 ||
    { cat "$graphs/log" >&2; exit 1; }
# Extensions of other modules' types have files of their own.
directory=$(sed -n 's/^Files written to //p' "$graphs/log")
mkdir "$graphs/Prefork"
cp "$directory"/Prefork.symbols.json "$graphs/Prefork/"
cp "$directory"/Prefork@*.symbols.json "$graphs/Prefork/" 2>/dev/null || true

python3 - "$graphs/Prefork" <<'PYTHON'
import glob, json, sys

count, missing = 0, []
for path in glob.glob(f"{sys.argv[1]}/*.symbols.json"):
    with open(path) as file:
        for symbol in json.load(file)["symbols"]:
            count += 1
            if not symbol.get("docComment"):
                missing.append(".".join(symbol["pathComponents"]))
for name in sorted(missing):
    print(f"not documented: {name}", file=sys.stderr)
print(f"{count} public symbols, {len(missing)} without documentation")
sys.exit(1 if missing or count == 0 else 0)
PYTHON

docc convert Sources/Prefork/Prefork.docc --additional-symbol-graph-dir "$graphs/Prefork" --warnings-as-errors \
    --fallback-display-name Prefork --fallback-bundle-identifier prefork --output-path "$out"
echo "docs: $out"
