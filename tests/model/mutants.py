"""The protocol with one rule taken away, and the tests that must see it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType

from master.sync import inbox, report_rules
from node.reconcile import plan as reconcile
from node.state import local_copy
from shared.messages import assembly
from tests.model.exhaustive import Search
from tests.model.rules import Rules
from tests.model.weather import history

UNIT = Path(__file__).parents[1] / "unit"
UNIT_TESTS = {
    local_copy: ("node/test_local_copy.py", "sync/test_protocol_rules.py"),
    report_rules: ("sync/test_report_rules.py", "sync/test_protocol_rules.py"),
    assembly: ("sync/test_messages.py", "sync/test_protocol_rules.py"),
    reconcile: ("node/test_reconcile.py",),
    inbox: ("sync/test_protocol_sender.py",),
}
HISTORIES = (6, 900)
"""Random histories that must see a rule missing, and the steps of each."""


@dataclass(frozen=True)
class Mutant:
    """`without` stands in the place of `rule`, which occurs once in the function."""

    name: str
    module: ModuleType
    function: str
    rule: str
    without: str

    def functions(self) -> dict[str, Callable]:
        """All functions of the module, over the changed one."""
        source = inspect.getsource(getattr(self.module, self.function))
        assert source.count(self.rule) == 1, f"{self.name}: the rule is not where it was"
        space = dict(vars(self.module))
        exec(compile(source.replace(self.rule, self.without), self.name, "exec"), space)  # the project's own source
        for name, value in vars(self.module).items():
            if isinstance(value, FunctionType) and value.__module__ == self.module.__name__ and name != self.function:
                space[name] = rebound(value, space)
        return {name: space[name] for name, value in vars(self.module).items() if isinstance(value, FunctionType)}

    def caught_by(self) -> str | None:
        """The first test that fails without the rule; the unit tests are asked first, since they are quick."""
        functions = self.functions()
        rules = Rules(**{name: functions[name] for name in Rules.__dataclass_fields__ if name in functions})
        return by_unit_tests(self.module, functions) or by_model(rules)


def rebound(function: FunctionType, space: dict[str, object]) -> FunctionType:
    twin = FunctionType(function.__code__, space, function.__name__, function.__defaults__, function.__closure__)
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def by_model(rules: Rules) -> str | None:
    if all(getattr(rules, name) is getattr(Rules, name) for name in Rules.__dataclass_fields__ if name != "sender"):
        return None
    for seed in range(HISTORIES[0]):
        try:
            history(rules, seed, HISTORIES[1])
        except Exception as error:  # noqa: BLE001 (whatever breaks is seen)
            return f"history {seed}: {type(error).__name__} {error}"
    try:
        Search(rules, 2, split=True).run(3_000)
        Search(rules, 3).run(25_000)
    except Exception as error:  # noqa: BLE001
        return f"search: {type(error).__name__} {error}"
    return None


def by_unit_tests(module: ModuleType, functions: dict[str, Callable]) -> str | None:
    """The unit tests of the module, read anew with the changed functions in the place of the imported ones."""
    for file in UNIT_TESTS[module]:
        space: dict[str, object] = {"__name__": file.removesuffix(".py")}
        exec(compile((UNIT / file).read_text(), file, "exec"), space)
        space |= {name: function for name, function in functions.items() if name in space}
        for name, test in list(space.items()):
            if name.startswith("test_") and callable(test) and is_plain(test):
                try:
                    test()
                except Exception as error:  # noqa: BLE001
                    return f"{file}: {name} ({type(error).__name__})"
    return None


def is_plain(test: Callable) -> bool:
    return not hasattr(test, "hypothesis") and not inspect.signature(test).parameters
