// Upgrades.
export default {
  "upgrades.start": "Start an upgrade",
  "upgrades.begin": "Start",
  "upgrades.started": "The upgrade to {version} has started",
  "upgrades.none": "No upgrade yet",
  "upgrades.text":
    "Nodes install another version of the agent, a few at a time, and restart it while their proxies continue to serve. A node whose proxies no longer accept connections goes back to its former version, and too many failures halt the upgrade.",
  "upgrades.preview": {
    one: "{n} node would install {version}, at most {batch} at a time.",
    other: "{n} nodes would install {version}, at most {batch} at a time.",
  },
};
