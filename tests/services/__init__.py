"""PostgreSQL and RabbitMQ for tests and for `./dev up`, and the processes and folders that they need.

`sources` decides where the services come from. `postgres` and `rabbitmq` start them: as programs of this machine
(`programs`, `installing`), in Docker (`containers`), or not at all when the environment names them. `ports`, `folders`
and `processes` keep runs apart, `leash` clears up after a run, `sandbox` gives a test a disk or mounts of its own.

This file imports nothing: `./dev status` and `./dev down` use `processes` and `leash` with the standard library alone.
"""
