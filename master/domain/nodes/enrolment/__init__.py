"""Enrolment: how a waiting node becomes a node of this cluster."""
