#!/bin/bash
# What the official image's entrypoint does with the password file, and nothing else of it.
set -eu
ES_JAVA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
export ES_JAVA_HOME
if [ -n "${ELASTIC_PASSWORD_FILE:-}" ]; then
    mode=$(stat -L -c %a "$ELASTIC_PASSWORD_FILE")
    if [ "$mode" != 400 ] && [ "$mode" != 600 ]; then
        echo "ERROR: File $ELASTIC_PASSWORD_FILE from ELASTIC_PASSWORD_FILE must have file permissions 400 or 600" >&2
        exit 1
    fi
    [ -f config/elasticsearch.keystore ] || bin/elasticsearch-keystore create -s
    bin/elasticsearch-keystore add -f -x bootstrap.password <"$ELASTIC_PASSWORD_FILE"
fi
exec bin/elasticsearch
