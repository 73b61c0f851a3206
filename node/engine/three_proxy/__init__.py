"""The 3proxy engine: one 3proxy process for each proxy, which outlives the agent.

`engine` is the engine itself. `binary` finds the program, `configuration` and `destinations` write its configuration,
`process` starts and ends it, `readiness` reads from its log whether it accepts connections, `listening` checks ports.
`state` remembers processes across restarts of the agent; `ledger` and `counting` add up usage from the logs.
"""
