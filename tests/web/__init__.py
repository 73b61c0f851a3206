"""Tests of the web page in a browser."""
