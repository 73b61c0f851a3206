"""`maybe-master doctor`: examines the settings, the database, the broker and the API, and changes nothing.

`examination` reads everything; the pure modules `database`, `broker` and `topology` turn it into findings.
`broker_inspection` reads RabbitMQ's management API, `api` looks who answers at the API's port.
"""
