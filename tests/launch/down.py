"""`./dev down`: ends the clusters of this folder, even if their launchers were killed. Data of --keep stays.

It only ends recorded processes, identified by their id and start time.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.launch import registry
from tests.launch.registry import ROOT, Record, named
from tests.services.leash import remove_containers
from tests.services.processes import Birth, birth_of, descendants

EVERY_S = 5.0
ORDERLY_S = 120.0
"""Time for a launcher to stop its cluster: it gives each program 15 s before it kills it."""
GRACE_S = 15.0
LAST = ("postgres", "beam.smp", "epmd")
"""Services, which end last, when nobody uses them any more."""


def main() -> int:
    """Run `./dev down`. Exit codes: 0 nothing runs any more, 1 something could not be ended."""
    parser = argparse.ArgumentParser(prog="./dev down", description="Stop the clusters of this folder.")
    parser.add_argument("--port", type=int, help="stop only the cluster whose API has this port")
    arguments = parser.parse_args()
    records = registry.read_all(arguments.port)
    if not any(record.runs or record.left for record in records):
        at = f" at port {arguments.port}" if arguments.port else ""
        print(f"nothing runs from this folder{at}")
    try:
        for record in records:
            end(record)
    except PermissionError:
        print("the cluster belongs to another user: run ./dev down as that user, or as root", file=sys.stderr)
        return 1
    except StillRunning as error:
        print(f"could not be ended: {error}", file=sys.stderr)
        return 1
    return 0


class StillRunning(Exception):
    """Processes that are still running after SIGKILL."""


def end(record: Record) -> None:
    """Stop one cluster and remove its traces. Raises PermissionError, StillRunning."""
    if record.runs:
        print(f"stopping {record.api} (process {record.launcher.pid})", flush=True)
        send(record.launcher, signal.SIGTERM)
        wait_until(lambda: not record.runs, "stopping", ORDERLY_S)
        for birth in (record.launcher, record.keeper):
            send(birth, signal.SIGKILL)
        wait_until(lambda: not record.runs, "stopping", GRACE_S)
        record = next(iter(registry.read_all(record.port)), record)
    if record.left:
        print(f"ending processes that {record.api} left behind: {named(record.left)}", flush=True)
        end_leftovers(record)
    clear(record)
    if record.kept and Path(record.folder).is_dir():
        print(f"the data is kept in {record.folder}; to continue with it: ./dev up --keep {record.folder}")


def end_leftovers(record: Record) -> None:
    """End processes without a launcher: first the cluster's own programs, then its services. Raises StillRunning."""
    births = [birth for pid in record.left if (birth := birth_of(pid))]
    names = {birth: name for birth in births for name in [registry.name_of(birth.pid)]}
    services = [birth for birth in births if names[birth].startswith(LAST) or is_below_service(birth, names)]
    end_all([birth for birth in births if birth not in services])
    stop_proxies(record)
    end_all([birth for birth in births if birth.is_alive])


def is_below_service(birth: Birth, names: dict[Birth, str]) -> bool:
    """Whether a process is a wrapper or a helper of a service: the shell around beam.smp, Erlang's port programs."""
    below = {registry.name_of(pid) for pid in descendants(birth.pid)}
    return bool(below & set(LAST)) or names[birth].startswith(("erl_child_setup", "inet_gethost"))


def end_all(births: list[Birth]) -> None:
    """End processes with SIGTERM, and after some seconds with SIGKILL. Raises StillRunning."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for birth in births:
            send(birth, number)
            if number is signal.SIGTERM:
                send(birth, signal.SIGCONT)
        wait_until(lambda: not any(birth.is_alive for birth in births), "ending processes", GRACE_S)
    alive = [birth.pid for birth in births if birth.is_alive]
    if alive:
        raise StillRunning(named(alive))


def stop_proxies(record: Record) -> None:
    """Run `maybe-node stop` for each node: it finds workers that started after the last record."""
    for data in sorted(Path(record.folder).glob("node-*/")):
        command = [sys.executable, "-m", "node", "stop"]
        environment = {**os.environ, "NODE_DATA_DIR": str(data), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            print(f"maybe-node stop for {data}: {done.stderr.strip()}", file=sys.stderr)


def clear(record: Record) -> None:
    """Remove the containers, the scratch folder and the record of the cluster."""
    run = Path(record.run)
    remove_containers(run.name)
    if run.name.startswith("maybe-run-") and not (record.kept and run == Path(record.folder)):
        shutil.rmtree(run, ignore_errors=True)
    registry.forget(record.port)


def send(birth: Birth, number: signal.Signals) -> None:
    """Send a signal to exactly this process: a pidfd never refers to another one (pidfd_open(2))."""
    if not hasattr(os, "pidfd_open"):
        if birth.is_alive:
            os.kill(birth.pid, number)
        return
    try:
        descriptor = os.pidfd_open(birth.pid)
    except ProcessLookupError:
        return
    try:
        if birth.is_alive:
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def wait_until(ask: Callable[[], bool], doing: str, limit_s: float) -> None:
    """Wait until `ask` is true, at most `limit_s`, and print progress every few seconds."""
    began = last_report = time.monotonic()
    while not ask() and time.monotonic() - began < limit_s:
        if time.monotonic() - last_report >= EVERY_S:
            last_report = time.monotonic()
            print(f"still {doing}: {last_report - began:.0f} s", flush=True)
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
