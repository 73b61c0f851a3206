"""The message bus: connections, publishing and intake over RabbitMQ."""
