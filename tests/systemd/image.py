"""The disk of the guest: a Debian by debootstrap, with a program that carries out the commands of a test."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.debian import CACHE, debian

SUITE = "bookworm"
PACKAGES = ("systemd-sysv", "linux-image-cloud-amd64", "python3", "curl", "qemu-system-x86")
"""QEMU comes from the root, too, so that nothing has to be installed on this machine."""
SIZE = "1500M"
HERE = Path(__file__).parent
NEEDLESS = ("usr/share/qemu", "usr/bin/qemu-system-x86_64", "usr/share/doc", "usr/share/locale", "var/lib/apt/lists")
MASKED = tuple(
    "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer "
    "getty-static.service serial-getty@ttyS0.service systemd-binfmt.service".split()
)
"""They would only take processor time."""
CONTROL = """[Unit]
Description=Commands of the test
[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/control.py
Restart=always
[Install]
WantedBy=multi-user.target
"""
NETWORK = """[Match]
Kind=!*
Name=e*
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
"""


def guest_root() -> Path:
    """The folder with the guest's system, in which QEMU runs as well. Skips the test where none can be made."""
    for program in ("mke2fs", "chroot"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing on this machine")
    return debian(SUITE, *PACKAGES)


def disk_image() -> Path:
    """The image, which is made once for each state of this folder."""
    root = guest_root()
    inputs = b"".join(path.read_bytes() for path in sorted(HERE.rglob("*.py")))
    image = CACHE / f"systemd-{hashlib.sha256(inputs).hexdigest()[:16]}.img"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.exists():
            for older in CACHE.glob("systemd-*"):
                older.unlink()
            begun = image.with_suffix(".new")
            write_image(root, begun)
            begun.rename(image)
    return image


def write_image(root: Path, image: Path) -> None:
    """Make a file system of a copy of the root, with the guest's own files."""
    copy = CACHE / ".guest"
    shutil.rmtree(copy, ignore_errors=True)
    # Links are enough: files are replaced or removed, and never written to.
    subprocess.run(["cp", "-al", str(root), str(copy)], check=True)
    for name in NEEDLESS:
        path = copy / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    add_files(copy)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(copy), str(image), SIZE], check=True, capture_output=True)
    shutil.rmtree(copy)


def add_files(root: Path) -> None:
    """Add what makes a guest of it, and leave out what only takes time at a boot."""
    units = root / "etc/systemd/system"
    written = {
        "usr/local/lib/control.py": (HERE / "programs/control.py").read_text(),
        "etc/systemd/system/control.service": CONTROL,
        "etc/systemd/network/50-guest.network": NETWORK,
        "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
        "etc/hostname": "guest\n",
        "etc/hosts": "127.0.0.1 localhost guest\n",
    }
    for name, text in written.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
    for name in MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    for name in ("control.service", "systemd-networkd.service"):
        link = units / "multi-user.target.wants" / name
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        folder = "/etc" if name == "control.service" else "/lib"
        link.symlink_to(f"{folder}/systemd/system/{name}")
    online = units / "network-online.target.wants/systemd-networkd-wait-online.service"
    online.parent.mkdir(exist_ok=True)
    online.unlink(missing_ok=True)
    online.symlink_to("/lib/systemd/system/systemd-networkd-wait-online.service")
