#!/bin/sh
# With CHALLENGE_DIR set, the node leaves its challenge and its address there, under a name that stays with its data
# from container to container; docker/enrol.py reads them.
set -eu

if [ -n "${CHALLENGE_DIR:-}" ]; then
    key_file=$NODE_DATA_DIR/key
    [ -s "$key_file" ] || cat /proc/sys/kernel/random/uuid >"$key_file"
    key=$(cat "$key_file")
    hostname -i | cut -d ' ' -f 1 >"$CHALLENGE_DIR/$key.address"
    NODE_CHALLENGE_FILE=$CHALLENGE_DIR/$key.json
    export NODE_CHALLENGE_FILE
fi

exec "$@"
