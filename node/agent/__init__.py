"""The agent: messages in, record requests and reports out."""
