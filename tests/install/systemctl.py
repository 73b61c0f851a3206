"""A stand-in for systemctl in a bare root: notes each call, and knows which units are enabled and active."""

from tests.install.roots import Root

SCRIPT = """#!/bin/sh
units=/etc/systemd/system target=multi-user.target
if [ "$1" = --user ]; then units=/home/ann/.config/systemd/user target=default.target; shift; fi
case $1 in is-*) ;; *) echo "$*" >>/run/systemctl/calls ;; esac
for last in "$@"; do :; done
case $1 in
    is-enabled) [ -L "$units/$target.wants/$last" ] ;;
    is-active) [ -e "/run/systemctl/$last" ] ;;
    enable) mkdir -p "$units/$target.wants" && ln -sf "../$last" "$units/$target.wants/$last" ;;
    disable)
        "$0" stop "$last"
        rm -f "$units/$target.wants/$last"
        ;;
    start | stop | restart)
        if [ -d /run/systemctl/requests ]; then # a ServiceManager is there
            echo "$1 $last" >"/run/systemctl/requests/.$$"
            mv "/run/systemctl/requests/.$$" "/run/systemctl/requests/$$"
            until [ -e "/run/systemctl/answers/$$" ]; do sleep 0.05; done
            cat "/run/systemctl/answers/$$" >&2
            [ ! -s "/run/systemctl/answers/$$" ]
            exit
        fi
        version=$(cat /opt/maybe-node/current/VERSION 2>/dev/null)
        [ ! -e "/run/systemctl/broken-$version" ] || { echo "Job for $last failed." >&2; exit 1; }
        if [ "$1" = stop ]; then rm -f "/run/systemctl/$last"; else : >"/run/systemctl/$last"; fi
        ;;
esac
"""


def add_systemd(root: Root) -> None:
    """Have the root look as one that systemd has booted."""
    root.write("usr/bin/systemctl", SCRIPT, 0o755)
    for folder in ("run/systemd/system", "run/systemctl", "etc/systemd/system"):
        (root.path / folder).mkdir(parents=True, exist_ok=True)
    (root.path / "run/systemctl").chmod(0o777)
    root.write("run/systemctl/calls", "", 0o666)


def calls(root: Root) -> list[str]:
    """What it was asked to change since the last time."""
    return root.calls("run/systemctl/calls")


def break_version(root: Root, version: str) -> None:
    """Have services of this version fail to start."""
    (root.path / f"run/systemctl/broken-{version}").touch()
