"""How nodes get their code: bundles, the port that they are downloaded from, and the line that installs a node."""
