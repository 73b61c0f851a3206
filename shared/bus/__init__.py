"""The message bus over RabbitMQ, and the only imports of aio_pika and aiormq.

`client` keeps a program connected and publishes, `intake` consumes, `envelopes` are messages without their driver,
`connections` and `frames` harden the driver, `failures` are its errors, `logins` tries a login for the doctors.
"""
