"""The handshake by which a node becomes known, once: both sides prove the challenge, which itself never travels.

A pre-shared-key handshake in the manner of Noise NNpsk0: the challenge is the key, X25519 gives each handshake fresh
keys (HKDF-SHA256), ChaCha20-Poly1305 carries the bodies. Pure: no I/O but the system's random numbers.
"""
