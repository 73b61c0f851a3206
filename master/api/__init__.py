"""What all routes share: requests, responses, problems, OpenAPI, idempotency and waiting."""
