// Nodes.
export default {
  "nodes.none": "No node yet",
  "nodes.none_text": "A node is a host that runs proxies. Start the agent on one, then enrol it here.",
  "nodes.no_match": "No node matches",
  "nodes.no_match_text": "Drop a word of the filter: the number beside each tells how many it matches alone.",
};
