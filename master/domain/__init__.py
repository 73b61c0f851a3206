"""Everything that an operator works with, one package for each noun.

Each package has routes.py, schemas.py, service.py and the .sql files of its statements; loops are in a runner.
"""
