// Enrolling a node.
export default {
  "enrol.run": "Install the node on its host",
  "enrol.run_text": "The host needs Linux, Python 3.11 or newer, and a way to the broker.",
  "enrol.copy_line": "Copy the line",
  "enrol.no_bundles":
    "This master has no bundles, so no line can install the node. Make them with “maybe-master bundle build” and name their folder by BUNDLE_DIR, or install by hand.",
  "enrol.own_url":
    "Only this host reaches {url}. Open this page under an address that other hosts reach, or set DOWNLOAD_URL.",
  "enrol.by_hand": "By hand, from a checkout",
  "enrol.copy": "Copy the commands",
  "enrol.prints": "It prints a challenge, valid for 30 minutes.",
  "enrol.challenge": "Paste the address and the challenge",
  "enrol.port": "Another port than 3006",
  "enrol.place": "Say where it belongs",
  "enrol.limits": "Ports, most proxies and exits",
  "enrol.go": "Enrol it",
  "enrol.action": "Enrol",
  "enrol.busy": "Calling the node…",
  "enrol.reached": "The master reaches the node",
  "enrol.proved": "Both prove the challenge",
  "enrol.configured": "The node is configured and has a login",
  "enrol.reported": "First login and report",
  "enrol.tested": "A test proxy serves",
  "enrol.is_done": "done",
  "enrol.is_busy": "under way",
  "enrol.is_failed": "failed",
  "enrol.is_waiting": "",
  "enrol.advice_node-unreachable":
    "Nothing answers at {ip}, port {port}. Is the agent running and waiting, and does the host's firewall let the master in at this port?",
  "enrol.advice_node-too-slow":
    "Something at {ip}, port {port} takes the connection and does not answer. A firewall may drop packets, or another program has the port.",
  "enrol.advice_node-refused":
    "The node at {ip}, port {port} prints another challenge: copy the latest one that it has printed.",
  "enrol.advice_challenge-used":
    "This challenge was used before. Restart the agent at {ip}, port {port} for a new one.",
  "enrol.advice_broker-away":
    "The master cannot reach the broker, so {ip}, port {port} got no login. The same challenge works again when the broker is back.",
  "enrol.test": "Try it with a proxy",
  "enrol.test_proxy": "The test proxy",
  "enrol.to_node": "To the node",
};
