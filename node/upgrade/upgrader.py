"""Carries out an upgrade step by step. Each step is repeatable, and is in the journal before it begins, so that an end
at any moment leaves a version that runs, and a next run that finishes or undoes the upgrade."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from node.upgrade import copy_backup
from node.upgrade.agent import AgentControl, Unhealthy
from node.upgrade.copy_backup import BackupFailed
from node.upgrade.decisions import DECIDED, UNTOUCHED, Refused, bundle_room, check_order, check_room, chosen_file, shown
from node.upgrade.downloads import beside, fetch_file, fetch_small
from node.upgrade.durable import remove_tree
from node.upgrade.layout import Layout
from node.upgrade.records import REASON_LENGTH, Journal, Step, UpgradeProgress
from node.upgrade.store import UpgradeStore, check_checksum, free_bytes, manifest_keys
from node.upgrade.unpacking import sha256_of, unpack, verify
from node.upgrade.versions import Versions
from shared.durable_files import write_file
from shared.messages.bodies import UpgradeRequest
from shared.release.manifest import MANIFEST_LIMIT, SIGNATURE, BadManifest, BundleFile, bundle_folder, read_manifest
from shared.release.signing import SIGNATURES_LIMIT, BadKey, BadSignature
from shared.release.signing import verify as verify_signature
from shared.validation_errors import printable

BUNDLE = "bundle.tar.gz"
UNPACKED = "unpacked"


@dataclass(frozen=True, slots=True)
class Ending:
    """How an upgrade ended, and why."""

    state: UpgradeProgress
    reason: str


class Upgrader:
    """Carries out the upgrade of one journal."""

    def __init__(self, layout: Layout, agent: AgentControl, store: UpgradeStore, log: Callable[[str], None]) -> None:
        self._layout, self._agent, self._store, self._log = layout, agent, store, log
        self._versions = Versions(layout)
        self._steps: dict[Step, Callable[[Journal], Journal]] = {
            "fetching": self._fetch,
            "verifying": self._verify,
            "installing": self._install,
            "flipping": self._flip,
            "restarting": self._restart,
            "checking": self._check,
        }

    def run(self, journal: Journal) -> Ending:
        """Take the steps from the journal's on, and return how it ended. Raises OSError when even that has no room."""
        try:
            while journal.step not in DECIDED:
                self._begin(journal)
                journal = self._steps[journal.step](journal)
            self._store.write_journal(journal)
        except (Refused, Unhealthy, BackupFailed, OSError) as error:
            if journal.step in UNTOUCHED:
                return self.refuse(journal, reason_of(error))
            if journal.step != "undoing":
                journal = at(journal, "undoing").model_copy(update={"reason": reason_of(error)})
        return self._commit(journal) if journal.step == "committing" else self._undo(journal)

    def refuse(self, journal: Journal, reason: str) -> Ending:
        """End an upgrade that has not changed anything yet. Raises OSError."""
        self._try(lambda: self._versions.discard(journal.version))
        return self._end(journal, "refused", reason)

    def _begin(self, journal: Journal) -> None:
        """Note the step durably before it begins. Raises OSError."""
        self._store.write_journal(journal)
        if journal.request is not None:
            self._store.write_state(shown(journal, journal.request, now()))
        self._log(f"upgrade from {journal.before} to {journal.version}: {journal.step}")

    def _fetch(self, journal: Journal) -> Journal:
        """Fetch the manifest, have it decide, and fetch the bundle. Raises Refused, OSError."""
        self._clear_work()
        self._store.keep_reserve()
        request, version = journal.request, journal.version
        if request is None:
            raise Refused("an upgrade by hand has nothing to fetch")
        file = self._judged(request, journal.before)
        if version != journal.before and not self._versions.is_whole(version):
            check_room(bundle_room(file), free_bytes(self._layout.work), str(self._layout.prefix))
            fetch_file(beside(request.url, file.name), self._layout.work / BUNDLE, file.size, file.sha256)
        return at(journal, "verifying")

    def _judged(self, request: UpgradeRequest, installed: str) -> BundleFile:
        """Fetch the manifest and its signatures, and check everything that they decide. Raises Refused, OSError."""
        raw = fetch_small(request.url, MANIFEST_LIMIT)
        signatures = fetch_small(beside(request.url, SIGNATURE), SIGNATURES_LIMIT)
        check_checksum(raw, request.sha256)
        try:
            verify_signature(raw, signatures.decode("ascii", "replace"), manifest_keys(self._layout))
            manifest = read_manifest(raw)
        except (BadSignature, BadKey, BadManifest) as error:
            raise Refused(f"the manifest of version {request.version}: {error}") from error
        check_order(request, manifest, installed=installed, bad=self._store.bad_versions())
        return chosen_file(manifest, self._versions.host(installed))

    def _verify(self, journal: Journal) -> Journal:
        """Unpack the bundle aside, and check each of its files. Raises Refused, OSError."""
        bundle, unpacked = self._layout.work / BUNDLE, self._layout.work / UNPACKED
        if bundle.exists():
            unpack(bundle, unpacked, bundle_folder(journal.version))
            verify(unpacked, journal.version)
        return at(journal, "installing")

    def _install(self, journal: Journal) -> Journal:
        """Place the version beside the others, and note what it has to be measured by. Raises several."""
        version, unpacked = journal.version, self._layout.work / UNPACKED
        if version == journal.before:
            return at(journal, "committing")
        if unpacked.exists():
            self._versions.place(unpacked, version, sha256_of(self._layout.work / BUNDLE))
        self._agent.try_out(version)
        write_file(self._layout.ports_file, self._agent.record(journal.before))
        schema = copy_backup.save(self._layout.data_dir, self._agent.user)
        return at(journal, "flipping").model_copy(update={"schema_before": schema})

    def _flip(self, journal: Journal) -> Journal:
        self._versions.flip(journal.before, journal.version)
        return at(journal, "restarting")

    def _restart(self, journal: Journal) -> Journal:
        self._restart_agent(journal.version)
        return at(journal, "checking")

    def _restart_agent(self, version: str) -> None:
        """Restart the agent with this version. Whether that succeeded is left to the check, which knows why not: a
        command of systemd that ends early or late need not be a failure of the agent. Raises OSError."""
        try:
            if self._versions.place_units(version):
                self._agent.reload_units()
            self._agent.restart()
        except Unhealthy as error:
            self._log(f"the restart: {error}")

    def _check(self, journal: Journal) -> Journal:
        self._agent.check(journal.version)
        return at(journal, "committing")

    def _commit(self, journal: Journal) -> Ending:
        """Make the new version the installed one for good. From here on nothing is undone. Raises OSError."""
        if journal.version != journal.before:
            self._versions.commit(journal.before)
        return self._end(journal, "done", "")

    def _undo(self, journal: Journal) -> Ending:
        """Bring the version from before back. The flip comes first: a full disk may refuse all else. Raises OSError."""
        self._log(f"undoing the upgrade to {journal.version}: {journal.reason}")
        self._try(lambda: self._store.write_journal(journal))
        self._versions.flip_back(journal.before)
        reason = journal.reason
        try:
            self._restart_before(journal)
            self._agent.check(journal.before)
        except (Unhealthy, BackupFailed) as error:
            reason = f"{reason}; afterwards, version {journal.before}: {error}"
        self._try(lambda: self._versions.discard(journal.version))
        self._store.use_reserve()
        if journal.request is not None:
            self._store.mark_bad(journal.version, journal.request.sha256, reason[:REASON_LENGTH], now())
        return self._end(journal, "rolled_back", reason)

    def _restart_before(self, journal: Journal) -> None:
        """Restart the version from before, with its own local copy if the other one changed the schema."""
        data_dir, user, schema = self._layout.data_dir, self._agent.user, journal.schema_before
        if schema is not None and copy_backup.is_changed(data_dir, user, schema):
            self._agent.stop()
            copy_backup.restore(data_dir, user, schema)
        self._restart_agent(journal.before)

    def _end(self, journal: Journal, state: UpgradeProgress, reason: str) -> Ending:
        """Publish how it ended, and remove all that only an upgrade under way has. Raises OSError."""
        ending = Ending(state, printable(reason, REASON_LENGTH))
        self._try(self._clear_work)
        self._store.use_reserve()
        if journal.request is not None:
            last = shown(journal, journal.request, now())
            self._store.write_state(last.model_copy(update={"state": state, "reason": ending.reason}))
        self.clean_up()
        self._log(f"upgrade from {journal.before} to {journal.version}: {state} {ending.reason}".rstrip())
        return ending

    def clean_up(self) -> None:
        """Remove what an upgrade that has ended may have left. The journal goes last. Raises OSError."""
        self._clear_work()
        self._store.use_reserve()
        self._layout.ports_file.unlink(missing_ok=True)
        self._versions.end()
        self._store.remove_journal()

    def _clear_work(self) -> None:
        for path in self._layout.work.iterdir():
            remove_tree(path)

    def _try(self, act: Callable[[], None]) -> None:
        """Do what a full disk may refuse, and what the upgrade can end without."""
        try:
            act()
        except OSError as error:
            self._log(f"{Path(error.filename or '?').name} was not written: {error.strerror}")


def at(journal: Journal, step: Step) -> Journal:
    """Return the journal at another step."""
    return journal.model_copy(update={"step": step})


def now() -> str:
    """Return the moment as text."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def reason_of(error: Exception) -> str:
    """Describe an error for the state."""
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}"
    return str(error)
