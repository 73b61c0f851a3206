"""The enrolment handshake: both sides prove that they know the challenge, which itself is never sent.

A pre-shared-key handshake in the manner of Noise NNpsk0: the challenge is the key, X25519 and HKDF-SHA256 give each
handshake fresh keys, and ChaCha20-Poly1305 encrypts the bodies. Pure, except for the system's random numbers.
`challenge` draws and reads challenges, `handshake` has both sides, `keys` the cryptography, `bodies` the JSON bodies.
`invitation` derives challenges from a secret that several nodes share, for nodes that enrol themselves.
"""
