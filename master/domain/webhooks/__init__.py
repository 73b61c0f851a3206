"""Webhooks: events delivered by HTTP POST, signed and in order.

`service` reads, creates, changes and removes webhooks; `delivery` sends their events; `signing` builds the signed
messages, and `callback_urls` decides which addresses may be called.
"""
