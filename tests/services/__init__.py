"""PostgreSQL, RabbitMQ and other programs, started for tests and for `./dev up`."""
