#!/usr/bin/env bash
# Prints the image variables of the stack: the official images where they can be pulled, stand-ins where they cannot.
#   scripts/images.sh [official|stand-in|auto]     one NAME=image a line, for compose's --env-file
set -euo pipefail
cd "$(dirname "$0")/.."
which=${1:-auto}
version=${STACK_VERSION:-9.5.3}
python=python:3.13-slim
folder=.stack
mkdir -p "$folder"

# A stand-in is built again when its sources change.
sources=$(cat $(find tests/stand_in -type f -not -name '*.zip' | sort) | sha256sum | cut -c1-8)
elasticsearch_stand_in=auditdeck-stand-in/elasticsearch:$version-$sources
kibana_stand_in=auditdeck-stand-in/kibana:$version-$sources

have() { docker image inspect "$1" >/dev/null 2>&1; }
pulled() { have "$1" || timeout 900 docker pull -q "$1" >/dev/null 2>&1; }

official() {
    for image in "$python" "elasticsearch:$version" "kibana:$version"; do
        pulled "$image" || return 1
    done
}

stand_in_python() {
    have auditdeck-stand-in/python:3.13-gcc && return
    echo "images: building a base image from the Debian mirror (once)" >&2
    scripts/apt-install.sh debootstrap ca-certificates
    local root mirror
    root=$(mktemp -d)
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -1)
    debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev,python3,python3-venv trixie "$root" "$mirror" >"$folder/debootstrap.log"
    tar -C "$root" --exclude=./var/cache/apt/archives/*.deb -c . | docker import - auditdeck-stand-in/python:3.13-gcc >/dev/null
    rm -rf "$root"
}

stand_in_elasticsearch() {
    have "$elasticsearch_stand_in" && return
    echo "images: building Elasticsearch $version from its published test distribution (once)" >&2
    command -v mvn >/dev/null || scripts/apt-install.sh maven
    local zip=$folder/elasticsearch-$version.zip
    [ -s "$zip" ] || mvn -q -B dependency:copy -Dmdep.useBaseVersion=true -DoutputDirectory="$PWD/$folder" \
        -Dartifact=org.elasticsearch.distribution.integ-test-zip:elasticsearch:$version:zip >"$folder/maven.log"
    cp "$zip" tests/stand_in/elasticsearch/elasticsearch.zip
    build "$elasticsearch_stand_in" tests/stand_in/elasticsearch
    rm -f tests/stand_in/elasticsearch/elasticsearch.zip
}

stand_in_kibana() {
    have "$kibana_stand_in" ||
        build "$kibana_stand_in" tests/stand_in/kibana
}

build() {
    docker build -q --network=host --build-arg BASE=auditdeck-stand-in/python:3.13-gcc -t "$1" "$2" >/dev/null
}

if [ "$which" != stand-in ] && official; then
    printf 'PYTHON_IMAGE=%s\nELASTICSEARCH_IMAGE=%s\nKIBANA_IMAGE=%s\n' "$python" "elasticsearch:$version" "kibana:$version"
elif [ "$which" = official ]; then
    echo "images: the official images cannot be pulled from here: name others in .env (PYTHON_IMAGE," >&2
    echo "        ELASTICSEARCH_IMAGE, KIBANA_IMAGE), or try the stack without them: make up STACK=stand-in" >&2
    exit 1
else
    stand_in_python
    stand_in_elasticsearch
    stand_in_kibana
    cat <<END
PYTHON_IMAGE=auditdeck-stand-in/python:3.13-gcc
ELASTICSEARCH_IMAGE=$elasticsearch_stand_in
KIBANA_IMAGE=$kibana_stand_in
END
fi
