"""The launcher behind `./dev up`, `status`, `node` and `down`: a whole cluster on this machine.

`__main__` reads the command line and starts `up` under the leash, `background` does so detached. `up` starts everything
(`returning` the nodes of a kept cluster, as `memory` knows them), tries it out (`trial`), fills it with a fleet on
request (`demo`), and prints `screen`. Meanwhile `keep_running` restarts programs and `recording` writes the cluster
into `registry`, which `status`, `down` and `spare_node` read. `failures` explains errors, `patience` reports long
waits.
"""
