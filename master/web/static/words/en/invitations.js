// Invitations.
export default {
  "invitations.create": "Invite nodes",
  "invitations.created": "The invitation was created",
  "invitations.none": "No invitation yet",
  "invitations.text":
    "Hosts that have the code of an invitation enrol themselves: by a line that you paste, or by cloud-init at their first start.",
  "invitations.one": "Invitation {id}",
  "invitations.once": "It is shown this once: copy it now. Whoever has the code can enrol a node.",
  "invitations.no_installer":
    "This master has no bundles, so it serves no installer: start the agent on each host with these variables.",
  "invitations.command": "A line for the shell of a host",
  "invitations.copy_command": "Copy the line",
  "invitations.cloud_init": "User data for cloud-init",
  "invitations.copy_cloud_init": "Copy the user data",
  "invitations.environment": "Variables of the agent",
  "invitations.copy_environment": "Copy the variables",
  "invitations.watch": "Done: watch who comes in",
  "invitations.uses": "Used",
  "invitations.used": "{used} of {uses}",
  "invitations.nobody": "nobody yet",
  "invitations.more": "and {n} more",
  "invitations.error": "Last error",
  "invitations.remove": "Remove the invitation",
  "invitations.remove_one": "Delete invitation {id}",
  "invitations.remove_text":
    "No further node is enrolled by the code of invitation {id}. Nodes that were enrolled by it stay.",
  "invitations.removed": "The invitation was removed",
  "invitations.instead": "Many hosts, or none at hand? Invite them, and they enrol themselves.",
  "state.open": "open",
  "state.used_up": "used up",
  "field/uses": "How many nodes",
  "field/name_prefix": "Names begin with",
};
