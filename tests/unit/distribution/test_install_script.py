"""The installer as a text: POSIX sh that a linter finds nothing in, and its own check of signatures."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

SCRIPT = Path(__file__).parents[3] / "master/distribution/install.sh"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
ORDER = 2**252 + 27742317777372353535851937790883648493

Valid = Callable[[bytes, bytes, bytes], bool]


def test_the_linter_finds_nothing_in_the_installer() -> None:
    done = subprocess.run([SHELLCHECK, "-s", "sh", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_each_shell_reads_the_installer(shell: str) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is missing on this machine")
    call = [found, *(["sh"] if shell == "busybox" else []), "-n", str(SCRIPT)]
    assert subprocess.run(call, capture_output=True, check=False).stderr == b""


def test_the_master_renders_four_values_and_nothing_else() -> None:
    assert re.findall("@([A-Z_0-9]+)@", SCRIPT.read_text()) == [
        "BASE_URL",
        "VERSION",
        "MANIFEST_SHA256",
        "RELEASE_KEYS",
    ]


@pytest.fixture(scope="module")
def is_valid() -> Valid:
    """The function that hosts without OpenSSL check signatures by."""
    [code] = re.findall(r"<<'PYTHON'\n(.*?)\nPYTHON\n", SCRIPT.read_text(), re.DOTALL)
    names: dict[str, Valid] = {}
    exec(code.replace("sys.exit(main(*sys.argv[1:]))", ""), names)

    def checked(key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            return names["is_valid"](key, message, signature)
        except ValueError:
            return False

    return checked


@settings(max_examples=20)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200), bit=st.integers(0, 511))
def test_a_signature_is_valid_and_any_change_of_it_or_of_the_message_or_the_key_is_not(
    is_valid: Valid, seed: bytes, message: bytes, bit: int
) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert is_valid(key, message, signature)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert not is_valid(key, message, bytes(changed))
    assert not is_valid(key, message + b"x", signature)
    assert not is_valid(bytes([key[0] ^ 1]) + key[1:], message, signature)


def test_a_signature_of_another_form_is_not_valid(is_valid: Valid) -> None:
    """RFC 8032, section 5.1.7: the number is below the order of the group, and points are on the curve."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key, signature = private.public_key().public_bytes_raw(), private.sign(b"x")
    greater = int.from_bytes(signature[32:], "little") + ORDER
    assert not is_valid(key, b"x", signature[:32] + greater.to_bytes(32, "little"))
    assert not is_valid(key, b"x", signature[:-1])
    assert not is_valid(key[:-1], b"x", signature)
    assert not is_valid(key, b"x", b"\xff" * 32 + signature[32:])
    assert not is_valid(b"\x02" + bytes(31), b"x", signature)
