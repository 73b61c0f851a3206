#!/bin/sh
# With NODE_SLOTS set, a folder that several containers share, this container takes a slot of it: the first one that no
# other container has. So a node keeps who it is from container to container, and scaling down and up again brings the
# same nodes back. The slot is NODE_DATA_DIR then, and its lock is held for as long as the node runs. The challenge and
# the address are left in the slot, where docker/enrol.py reads them.
set -eu

if [ -n "${NODE_SLOTS:-}" ]; then
    # One looks at a time: what another one gives back meanwhile is only ever one more to choose from.
    exec 8>"$NODE_SLOTS/lock"
    flock 8
    number=1
    while
        slot=$NODE_SLOTS/$number
        mkdir -p "$slot"
        exec 9>"$slot/lock" # without a close-on-exec: the agent has it, too
        ! flock --nonblock 9
    do number=$((number + 1)); done
    exec 8>&-

    # Left by docker/enrol.py: the node of this slot was removed from the master, so what is here is of no use.
    if [ -e "$slot/removed" ]; then find "$slot" -mindepth 1 ! -path "$slot/lock" -delete; fi
    rm -f "$slot/challenge.json"
    hostname -i | cut -d ' ' -f 1 >"$slot/address.new"
    mv "$slot/address.new" "$slot/address"
    ln -sfn "$slot" "$NODE_DATA_DIR"
    NODE_CHALLENGE_FILE=$slot/challenge.json
    export NODE_CHALLENGE_FILE
    echo "this container is the node of slot $number"
fi

exec "$@"
