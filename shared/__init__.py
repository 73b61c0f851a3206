"""Code that master and node share.

`messages` and `bus` are the protocol and its transport, `enrolment` the handshake, `doctor` the form of both doctors.
`proxies`, `destinations`, `special_addresses` and `engine` define proxies and what engines make of them. `settings`,
`tasks`, `logs`, `http_server`, `validation_errors` and `version` serve both programs.
"""
