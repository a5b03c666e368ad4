#!/usr/bin/env bash
# Validates the files in Platforms/Deployment with other programs' own rules: compose.yaml with the Compose
# specification, deployment.yaml with Kubernetes' schemas, the units with systemd. Each validator must also reject a
# file with a mistake. The time that each file allows for a stop must cover the library's defaults. Installs validators
# from PyPI once, into .build/manifests. 10 s, and the build of hello-prefork.
set -euo pipefail
cd "$(dirname "$0")/.."
. CI/support.sh
needs swift= curl python3 systemd-analyze=systemd systemd-socket-activate=systemd
make_scratch
compose=Platforms/Deployment/Docker/compose.yaml
deployment=Platforms/Deployment/Kubernetes/deployment.yaml

tools=.build/manifests
if ! [ -e "$tools/complete" ]; then
    virtual_environment "$tools"
    # The last docker-compose in Python carries the specification's schema. That needs none of its dependencies.
    "$tools/bin/pip" install --quiet kubernetes-validate==1.37.0 jsonschema==4.26.0 PyYAML==6.0.3
    "$tools/bin/pip" install --quiet --no-deps docker-compose==1.29.2
    touch "$tools/complete"
fi

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
! check_compose "$scratch/compose.yaml" || fail "the specification accepts a wrong name"
if docker compose version >/dev/null 2>&1; then
    docker compose -f "$compose" config --quiet
    echo "valid by docker compose config"
else
    echo "skipped: docker compose config, because docker compose is not installed"
fi

echo "== $deployment"
# The oldest version with the sleep of preStop by default, and the newest that the validator knows.
for version in 1.30 1.37; do
    "$tools/bin/kubernetes-validate" --strict --kubernetes-version "$version" "$deployment"
done
sed 's/terminationGracePeriodSeconds/terminationGracePeriodSecond/' "$deployment" >"$scratch/deployment.yaml"
! "$tools/bin/kubernetes-validate" --strict "$scratch/deployment.yaml" || fail "Kubernetes' schema accepts a wrong name"

echo "== times"
"$tools/bin/python" - "$compose" "$deployment" <<'PYTHON'
import pathlib, re, sys
import yaml
compose, deployment = (pathlib.Path(path).read_text() for path in sys.argv[1:])
api = "".join(file.read_text() for file in sorted(pathlib.Path("Sources/Prefork/API").glob("*.swift")))
periods = [
    int(re.search(rf"{name}: Duration = \.seconds\((\d+)\)", api)[1])
    for name in ("queueDrainPeriod", "gracePeriod")
]
pod = next(yaml.safe_load_all(deployment))["spec"]["template"]["spec"]
unit = pathlib.Path("Platforms/Deployment/systemd/prefork.service").read_text()
given = {
    "compose.yaml": int(yaml.safe_load(compose)["services"]["hello"]["stop_grace_period"].removesuffix("s")),
    "deployment.yaml": pod["terminationGracePeriodSeconds"]
    - pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"],
    "prefork.service": int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[1]),
}
print(f"a stop takes up to {sum(periods)} s, and SIGKILL needs a moment; allowed: {given}")
sys.exit(0 if all(seconds >= sum(periods) + 1 for seconds in given.values()) else "too little time for a stop")
PYTHON

echo "== Platforms/Deployment/systemd"
bash Platforms/Deployment/systemd/prove.sh
