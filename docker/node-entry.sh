#!/bin/sh
# Starts the command of a node container. With NODE_SLOTS set, a folder that several containers share, it first takes a
# slot: the first one that no other container holds. So nodes keep their identity from container to container, and
# scaling down and up again brings the same nodes back. NODE_DATA_DIR becomes a link to the slot, whose lock is held
# until the container ends. docker/enrol.py reads challenge and address in the slot.
set -eu
umask 077

if [ -n "${NODE_SLOTS:-}" ]; then
    # Containers choose one after the other.
    exec 8>"$NODE_SLOTS/lock"
    flock 8
    number=1
    while
        slot=$NODE_SLOTS/$number
        mkdir -p "$slot"
        exec 9>"$slot/lock" # stays open in the agent
        ! flock --nonblock 9
    do number=$((number + 1)); done

    # docker/enrol.py marks slots whose node was removed from the master: the next node is a new one.
    if [ -e "$slot/removed" ]; then find "$slot" -mindepth 1 ! -path "$slot/lock" -delete; fi
    rm -f "$slot/challenge.json"
    hostname -i | cut -d ' ' -f 1 >"$slot/address.new"
    mv "$slot/address.new" "$slot/address"
    exec 8>&-
    ln -sfn "$slot" "$NODE_DATA_DIR"
    NODE_CHALLENGE_FILE=$slot/challenge.json
    export NODE_CHALLENGE_FILE
    echo "this container runs the node of slot $number"
fi

exec "$@"
