"""Random names for nodes: two words that are easy to say and to distinguish."""

import secrets

FIRST = (
    "amber ashen azure bold brave brisk bronze calm clear clever coral cosmic crisp dapper deft early eager "
    "fair fleet fond frosty gentle gilded golden grand happy hardy hazel humble ivory jolly keen kind lively "
    "loyal lucid lunar mellow merry mighty misty modest neat nimble noble opal patient placid plucky polar "
    "proud quick quiet rapid ready rosy royal rustic sage serene silent silver sleek smart snowy solar solid "
    "spry stable steady sunny swift tidy trusty urban velvet vivid warm wise witty zesty "
).split()
SECOND = (
    "acorn anchor aspen badger beacon birch bison bridge brook canyon cedar cliff comet condor coral crane "
    "creek delta dune eagle ember falcon fern finch fjord fox gecko glacier grove harbor hawk heron hill "
    "island jasper juniper lagoon lark lemur lynx maple marble marten meadow mesa moose nova oak ocean orchid "
    "osprey otter owl panda pebble pine plover puffin quartz raven reef ridge river robin rowan sparrow spruce "
    "stone stork summit swan thistle tiger trout tulip valley violet walrus willow wolf wren yak zephyr "
).split()


def random_name(attempt: int = 0) -> str:
    """Return a name like "swift-otter"; after three attempts, when short names seem used up, with four digits."""
    name = f"{secrets.choice(FIRST)}-{secrets.choice(SECOND)}"
    return name if attempt < 3 else f"{name}-{1000 + secrets.randbelow(9000)}"
