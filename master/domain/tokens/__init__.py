"""Tokens: who may use the API, for what, and for which part of the fleet.

`authentication` finds the token of each request, `commands` is for an operator who has lost all of them.
"""
