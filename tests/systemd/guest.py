"""A machine that QEMU emulates: its boots, and commands that are run in it."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.services.rabbitmq_tls import GUEST_GATE
from tests.systemd.image import HERE, disk_image, guest_root

GATE = GUEST_GATE
"""The address at which the guest finds ports of this machine's loopback."""
BOOT_S = 600.0
ANSWER_S = 300.0
MIB = 768
KERNEL = "root=/dev/vda rw console=ttyS0 quiet panic=-1"


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


@dataclass
class Guest:
    """The machine. `inward` are ports of this machine's loopback that lead to the guest's ports of the same number,
    `outward` those that the guest finds at GATE. It reaches nothing else.
    """

    root: Path
    folder: Path
    inward: list[int]
    outward: list[int]
    program: "subprocess.Popen[bytes] | None" = None
    control: socket.socket | None = None
    received: bytes = b""
    last_id: int = 0
    boots: list[float] = field(default_factory=list[float])
    """Seconds that each boot took until a command was carried out."""

    def start(self) -> None:
        """Boot it."""
        began = time.monotonic()
        self.control, there = socket.socketpair()
        self.control.settimeout(1)
        command = ["chroot", str(self.root), *self.qemu(there.fileno())]
        with there, (self.folder / "qemu.log").open("wb") as log:
            self.program = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[there.fileno()],
            )
        self.wait_booted(began)

    def qemu(self, control: int) -> list[str]:
        """The command, as it is inside the root. `control` is the descriptor that commands come by."""
        [kernel] = (self.root / "boot").glob("vmlinuz-*")
        [initrd] = (self.root / "boot").glob("initrd.img-*")
        there = Path("/") / self.folder.relative_to(self.root)
        forwards = [f"hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:{port}" for port in self.inward]
        program = f"/usr/bin/python3 {there}/forward.py"
        forwards += [f"guestfwd=tcp:{GATE}:{port}-cmd:{program} {port}" for port in self.outward]
        words = f"""/usr/bin/qemu-system-x86_64 -accel tcg -m {MIB} -nodefaults -no-user-config -no-reboot -display none
            -kernel /boot/{kernel.name} -initrd /boot/{initrd.name} -serial file:{there}/console.log
            -drive file={there}/disk.img,format=raw,if=virtio,cache=unsafe
            -device virtio-serial-pci -chardev socket,id=control,fd={control}
            -device virtserialport,chardev=control,name=control -device virtio-rng-pci
            -device virtio-net-pci,netdev=net,romfile="""
        return [*words.split(), "-append", KERNEL, "-netdev", ",".join(["user,id=net,restrict=on", *forwards])]

    def assert_runs(self) -> None:
        assert self.program is not None
        assert self.program.poll() is None, f"QEMU has ended: {(self.folder / 'qemu.log').read_text()}"

    def wait_booted(self, began: float) -> None:
        """Wait until a command is carried out, and then until systemd has started everything."""
        self.run("true", limit_s=BOOT_S)
        self.boots.append(time.monotonic() - began)
        self.run("systemctl", "is-system-running", "--wait", limit_s=BOOT_S)

    def run(self, *command: str, given: str = "", limit_s: float = ANSWER_S) -> Answer:
        """Run a command as root."""
        assert self.control is not None
        self.last_id += 1
        request = {"id": self.last_id, "command": command, "input": given, "limit_s": limit_s}
        self.control.sendall(json.dumps(request).encode() + b"\n")
        limit = time.monotonic() + limit_s + 60
        while (answer := self.next_answer(limit)).pop("id") != self.last_id:
            pass
        return Answer(**answer)

    def next_answer(self, limit: float) -> dict[str, Any]:
        assert self.control is not None
        while b"\n" not in self.received:
            try:
                piece = self.control.recv(65536)
            except TimeoutError:
                self.assert_runs()
                assert time.monotonic() < limit, f"the guest does not answer\n{self.console}"
            else:
                assert piece, f"the guest has hung up\n{self.console}"
                self.received += piece
        line, self.received = self.received.split(b"\n", 1)
        return json.loads(line)

    def out(self, *command: str, given: str = "", limit_s: float = ANSWER_S) -> str:
        """The output of a command that succeeds."""
        answer = self.run(*command, given=given, limit_s=limit_s)
        assert answer.code == 0, f"{' '.join(command)} ended with {answer.code}: {answer.stderr}\n{answer.stdout}"
        return answer.stdout.strip()

    def reboot(self) -> None:
        """Have it shut itself down for a reboot, with which QEMU ends, and boot it from the same disk."""
        assert self.program is not None
        self.out("systemd-run", "--on-active=1", "systemctl", "reboot")  # the answer has to come before the end
        try:
            self.program.wait(BOOT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the guest does not shut down\n{self.console}") from None
        self.end()
        self.start()

    @property
    def console(self) -> str:
        """The end of what the kernel printed."""
        return (self.folder / "console.log").read_text(errors="replace")[-3000:]

    def end(self) -> None:
        """End QEMU."""
        if self.control is not None:
            self.control.close()
        if self.program is not None:
            self.program.kill()
            self.program.wait()
        self.control, self.received = None, b""

    def close(self) -> None:
        """End it, and remove its disk."""
        self.end()
        shutil.rmtree(self.folder)


@contextmanager
def running_guest(inward: list[int], outward: list[int]) -> Generator[Guest]:
    """A guest that has booted from the image of this run; what it writes is gone afterwards."""
    root, image = guest_root(), disk_image()
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=root / "srv"))
    subprocess.run(["cp", "--sparse=always", str(image), str(folder / "disk.img")], check=True)
    shutil.copy(HERE / "programs/forward.py", folder)
    guest = Guest(root, folder, inward, outward)
    try:
        guest.start()
        yield guest
    finally:
        guest.close()
