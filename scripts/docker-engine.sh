#!/usr/bin/env bash
# Makes `docker compose` work on a Debian machine that has no Docker engine; does nothing where one answers.
# Debian 13's engine and plugins are unpacked into a folder of their own (they run on Debian 12 as well, whose own
# engine is too old), from the same mirror that the machine uses. `stop` ends the engine that was started here.
set -euo pipefail
home=${AUDITDECK_DOCKER:-/var/lib/auditdeck-docker}
pidfile=$home/dockerd.pid

if [ "${1:-}" = stop ]; then
    [ -s "$pidfile" ] && kill "$(cat "$pidfile")" && echo "docker: stopped" >&2
    exit 0
fi

if docker compose version >/dev/null 2>&1 && docker version >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "docker: no engine answers; install Docker with the compose plugin" >&2
    exit 1
fi

cd "$(dirname "$0")/.."
# Debian 12's runc and what the engine needs; it must not start as a service.
scripts/apt-install.sh docker.io iptables debootstrap ca-certificates

if [ ! -x "$home/usr/sbin/dockerd" ]; then
    echo "docker: unpacking Debian 13's engine into $home" >&2
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -1)
    mkdir -p "$home"/apt/{lists/partial,archives/partial}
    echo "deb $mirror trixie main" >"$home/apt/sources.list"
    options=(-qq -oDir::Etc::SourceList="$home/apt/sources.list" -oDir::Etc::SourceParts=/dev/null
        -oDir::State::Lists="$home/apt/lists" -oAPT::Get::List-Cleanup=0)
    apt-get "${options[@]}" update >/dev/null
    (cd "$home/apt/archives" &&
        apt-get "${options[@]}" -oAPT::Sandbox::User=root download \
            docker.io docker-cli docker-compose docker-buildx containerd >/dev/null)
    for package in "$home"/apt/archives/*.deb; do
        dpkg -x "$package" "$home"
    done
    mkdir -p /usr/libexec/docker/cli-plugins
    for plugin in "$home"/usr/libexec/docker/cli-plugins/*; do
        ln -sf "$plugin" /usr/libexec/docker/cli-plugins/
    done
    ln -sf "$home/usr/bin/docker" /usr/local/bin/docker
fi

if ! docker version >/dev/null 2>&1; then
    echo "docker: starting the engine" >&2
    PATH="$home/usr/sbin:$home/usr/bin:$PATH" setsid "$home/usr/sbin/dockerd" \
        --pidfile "$pidfile" --data-root "$home/data" >"$home/dockerd.log" 2>&1 </dev/null &
    for _ in $(seq 120); do
        docker version >/dev/null 2>&1 && exit 0
        sleep 0.5
    done
    echo "docker: the engine did not start:" >&2
    tail -20 "$home/dockerd.log" >&2
    exit 1
fi
