"""`maybe-master bundle build|export|key|verify` and `maybe-master install-command`.

They need no database: BUNDLE_DIR, RELEASE_KEYS_FILE and DOWNLOAD_URL are read from the environment.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from master.distribution.bundles.build import LOCK_NAME, Build, build
from master.distribution.bundles.contents import SOURCES
from master.distribution.bundles.export import export
from master.distribution.bundles.platforms import LIBCS, MACHINES, PYTHONS, platforms
from master.distribution.bundles.release import MIN_UPGRADABLE_FROM, creation_moment
from master.distribution.bundles.runtime import read_runtime_name
from master.distribution.bundles.verification import faults
from master.distribution.downloads.app import HOW_TO
from master.distribution.install_script import NO_REQUEST, InstallScript, NoScript, install_line
from master.distribution.releases import NoManifest, Release, read_release, trusted_keys
from master.errors import BadConfiguration, BundleError
from master.setting_values import script_url
from master.settings import DistributionSettings
from shared.durable_files import write_file
from shared.release.signing import BadKey, new_key, public_key
from shared.release.versions import BadVersion, version_order
from shared.settings.reading import read
from shared.version import program_version

Subcommand = Callable[[argparse.Namespace, Mapping[str, str]], int]


def run_command(program: str, words: Sequence[str], env: Mapping[str, str] = os.environ) -> int:
    """Run `bundle` or `install-command` and return the exit code: 0 done, 1 failed, 2 bad configuration."""
    arguments = parser(program).parse_args(words)
    command: Subcommand = arguments.run
    try:
        return command(arguments, env)
    except BadConfiguration as error:
        print(f"maybe-master: {error}", file=sys.stderr)
        return 2
    except (BundleError, BadKey, BadVersion, NoScript, OSError) as error:
        print(f"maybe-master: {error}", file=sys.stderr)
        return 1


def parser(program: str) -> argparse.ArgumentParser:
    """Build the parser of one of the two."""
    made = argparse.ArgumentParser(prog=f"maybe-master {program}")
    if program == "install-command":
        made.description = "Print the line that installs a node: to be pasted into a shell on its host."
        made.add_argument("--url", help="where hosts reach the download port or the API, unless DOWNLOAD_URL is set")
        made.add_argument("--user", action="store_true", help="install for the user who runs it, without root")
        made.set_defaults(run=print_install_command)
        return made
    made.description = "Make and check bundles: archives from which hosts install the node."
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    add_build(commands.add_parser("build", help="build the bundles of this version, and sign their manifest"))
    exporting = commands.add_parser("export", help="write one file that installs nodes without a network")
    exporting.add_argument("file", type=Path, metavar="FILE", help="the file to write, a .tar")
    add_hosts(exporting)
    exporting.set_defaults(run=run_export)
    key = commands.add_parser("key", help="draw a release key; print its public half")
    key.add_argument("file", type=Path, metavar="FILE", help="where to write the private key; must not exist")
    key.set_defaults(run=run_key)
    verifying = commands.add_parser("verify", help="verify the signature and every file of a folder of bundles")
    verifying.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="default: BUNDLE_DIR")
    verifying.set_defaults(run=run_verify)
    return made


def add_build(made: argparse.ArgumentParser) -> None:
    """Add the arguments of `bundle build`."""
    made.add_argument("--out", type=Path, metavar="DIR", help="the folder of bundles (default: BUNDLE_DIR)")
    made.add_argument("--key", type=Path, metavar="FILE", help="the private key; without one, a throw-away key signs")
    made.add_argument("--wheels", type=Path, metavar="DIR", help="take the wheels of this folder; download nothing")
    made.add_argument("--lock", type=Path, default=SOURCES / LOCK_NAME, metavar="FILE", help=f"default: {LOCK_NAME}")
    made.add_argument(
        "--runtime",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="also build a full bundle with this python-build-standalone archive; may be repeated",
    )
    made.add_argument("--thin", choices=("yes", "no"), default="yes", help="whether to build thin bundles")
    made.add_argument("--version", default=program_version(), help="default: %(default)s")
    made.add_argument(
        "--min-upgradable-from", default=MIN_UPGRADABLE_FROM, metavar="VERSION", help="default: %(default)s"
    )
    add_hosts(made)
    made.set_defaults(run=run_build)


def add_hosts(made: argparse.ArgumentParser) -> None:
    """Add the arguments that narrow the hosts."""
    for option, names in (("--python", PYTHONS), ("--machine", MACHINES), ("--libc", LIBCS)):
        made.add_argument(option, action="append", default=[], choices=names, help="only for these; may be repeated")


def run_build(arguments: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Build bundles. A platform without wheels is left out, unless hosts are named."""
    version_order(arguments.version)
    version_order(arguments.min_upgradable_from)
    hosts = (arguments.python, arguments.machine, arguments.libc)
    wanted = Build(
        out=arguments.out or settings_of(env).bundle_dir,
        version=arguments.version,
        min_upgradable_from=arguments.min_upgradable_from,
        created_at=creation_moment(env),
        private_pem=private_key(arguments.key),
        platforms=platforms(*hosts) if arguments.thin == "yes" else (),
        runtimes=[read_runtime_name(path) for path in arguments.runtime],
        wheels=arguments.wheels,
        is_strict=any(hosts),
        lock=arguments.lock,
    )
    build(wanted, say)
    return 0


