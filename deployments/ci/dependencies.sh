#!/usr/bin/env bash
# Looks the pinned dependencies up in the database of known vulnerabilities (pip-audit). Where that
# database cannot be reached it says so and ends with 0: nothing was found, and nothing was looked up.
set -eu -o pipefail

python=${1:?the Python that has pip-audit}
report=$(mktemp)
trap 'rm -f "$report"' EXIT
status=0
"$python" -m pip_audit --requirement requirements/constraints.txt --no-deps --disable-pip \
    --progress-spinner off --format json --output "$report" 2>/dev/null || status=$?
"$python" - "$report" "$status" <<'PYTHON'
import json
import pathlib
import sys

report, status = pathlib.Path(sys.argv[1]), int(sys.argv[2])
text = report.read_text()
if not text:
    print("Dependencies NOT audited: the database of known vulnerabilities could not be reached")
    sys.exit(0)
found = json.loads(text)["dependencies"]
missed = [each["name"] for each in found if "skip_reason" in each]
wrong = [(each["name"], each["version"], each["vulns"]) for each in found if each.get("vulns")]
for name, version, vulnerabilities in wrong:
    print(f"{name} {version}: {', '.join(each['id'] for each in vulnerabilities)}")
if len(missed) == len(found):
    print("Dependencies NOT audited: the database of known vulnerabilities could not be reached")
else:
    print(f"{len(found) - len(missed)} dependencies audited, {len(wrong)} with known vulnerabilities")
    if missed:
        print(f"not in the database: {', '.join(missed)}")
sys.exit(1 if wrong else 0)
PYTHON
