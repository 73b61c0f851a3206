"""Both sides of the handshake, and what nobody else can do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.enrolment.bodies import Box, Hello, HelloAnswer, NodeConfig, NodeFacts
from shared.enrolment.challenge import BadChallenge, challenge_hash, new_challenge, read_challenge
from shared.enrolment.handshake import MasterHandshake, NodeHandshake
from shared.enrolment.keys import BadHandshake

CONFIG = NodeConfig.model_validate(
    {
        "node_id": 7,
        "name": "swift-otter",
        "cluster": "c",
        "amqp_urls": ["amqp://node-7:pw@broker"],
        "queue": "mp.node.7",
    }
)


def test_both_sides_agree_when_they_know_the_challenge():
    challenge = new_challenge()
    master = MasterHandshake(challenge)
    node = NodeHandshake(challenge, master.hello)
    assert master.read_answer(node.answer(NodeFacts(host="h"))).host == "h"
    assert node.read_config(master.config(CONFIG)) == CONFIG
    master.read_confirmation(node.confirmation(CONFIG), CONFIG)


def test_a_challenge_may_be_typed_without_dashes_in_any_case_and_with_letters_that_look_alike():
    challenge = new_challenge()
    typed = challenge.replace("-", " ").lower().replace("0", "o").replace("1", "l")
    assert read_challenge(typed) == read_challenge(challenge)
    assert challenge_hash(typed) == challenge_hash(challenge)


def test_every_single_mistyped_letter_of_one_challenge_is_noticed_nearly_always():
    challenge = read_challenge(new_challenge()) + new_challenge()[-2:]
    wrong = [challenge[:i] + other + challenge[i + 1 :] for i in range(26) for other in "0Z" if other != challenge[i]]
    accepted = [text for text in wrong if is_challenge(text)]
    assert len(accepted) <= 3


def is_challenge(text: str) -> bool:
    try:
        read_challenge(text)
    except BadChallenge:
        return False
    return True


@pytest.mark.parametrize("text", ["", "12345qwerty", "A" * 28, "A" * 1000, "ÄÖÜ" * 10, "U" * 28, "\x00" * 28])
def test_what_cannot_be_a_challenge_is_refused_without_repeating_it(text: str):
    with pytest.raises(BadChallenge) as caught:
        read_challenge(text)
    assert not text or text not in str(caught.value)


def test_a_node_refuses_a_master_that_does_not_know_the_challenge():
    with pytest.raises(BadHandshake):
        NodeHandshake(new_challenge(), MasterHandshake(new_challenge()).hello)


def test_a_master_notices_a_node_that_does_not_know_the_challenge():
    master, other = MasterHandshake(new_challenge()), new_challenge()
    impostor = NodeHandshake(other, MasterHandshake(other).hello)
    with pytest.raises(BadHandshake):
        master.read_answer(impostor.answer(NodeFacts()))


def test_nobody_between_the_two_can_put_keys_of_his_own_in():
    challenge = new_challenge()
    master, other = MasterHandshake(challenge), MasterHandshake(challenge)
    node = NodeHandshake(challenge, master.hello)
    answer = node.answer(NodeFacts())
    for name in ("e_n", "n_n", "box"):
        changed = answer.model_copy(update={name: other.hello.e_m})
        with pytest.raises(BadHandshake):
            MasterHandshake.read_answer(master, changed)
    changed_hello = master.hello.model_copy(update={"e_m": other.hello.e_m})
    with pytest.raises(BadHandshake):
        NodeHandshake(challenge, changed_hello)


def test_a_configuration_of_another_handshake_does_not_open():
    challenge = new_challenge()
    first, second = MasterHandshake(challenge), MasterHandshake(challenge)
    node_one, node_two = NodeHandshake(challenge, first.hello), NodeHandshake(challenge, second.hello)
    first.read_answer(node_one.answer(NodeFacts()))
    with pytest.raises(BadHandshake):
        node_two.read_config(first.config(CONFIG))


def test_the_wire_carries_neither_the_challenge_nor_the_login():
    challenge = new_challenge()
    master = MasterHandshake(challenge)
    node = NodeHandshake(challenge, master.hello)
    answer = node.answer(NodeFacts(host="host-name"))
    master.read_answer(answer)
    wire = "".join(
        part.model_dump_json() for part in (master.hello, answer, master.config(CONFIG), node.confirmation(CONFIG))
    )
    assert all(secret not in wire for secret in (challenge, read_challenge(challenge), "node-7:pw", "host-name"))


def test_secrets_do_not_show_in_a_representation():
    assert "node-7:pw" not in repr(CONFIG)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_hello_makes_a_node_raise_anything_but_a_refusal(e_m: str, n_m: str, mac: str):
    with pytest.raises(BadHandshake):
        NodeHandshake(KNOWN, Hello(e_m=e_m, n_m=n_m, mac=mac))


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_answer_makes_a_master_raise_anything_but_a_refusal(e_n: str, n_n: str, box: str):
    with pytest.raises(BadHandshake):
        MasterHandshake(KNOWN).read_answer(HelloAnswer(e_n=e_n, n_n=n_n, box=box))


@given(st.text(max_size=60))
def test_no_box_makes_a_node_raise_anything_but_a_refusal(box: str):
    with pytest.raises(BadHandshake):
        NodeHandshake(KNOWN, KNOWN_HELLO).read_config(Box(box=box))


KNOWN = new_challenge()
KNOWN_HELLO = MasterHandshake(KNOWN).hello
