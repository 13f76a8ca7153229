#!/usr/bin/env bash
# Installs the Debian packages that tests use (argument "test") or that setup needs (argument "setup").
# Does nothing for what is present; without root it only says what is missing.
set -euo pipefail

purpose=${1:-test}
missing=()

need() { # need PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}
need_package() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'install ok installed' || missing+=("$1")
}

command -v dpkg-query >/dev/null 2>&1 || exit 0 # not Debian: the person knows better

case $purpose in
setup)
    ${PYTHON:-python3} -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    ;;
test)
    need tmux tmux
    need curl curl
    need ip iproute2              # nodes that are cut off
    need promtool prometheus
    need cc gcc
    need zsh zsh                  # completions, asked of the shells themselves
    need fish fish
    need chromium chromium        # the console in a browser
    need mandoc mandoc            # manual pages
    need podman podman            # real containers, by runc (crun refuses hybrid cgroups)
    need runc runc
    need catatonit catatonit
    need_package busybox-static   # the image of their tests
    need_package fonts-noto-cjk   # Chinese on pictures
    need_package libcairo2        # pictures of the console
    need_package postgresql       # the store of several servers
    need nginx nginx-light        # examples of load balancers
    need haproxy haproxy
    need systemd-analyze systemd  # units are read as systemd reads them
    need_package procps
    need_package locales
    need_package ca-certificates
    ;;
*)
    echo "usage: $0 setup|test" >&2
    exit 2
    ;;
esac

[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "Missing system packages: ${missing[*]}. Install them with: sudo apt-get install -y ${missing[*]}" >&2
    [ "$purpose" = setup ] && exit 1
    exit 0 # tests that need them skip and say so
fi

# Packages such as prometheus would start a service: invoke-rc.d asks this file and obeys 101.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
echo "Installing ${missing[*]}" >&2
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
