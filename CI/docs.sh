#!/usr/bin/env bash
# Builds the documentation with the toolchain's docc and treats warnings as errors. Fails if a public symbol has no
# documentation, or if it is missing from the Topics of a page that has some. Half a minute.
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

# The Topics of Prefork.md must list all types and the members of Prefork itself. The Topics of any other page must list
# everything on that page. docc generates groups for the rest.
python3 - "$scratch/Prefork/Prefork.symbols.json" "$out" <<'PYTHON'
import json, pathlib, sys

graph, documentation = map(pathlib.Path, sys.argv[1:])
pages = [json.loads(path.read_text()) for path in sorted(documentation.glob("data/documentation/**/*.json"))]
locations = {page["metadata"].get("externalID"): page["identifier"]["url"] for page in pages}
module = next(page for page in pages if page["metadata"].get("symbolKind") == "module")
listed = {location for section in module["topicSections"] for location in section["identifiers"]}
missing = []
for symbol in json.loads(graph.read_text())["symbols"]:
    path = symbol["pathComponents"]
    is_type = symbol["kind"]["identifier"] in ("swift.struct", "swift.class", "swift.enum", "swift.protocol")
    if is_type or len(path) == 1 or len(path) == 2 and path[0] == "Prefork":
        if locations[symbol["identifier"]["precise"]] not in listed:
            missing.append(f"Prefork.md: {'.'.join(path)}")
for page in pages:
    sections = page.get("topicSections", [])
    if all(section.get("generated") for section in sections):
        continue
    for section in sections:
        if section.get("generated") and section["title"] != "Default Implementations":
            missing += [f"{page['metadata']['title']}: {location}" for location in section["identifiers"]]
for line in missing:
    print(f"not in Topics: {line}", file=sys.stderr)
print(f"{len(listed)} articles, types and functions in the Topics of Prefork.md, {len(missing)} missing")
sys.exit(1 if missing or not listed else 0)
PYTHON
echo "docs: $out"
