// Stacks.
export default {
  "stacks.create": "Create a stack",
  "stacks.none": "No stack yet",
  "stacks.none_text": "A stack is a number of proxies made from one template and kept at this number.",
  "stacks.no_match": "No stack matches",
  "stacks.no_match_text": "Drop a word of the filter.",
  "column.places": "Placed in",
};
