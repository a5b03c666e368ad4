#!/usr/bin/env bash
# Builds the documentation with the toolchain's docc and treats warnings as errors. Fails if a public symbol has no
# documentation. Half a minute.
#
# usage: CI/docs.sh [DIRECTORY]    writes to .build/docs by default
set -euo pipefail
cd "$(dirname "$0")/.."
. CI/support.sh
needs swift= docc= python3
make_scratch
out=${1:-.build/docs}
# The symbol graph of the package needs the modules of the tests.
swift build --build-tests

swift package dump-symbol-graph --minimum-access-level public --skip-synthesized-members >"$log" 2>&1 ||
    fail "no symbol graph"
directory=$(sed -n 's/^Files written to //p' "$log")
mkdir "$scratch/Prefork"
cp "$directory"/Prefork.symbols.json "$scratch/Prefork/"
# Extensions of other modules' types are in files of their own.
cp "$directory"/Prefork@*.symbols.json "$scratch/Prefork/" 2>/dev/null || true

python3 - "$scratch/Prefork" <<'PYTHON'
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

docc convert Sources/Prefork/Prefork.docc --additional-symbol-graph-dir "$scratch/Prefork" --warnings-as-errors \
    --fallback-display-name Prefork --fallback-bundle-identifier prefork --output-path "$out"
echo "docs: $out"