def private_key(path: Path | None) -> bytes:
    """Read the private key, or draw one that is forgotten afterwards."""
    if path is not None:
        return path.read_bytes()
    say(
        "no --key: these bundles are signed by a throw-away key. Masters trust it by RELEASE_KEYS_FILE (the file "
        "release-keys beside the manifest); nodes installed from them are upgraded by the install line alone"
    )
    return new_key()


def run_export(arguments: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Export the newest version."""
    settings = settings_of(env)
    keys = trusted_keys(settings.release_keys_file)
    release = newest(settings, keys)
    script = InstallScript(settings.download_url, keys)
    names = export(
        release,
        script,
        arguments.file,
        pythons=arguments.python,
        machines=arguments.machine,
        libcs=arguments.libc,
    )
    for name in names:
        say(name)
    print(f"tar -xf {arguments.file.name} install.sh && sudo sh install.sh --offline {arguments.file.name}")
    return 0


def run_key(arguments: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Draw a key."""
    del env
    if arguments.file.exists():
        raise BundleError(f"{arguments.file} is there already; a key is never overwritten")
    pem = new_key()
    write_file(arguments.file, pem, 0o600)
    print(public_key(pem))
    return 0


def run_verify(arguments: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Verify a folder."""
    settings = settings_of(env)
    release = read_release(arguments.folder or settings.bundle_dir, trusted_keys(settings.release_keys_file))
    found = list(faults(release))
    for fault in found:
        print(f"maybe-master: {fault}", file=sys.stderr)
    if not found:
        print(f"version {release.version}, signed by {release.key}: {len(release.manifest.files)} bundles are intact")
    return 1 if found else 0


def print_install_command(arguments: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Print the line. It pins the script that a master with the same settings serves."""
    settings = settings_of(env)
    given = settings.download_url
    if arguments.url is not None:
        try:
            given = script_url(arguments.url)
        except ValueError as error:
            raise BundleError(f"--url {error}") from error
    if given is None:
        raise BundleError("set DOWNLOAD_URL, or give --url http://HOST:PORT: where hosts reach this master")
    if settings.download_url not in (None, given):
        raise BundleError(f"DOWNLOAD_URL is {settings.download_url}, and the master's script names no other address")
    keys = trusted_keys(settings.release_keys_file)
    script = InstallScript(given, keys).text(newest(settings, keys), NO_REQUEST)
    print(install_line(given, script, is_user=arguments.user).text)
    return 0


def newest(settings: DistributionSettings, keys: Sequence[str]) -> Release:
    """Return the version in BUNDLE_DIR. Raises BundleError."""
    try:
        return read_release(settings.bundle_dir, keys)
    except NoManifest as error:
        raise BundleError(f"{error}. {HOW_TO.strip()}") from error


def settings_of(env: Mapping[str, str]) -> DistributionSettings:
    """Read the settings of distribution alone. Raises BadConfiguration."""
    return read(DistributionSettings, env, BadConfiguration)


def say(line: str) -> None:
    """Report to the person."""
    print(line, file=sys.stderr)
