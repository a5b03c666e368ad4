#!/usr/bin/env bash
# Holds what Platforms/ says to other programs against their own rules: compose.yaml against the Compose specification,
# deployment.yaml against Kubernetes' schemas, the units against systemd; each with a mistake that must be noticed. The times
# that each gives a stop must fit the library's defaults. Needs python3 with venv, systemd-analyze, and PyPI the first time
# (kept in .build/manifests). 10 s, and the build of hello-prefork.
set -euo pipefail
cd "$(dirname "$0")/.."
compose=Platforms/Deployment/Docker/compose.yaml
deployment=Platforms/Deployment/Kubernetes/deployment.yaml

tools=.build/manifests
if ! [ -e "$tools/complete" ]; then
    python3 -m venv "$tools"
    # The last docker-compose in Python carries the specification's schema; what else it wants is not needed for that.
    "$tools/bin/pip" install --quiet kubernetes-validate==1.37.0 jsonschema==4.26.0 PyYAML==6.0.3
    "$tools/bin/pip" install --quiet --no-deps docker-compose==1.29.2
    touch "$tools/complete"
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

echo "== $compose"
check_compose() {
    "$tools/bin/python" - "$1" <<'PYTHON'
import json, pathlib, site, sys
import jsonschema, yaml
schema = json.loads((pathlib.Path(site.getsitepackages()[0]) / "compose/config/compose_spec.json").read_text())
validator = jsonschema.Draft7Validator(schema)
errors = [error.message for error in validator.iter_errors(yaml.safe_load(pathlib.Path(sys.argv[1]).read_text()))]
print("\n".join(errors) or "valid by the specification's schema of docker-compose 1.29.2")
sys.exit(1 if errors else 0)
PYTHON
}
check_compose "$compose"
sed 's/stop_grace_period/stop_grace_periods/' "$compose" >"$scratch/compose.yaml"
! check_compose "$scratch/compose.yaml" || { echo "a wrong name is not noticed" >&2; exit 1; }
if docker compose version >/dev/null 2>&1; then
    docker compose -f "$compose" config --quiet
    echo "valid by docker compose config"
else
    echo "docker compose is not here: skipped"
fi

echo "== $deployment"
# The oldest with preStop's sleep by default, and the newest that the package knows.
for version in 1.30 1.37; do
    "$tools/bin/kubernetes-validate" --strict --kubernetes-version "$version" "$deployment"
done
sed 's/terminationGracePeriodSeconds/terminationGracePeriodSecond/' "$deployment" >"$scratch/deployment.yaml"
! "$tools/bin/kubernetes-validate" --strict "$scratch/deployment.yaml" || {
    echo "a wrong name is not noticed" >&2
    exit 1
}

echo "== times"
"$tools/bin/python" - <<'PYTHON'
import pathlib, re, sys
import yaml
configuration = "".join(file.read_text() for file in pathlib.Path("Sources/Prefork/API").glob("*.swift"))
periods = [
    int(re.search(rf"var {name}: Duration = \.seconds\((\d+)\)", configuration)[1])
    for name in ("queueDrainPeriod", "shutdownGracePeriod")
]
compose = yaml.safe_load(pathlib.Path("Platforms/Deployment/Docker/compose.yaml").read_text())["services"]["hello"]
pod = next(yaml.safe_load_all(pathlib.Path("Platforms/Deployment/Kubernetes/deployment.yaml").read_text()))["spec"]["template"]["spec"]
unit = pathlib.Path("Platforms/Deployment/systemd/prefork.service").read_text()
given = {
    "compose.yaml": int(compose["stop_grace_period"].removesuffix("s")),
    "deployment.yaml": pod["terminationGracePeriodSeconds"]
    - pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"],
    "prefork.service": int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[1]),
}
print(f"a stop takes at most {sum(periods)} s and what SIGKILL takes; given: {given}")
sys.exit(0 if all(seconds >= sum(periods) + 1 for seconds in given.values()) else "too little")
PYTHON

echo "== Platforms/Deployment/systemd"
bash Platforms/Deployment/systemd/prove.sh
