"""Paths of an installation, found from where its code lies."""

from dataclasses import dataclass
from pathlib import Path

ROOT_PREFIX = ("opt", "maybe-node")
HOME_PREFIX = (".local", "share", "maybe-node")
CODE = Path(__file__).absolute()
"""Where this code lies, with the symlink by which it was reached."""
ENTRIES = ("current", "previous", "upgrader")


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of an installation. `own` is the version that runs this code.

    With `is_user`, everything is below a home directory and belongs to one user.
    """

    prefix: Path
    state_dir: Path
    keys_file: Path
    data_dir: Path
    units_dir: Path
    own: Path
    is_user: bool

    @property
    def versions(self) -> Path:
        """The folder with one folder for each installed version."""
        return self.prefix / "versions"

    @property
    def work(self) -> Path:
        """The folder for downloads. Its lock keeps upgrades and install.sh apart; other users may not open it, so none
        can hold the lock."""
        return self.prefix / ".upgrade"

    @property
    def current(self) -> Path:
        """The symlink to the version that runs."""
        return self.prefix / "current"

    @property
    def previous(self) -> Path:
        """The symlink to the version that ran before."""
        return self.prefix / "previous"

    @property
    def upgrader(self) -> Path:
        """The symlink to the version that carries out an upgrade, and can undo it. It exists only meanwhile."""
        return self.prefix / "upgrader"

    @property
    def state_file(self) -> Path:
        """The state of the last upgrade, for everybody to read."""
        return self.state_dir / "state.json"

    @property
    def journal_file(self) -> Path:
        """The journal of the upgrade under way."""
        return self.state_dir / "journal.json"

    @property
    def bad_file(self) -> Path:
        """The versions that were rolled back."""
        return self.state_dir / "bad-versions.json"

    @property
    def reserve_file(self) -> Path:
        """The file that occupies some room on the disk during an upgrade."""
        return self.state_dir / ".reserve"

    @property
    def ports_file(self) -> Path:
        """The ports that accepted before the upgrade."""
        return self.state_dir / "ports.json"


def layout_of(code: Path, data_dir: Path | None = None) -> Layout | None:
    """Find the layout of the installation with this file of code; None for code that was not installed by bundle.

    Code lies in PREFIX/versions/VERSION/lib, or is reached by one of the symlinks. `data_dir` is by default that of the
    installation.
    """
    for own in code.parents:
        prefix = own.parent if own.name in ENTRIES else own.parent.parent
        if own.parent != prefix and own.parent.name != "versions":
            continue
        if prefix.parts[-3:] == HOME_PREFIX:
            return user_layout(prefix.parents[2], own, data_dir)
        if prefix.parts[-2:] == ROOT_PREFIX:
            return system_layout(prefix.parents[1], own, data_dir)
    return None


def system_layout(root: Path, own: Path, data_dir: Path | None = None) -> Layout:
    """Return the layout below this root directory."""
    var = root / "var/lib"
    return Layout(
        prefix=root.joinpath(*ROOT_PREFIX),
        state_dir=var / "maybe-node-upgrade",
        keys_file=root / "etc/maybe-node/release-keys",
        data_dir=data_dir or var / "maybe-node",
        units_dir=root / "etc/systemd/system",
        own=own,
        is_user=False,
    )


def user_layout(home: Path, own: Path, data_dir: Path | None = None) -> Layout:
    """Return the layout in this home directory."""
    state = home / ".local/state"
    return Layout(
        prefix=home.joinpath(*HOME_PREFIX),
        state_dir=state / "maybe-node-upgrade",
        keys_file=home / ".config/maybe-node/release-keys",
        data_dir=data_dir or state / "maybe-node",
        units_dir=home / ".config/systemd/user",
        own=own,
        is_user=True,
    )
