#!/usr/bin/env bash
# Runs the tests with the vendors' own programs: installs them by npm into the folder given, then
# tests in a network namespace that has loopback alone, so that nothing reaches a vendor.
set -eu -o pipefail

folder=${1:?where to install the programs}
python=${2:?the Python to test with}
shift 2

if ! command -v npm >/dev/null; then
    echo "npm is not installed: the vendors' programs cannot be had" >&2
    exit 1
fi
packages=(
    @anthropic-ai/claude-code@2.1.330
    @openai/codex@0.169.0
    @google/gemini-cli@0.61.0
    @qwen-code/qwen-code@0.24.4
)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if [ "$(cat "$folder/.installed" 2>/dev/null || true)" != "${packages[*]}" ]; then
    echo "Installing the agents' programs into $folder"
    echo '{"private": true}' >"$folder/package.json"
    # Their install scripts are not run: the programs for this machine are packages too.
    npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts "${packages[@]}"
    echo "${packages[*]}" >"$folder/.installed"
fi

export RUNWATCH_REAL_AGENTS=$folder
alone=(unshare --net)
[ "$(id -u)" = 0 ] || alone=(unshare --net --map-root-user)
exec "${alone[@]}" bash -c 'ip link set lo up && exec "$@"' alone \
    "$python" -m pytest tests/end_to_end/test_real_agents.py tests/end_to_end/test_real_logins.py -p no:cacheprovider "$@"
