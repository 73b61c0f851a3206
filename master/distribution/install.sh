#!/bin/sh
# Installs, repairs, upgrades or removes a Maybe Proxy node on this host; `--help` lists the options.
#
# The line that fetched this file pins its SHA-256. This file pins the manifest, which a release key has signed, and the
# manifest pins each bundle. So nothing has to be believed that came over the network. One file, since it is read at
# once and pinned as a whole; all of it is functions, called from the last line, so a file that was cut off does nothing.
#
# shellcheck disable=SC2015 # in `A && B || C`, C skips or ends
# shellcheck disable=SC2016 # words of another shell's
set -eu

BASE_URL='@BASE_URL@'
VERSION='@VERSION@'
MANIFEST_SHA256='@MANIFEST_SHA256@'
RELEASE_KEYS='@RELEASE_KEYS@'

STANDARD_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin # also that of a service

usage() {
    cat <<'TEXT'
usage: sh install.sh [OPTION]...

Installs the node for the whole host, as root. The same version again verifies the files, mends what differs and
restarts nothing; a newer version is an upgrade, whose proxies keep their connections.

  --print             show what would be done, and change nothing
  --user              install for this user alone, without root
  --offline FILE      take everything from FILE (maybe-master bundle export), and nothing from the network
  --no-start          do not start or restart the service
  --allow-downgrade   install this version although a newer one is installed
  --uninstall         end the agent and its proxies, and remove the program; data and settings stay
  --purge             with --uninstall: remove data, settings and the user maybe-node, too
  --version           print the version that this file installs
  --help              print this text

These variables are written to the node's settings at the first installation: NODE_*, THREE_PROXY and LOG_LEVEL.
MAYBE_ROOT prefixes each path, to prepare the root folder of another system.
TEXT
}

# --- words, undoing and the steps -------------------------------------------------------------------------------------

say() { printf '%s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }

die() {
    printf 'maybe-node: %s\n' "$*" >&2
    exit 1
}

# Quotes words for eval.
quoted() {
    for word in "$@"; do printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"; done
}

# change TEXT COMMAND...: every change of the host goes through here, and is a line of output.
change() {
    text=$1
    shift
    if [ "$print" = yes ]; then
        say "would $text"
        return 0
    fi
    say "$text"
    "$@"
}

# on_failure COMMAND...: what undoes the change before it, should the installation not be completed.
on_failure() {
    [ "$print" = yes ] || undo="$(quoted "$@")
$undo"
}

# From here on the installation is whole, and stays.
commit() { undo=''; }

clean_up() {
    code=$?
    trap - EXIT
    trap '' HUP INT TERM PIPE
    set +e
    [ -z "$undo" ] || eval "$undo" 2>/dev/null
    [ -z "$scratch" ] || rm -rf "$scratch"
    exit "$code"
}

# --- the host ---------------------------------------------------------------------------------------------------------

read_arguments() {
    action=install print=no for_user=no offline='' start=yes downgrade=no purge=no
    while [ $# -gt 0 ]; do
        case $1 in
            --print) print=yes ;;
            --user) for_user=yes ;;
            --offline)
                [ $# -ge 2 ] || die "--offline needs the file that maybe-master bundle export has written"
                offline=$2
                shift
                ;;
            --offline=*) offline=${1#--offline=} ;;
            --no-start) start=no ;;
            --allow-downgrade) downgrade=yes ;;
            --uninstall) action=uninstall ;;
            --purge) purge=yes ;;
            --version) action=version ;;
            -h | --help) action=help ;;
            *) die "unknown option $1; sh install.sh --help lists the options" ;;
        esac
        shift
    done
    [ "$purge" = no ] || [ "$action" = uninstall ] || die "--purge belongs to --uninstall"
}

# Names all paths. `prefix` is put before each on this host, but not in files that are read on the installed one.
name_paths() {
    prefix=${MAYBE_ROOT:-}
    prefix=${prefix%/}
    case $prefix in '' | /*) ;; *) die "MAYBE_ROOT is $prefix, but has to be an absolute path" ;; esac
    if [ "$for_user" = yes ]; then
        [ "$(id -u)" != 0 ] || die "--user installs for an ordinary user: run it as that user, without sudo"
        home=${HOME:-$(getent passwd "$(id -u)" 2>/dev/null | cut -d : -f 6)}
        [ -n "$home" ] && [ -d "$home" ] || die "HOME does not name a folder: set it to the home folder of $(id -un)"
        base=$home/.local/share/maybe-node settings=$home/.config/maybe-node data=$home/.local/state/maybe-node
        state=$home/.local/state/maybe-node-upgrade units=$home/.config/systemd/user bin=$home/.local/bin
        owner=$(id -un) wanted_by=default.target
    else
        base=/opt/maybe-node settings=/etc/maybe-node data=/var/lib/maybe-node
        state=/var/lib/maybe-node-upgrade units=/etc/systemd/system bin=/usr/local/bin
        owner=maybe-node wanted_by=multi-user.target
    fi
    versions=$base/versions
    made=$prefix$base/.made
}

check_host() {
    [ "$(uname -s)" = Linux ] || die "a node needs Linux, but this is $(uname -s)"
    if [ "$for_user" = no ] && [ "$(id -u)" != 0 ] && [ "$print" = no ]; then
        die "root is needed: run it by sudo, or give --user to install for $(id -un) alone"
    fi
    for program in awk cmp cp cut df find grep gzip head id mktemp mv readlink sed sha256sum stat tar tr; do
        have "$program" || die "$program is missing: install it ($(package_line "$program"))"
    done
    find_helper
}

# Names the command that installs a program on this distribution.
package_line() {
    # shellcheck disable=SC1091
    system=$( (. /etc/os-release && echo "${ID:-} ${ID_LIKE:-}") 2>/dev/null) || system=''
    package=$1
    case $1 in awk) package=gawk ;; cmp) package=diffutils ;; find) package=findutils ;; flock) package=util-linux ;;
        grep | gzip | sed | tar | curl | openssl | python3) ;; *) package=coreutils ;; esac
    case " $system " in
        *' debian '* | *' ubuntu '*) echo "apt-get install $package" ;;
        *' alpine '*) echo "apk add $package" ;;
        *' arch '*) [ "$package" != python3 ] || package=python; echo "pacman -S $package" ;;
        *' rhel '* | *' centos '*) [ "$package" != python3 ] || package=python3.11; echo "dnf install $package" ;;
        *' fedora '*) echo "dnf install $package" ;;
        *' suse '* | *' opensuse '*) [ "$package" != python3 ] || package=python311; echo "zypper install $package" ;;
        *) echo "by the package manager of this system" ;;
    esac
}

# Two installers, and the upgrade that a master has asked for, exclude each other by a lock on this folder. Nobody but its
# owner can open it. What is made for it is undone only by the one that holds the lock.
take_lock() {
    [ "$print" = no ] || return 0
    [ ! -e "$prefix$state/journal.json" ] || finish_upgrade
    [ -d "$prefix$base/.upgrade" ] || make_folder "$base/.upgrade" 700 "$root"
    while :; do
        exec 9<"$prefix$base/.upgrade"
        code=0
        lock 9 || code=$?
        # What was made for the lock belongs to the run that holds it.
        [ "$code" != 1 ] || undo=''
        [ "$code" != 1 ] || die "another installation or upgrade is under way on this host: wait for its end, then run \
this line again"
        [ "$code" = 0 ] || die "$base/.upgrade cannot be locked"
        [ "$(stat -Lc %d:%i "/proc/$$/fd/9")" != "$(stat -c %d:%i "$prefix$base/.upgrade" 2>/dev/null)" ] || break
        planned='' # the run that had the lock has failed, and removed the folder
        [ -d "$prefix$base/.upgrade" ] || make_folder "$base/.upgrade" 700 "$root"
    done
}

# An upgrade that was interrupted is finished or undone by the code from before it.
finish_upgrade() {
    upgrader=$prefix$base/upgrader/maybe-node
    [ -x "$upgrader" ] || upgrader=$prefix$base/current/maybe-node
    change "finish or undo the upgrade that was interrupted" "$upgrader" apply-upgrade ||
        die "the upgrade that was interrupted could be neither finished nor undone; see $state"
}

# Locks a descriptor (flock(2)). What is started while it is open may not keep it, so services are started without it.
lock() {
    if have flock; then
        flock -n "$1"
    elif [ -n "$helper" ]; then
        "$helper" -I -S -c 'import fcntl, sys
try:
    fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(1)
except OSError:
    sys.exit(2)' "$1"
    else
        die "flock is missing: install it ($(package_line flock))"
    fi
}

# Whether a service manager is there that can be asked.
has_systemd() {
    [ -z "$prefix" ] && have systemctl || return 1
    if [ "$for_user" = yes ]; then
        if [ -z "${XDG_RUNTIME_DIR:-}" ] && [ -d "/run/user/$(id -u)" ]; then
            XDG_RUNTIME_DIR=/run/user/$(id -u)
            export XDG_RUNTIME_DIR
        fi
        systemctl --user show-environment >/dev/null 2>&1
    else
        [ -d /run/systemd/system ]
    fi
}

systemd() {
    if [ "$for_user" = yes ]; then systemctl --user "$@" 9<&-; else systemctl "$@" 9<&-; fi
}

# Runs a command as the user of the service, so that it never leaves a file of root in the data folder.
as_owner() {
    if [ "$(id -u)" != 0 ] || [ -n "$prefix" ]; then "$@"
    else
        case $(setpriv --version 2>/dev/null) in
            *util-linux*) setpriv --reuid "$owner" --regid "$owner" --init-groups -- "$@" ;;
            *) su -s /bin/sh -c 'exec "$0" "$@"' -- "$owner" "$@" ;;
        esac
    fi
}

# --- fetching and believing -------------------------------------------------------------------------------------------

# Writes the content of a URL. No redirects: the master makes none.
download() {
    if have curl; then
        curl -q -fsS --proto '=http,https' --connect-timeout 15 --speed-limit 100 --speed-time 60 "$1"
    elif have wget; then
        case $(wget --help 2>&1) in *' -T'*) set -- "$1" -T 60 ;; esac # busybox may lack it
        address=$1
        shift
        wget -q "$@" -O - "$address"
    else
        "$helper" -I -S -c 'import shutil, sys, urllib.request as request
with request.urlopen(sys.argv[1], timeout=60) as answer:
    shutil.copyfileobj(answer, sys.stdout.buffer)' "$1"
    fi
}

# fetch NAME FILE LIMIT: takes a file of the release, at most LIMIT bytes and one more, which its hash then refuses.
fetch() {
    rm -f "$scratch/failed"
    if [ -n "$offline" ]; then
        (tar -xOf "$offline" "$1" || : >"$scratch/failed") 2>"$scratch/error" | head -c "$(($3 + 1))" >"$2"
        where="$offline"
    else
        (download "$BASE_URL/bundle/versions/$VERSION/$1" || : >"$scratch/failed") 2>"$scratch/error" | head -c "$(($3 + 1))" >"$2"
        where="$BASE_URL/bundle/versions/$VERSION"
    fi
    # A download that was ended for its size has failed, too: its size tells.
    if [ "$(size_of "$2")" -le "$3" ] && [ -e "$scratch/failed" ]; then
        reason=$(last_line "$scratch/error")
        die "$1 could not be fetched from $where: ${reason:-no reason is given}; \
check the address, and that this host reaches it"
    fi
}

size_of() { stat -c %s "$1"; }

sha256_of() {
    sum=$(sha256sum <"$1")
    printf '%s' "${sum%% *}"
}

# The keys that count: those of this host when it has some, else those of this file.
trusted_keys() {
    if [ -f "$prefix$settings/release-keys" ]; then
        sed 's/#.*//' "$prefix$settings/release-keys"
    else
        printf '%s' "$RELEASE_KEYS"
    fi | tr -s ' \t\r\n' '    '
}

fetch_manifest() {
    if [ -z "$offline" ] && ! have curl && ! have wget && [ -z "$helper" ]; then
        die "neither curl nor wget nor Python is there to download with: install one ($(package_line curl)), or use --offline"
    fi
    manifest=$scratch/manifest.json
    fetch manifest.json "$manifest" 1048576
    sum=$(sha256_of "$manifest")
    if [ "$sum" != "$MANIFEST_SHA256" ]; then
        die "the manifest is not the one that this file pins ($MANIFEST_SHA256, but its SHA-256 is $sum): \
the master has another version by now, or it was changed on the way; take the install line again from the master"
    fi
    fetch manifest.json.sig "$manifest.sig" 4096
    check_signature
    packed=$(tr -d ' \t\r\n' <"$manifest")
    case $packed in *'"format":1,'*) ;; *) die "the manifest has a format that this file cannot read" ;; esac
    [ "$(text_of product)" = maybe-node ] || die "the manifest is of another product"
    [ "$(text_of version)" = "$VERSION" ] || die "the manifest is of version $(text_of version) instead of $VERSION"
    files=$(printf '%s' "$packed" | sed 's/^.*"files":\[//; s/\].*$//' | tr '}' '\n' | grep '"name"')
    [ -z "$offline" ] || files=$(files_in_archive)
}

# The master may have exported only some of a version's bundles.
files_in_archive() {
    tar -tf "$offline" >"$scratch/names" 2>/dev/null || die "$offline is no file of maybe-master bundle export"
    printf '%s\n' "$files" | while IFS= read -r line; do
        if grep -qxF "$(text_of name "$line")" "$scratch/names"; then printf '%s\n' "$line"; fi
    done
}

# The text or number of a member, from the manifest or a line of its files. It is read after it was verified.
text_of() { printf '%s' "${2:-$packed}" | sed -n "s/^.*\"$1\":\"\{0,1\}\([^\",}]*\).*\$/\1/p" | head -n 1; }

check_signature() {
    keys=$(trusted_keys)
    if [ -n "$helper" ]; then
        "$helper" -I -S -c "$(verifier)" "$manifest" "$manifest.sig" "$keys" && return 0
    elif have openssl && openssl_can_verify; then
        verified_by_openssl && return 0
    else
        die "the signature cannot be checked: Python or OpenSSL 3 is needed; install one ($(package_line python3))"
    fi
    if [ -f "$prefix$settings/release-keys" ]; then
        die "the manifest has no valid signature of a key in $settings/release-keys, which this host trusts; \
if its keys have changed and you know the new ones, write them there"
    fi
    die "the manifest has no valid signature of a key that this file pins: take the install line again from the master"
}

# Ed25519 of RFC 8032, section 5.1, for hosts that have nothing but Python. Ends with 1 when no trusted key has signed.
verifier() {
    cat <<'PYTHON'
import base64, hashlib, sys

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(one, other):
    a, b = (one[1] - one[0]) * (other[1] - other[0]) % P, (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * one[3] * other[3] * D % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number, point):
    total = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = add(total, point)
        point, number = add(point, point), number >> 1
    return total


def read_point(raw):
    number = int.from_bytes(raw, "little")
    y, sign = number & (2**255 - 1), number >> 255
    if y >= P:
        raise ValueError("not a point")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (not x and sign):
        raise ValueError("not a point")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def is_valid(key, message, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    number = int.from_bytes(signature[32:], "little")
    if number >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    base = read_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    left, right = times(number, base), add(read_point(signature[:32]), times(challenge, read_point(key)))
    return not (left[0] * right[2] - right[0] * left[2]) % P and not (left[1] * right[2] - right[1] * left[2]) % P


def main(manifest, signatures, keys):
    with open(manifest, "rb") as file:
        message = file.read()
    with open(signatures, "rb") as file:
        lines = [line.split() for line in file.read(4096).splitlines()]
    for key in map(base64.b64decode, keys.split()):
        for line in lines:
            if len(line) != 2 or line[0].decode("latin-1") != hashlib.sha256(key).hexdigest()[:16]:
                continue
            try:
                if is_valid(key, message, base64.b64decode(line[1])):
                    return 0
            except ValueError:
                pass
    return 1


sys.exit(main(*sys.argv[1:]))
PYTHON
}

# Whether this OpenSSL verifies test 2 of RFC 8032, section 7.1: one that cannot do it may not be taken for a refusal.
openssl_can_verify() {
    printf '\162' >"$scratch/test"
    key=PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=
    signed=kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA==
    openssl_verifies "$key" "$signed" "$scratch/test" && ! openssl_verifies "$key" "$signed" "$manifest"
}

# openssl_verifies KEY SIGNATURE FILE. The first 12 bytes of a public key in DER (RFC 8410) are the same for each key.
openssl_verifies() {
    printf -- '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA%s\n-----END PUBLIC KEY-----\n' "$1" >"$scratch/key"
    printf '%s\n' "$2" | openssl base64 -d -A >"$scratch/signature" 2>/dev/null || return 1
    openssl pkeyutl -verify -pubin -inkey "$scratch/key" -rawin -in "$3" -sigfile "$scratch/signature" >/dev/null 2>&1
}

verified_by_openssl() {
    for key in $keys; do
        printf '%s\n' "$key" | openssl base64 -d -A >"$scratch/raw"
        id=$(sha256_of "$scratch/raw" | cut -c 1-16)
        awk -v id="$id" 'NF == 2 && $1 == id { print $2 }' "$manifest.sig" >"$scratch/signatures"
        while IFS= read -r signature; do
            if openssl_verifies "$key" "$signature" "$manifest"; then return 0; fi
        done <"$scratch/signatures"
    done
    return 1
}

# --- which bundle -----------------------------------------------------------------------------------------------------

# Sets `helper` to any Python 3, for what its standard library can do. Which one runs the node is another question.
find_helper() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if helper=$(command -v "$name") && "$helper" -I -S -c 'import hashlib' 2>/dev/null; then return 0; fi
    done
    helper=''
}

# The line of the manifest for a kind, version of Python, machine and libc.
bundle_for() {
    printf '%s\n' "$files" | while IFS= read -r line; do
        [ "$(text_of kind "$line")" = "$1" ] && [ "$(text_of machine "$line")" = "$3" ] || continue
        [ "$(text_of libc "$line")" = "$4" ] && { [ "$1" = full ] || [ "$(text_of python "$line")" = "$2" ]; } || continue
        printf '%s\n' "$line"
        break
    done
}

# Sets `bundle`, the line of the manifest, and `python`, the interpreter of a thin one. A full one has its own.
choose_bundle() {
    bundle='' python='' problem=''
    for name in "${MAYBE_NODE_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$name" ] && python=$(command -v "$name") || continue
        try_python "$python" && break
    done
    [ -z "$bundle" ] || return 0
    python='' machine=$(uname -m) libc=$(libc_of_host)
    bundle=$(bundle_for full '' "$machine" "$libc")
    [ -z "$bundle" ] || return 0
    offered=$(printf '%s\n' "$files" | while IFS= read -r line; do
        printf '%s, ' "$(text_of kind "$line") for $(text_of machine "$line") $(text_of libc "$line") $(text_of python "$line")"
    done)
    case $offered in
        *" $machine $libc "*) ;;
        *) die "there is no bundle for this machine ($machine, $libc), only: ${offered%, }; \
build one on the master (maybe-master bundle build)" ;;
    esac
    die "${problem:-there is no Python}; a node needs Python 3.11 or newer: install it ($(package_line python3)), \
or have the master offer a full bundle. It has: ${offered%, }"
}

# By the dynamic linker: a Python before 3.12 does not know that it was built for musl.
libc_of_host() {
    for file in /lib/ld-linux* /lib64/ld-linux* /lib/ld-musl-*; do
        [ -e "$file" ] || continue
        case $file in *musl*) echo musl ;; *) echo gnu ;; esac
        return 0
    done
    echo gnu
}

# Whether there is a thin bundle for this Python; `problem` then says why not.
try_python() {
    facts=$("$1" -I -S -c 'import sys
print("%d.%d %s" % (sys.version_info[0], sys.version_info[1], getattr(sys.implementation, "_multiarch", "")))' 2>/dev/null) ||
        return 1
    python_version=${facts%% *} triple=${facts#* } libc=$(libc_of_host)
    [ -n "$triple" ] || triple=$(uname -m)
    [ "$for_user" = yes ] || case $(readlink -f "$1") in /root/* | /home/* | /run/* | /tmp/*)
        problem=${problem:-"$1 is in a folder that a service cannot read"}
        return 1
        ;;
    esac
    line=$(bundle_for thin "$python_version" "${triple%%-*}" "$libc")
    if [ -z "$line" ]; then
        problem=${problem:-"there is no bundle for Python $python_version ($1)"}
        return 1
    fi
    if ! "$1" -I -S -c 'import _ctypes, _sqlite3, _ssl, fcntl, json, select' 2>/dev/null; then
        problem="Python $python_version ($1) lacks modules of its standard library (python3-minimal is not enough)"
        return 1
    fi
    bundle=$line
}

# Bytes that a version takes: a bundle is packed to a third or a quarter, and compiled modules come to it.
check_room() {
    folder=$prefix$base
    while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
    free=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
    needed=$((bundle_size * 7 / 1024 + 16384))
    if [ "$free" -lt "$needed" ]; then
        die "$folder has $((free / 1024)) MiB of free space, but $((needed / 1024)) MiB are needed: free some"
    fi
}

# --- placing ----------------------------------------------------------------------------------------------------------

# make_folder PATH MODE OWNER: makes it, and those above it, or mends its mode and owner.
make_folder() {
    if [ ! -d "$prefix$1" ]; then
        case "$planned" in *"|$1|"*) return 0 ;; esac
        planned="$planned|$1|"
        parent=$(dirname "$1")
        [ -d "$prefix$parent" ] || make_folder "$parent" 755 "$root"
        change "create $1" new_folder "$prefix$1" "$2" "$3"
        on_failure rmdir "$prefix$1"
        record "folder $1"
    elif [ "$(stat -c %a:%u "$prefix$1")" != "$2:$(uid_of "$3")" ]; then
        change "give $1 to $3, mode $2" own "$prefix$1" "$2" "$3"
    fi
}

new_folder() {
    mkdir -m 700 "$1"
    own "$@"
}

own() {
    [ "$(id -u)" != 0 ] || chown "$(uid_of "$3"):$(gid_of "$3")" "$1"
    chmod "$2" "$1"
}

# By number: with MAYBE_ROOT the names are those of the other system.
uid_of() { account "$1" 3; }
gid_of() { account "$1" 4; }
account() {
    if [ "$for_user" = yes ]; then
        if [ "$2" = 3 ]; then id -u; else id -g; fi
    elif [ "$1" = root ]; then echo 0
    else awk -F : -v name="$1" -v part="$2" '$1 == name { print $part; exit }' "$prefix/etc/passwd"
    fi
}

# Notes what was made, so that --uninstall --purge removes that and nothing else.
record() {
    [ "$print" = no ] || return 0
    case "$records" in *"$1
"*) ;; *) records="$records$1
" ;; esac
}

# place FILE PATH MODE [GROUP]: writes the file there unless it is the same. Its name appears when it is complete.
place() {
    [ ! -f "$prefix$2" ] || ! cmp -s "$1" "$prefix$2" || return 0
    is_changed=yes
    if [ -e "$prefix$2" ]; then
        change "replace $2" put "$@"
    else
        on_failure rm -f "$prefix$2"
        change "create $2" put "$@"
    fi
}

put() {
    aside=$prefix$2.new-$$
    on_failure rm -f "$aside"
    (umask 077 && cp "$1" "$aside") # it may hold a secret
    if [ $# -ge 4 ] && [ "$(id -u)" = 0 ]; then chown "0:$(gid_of "$4")" "$aside"; fi
    chmod "$3" "$aside"
    mv -f "$aside" "$prefix$2"
}

# link NAME TARGET: points a link elsewhere at once. (mv without -T would move into the folder that it points to.)
link() {
    rm -f "$prefix$base/.$1"
    ln -s "$2" "$prefix$base/.$1"
    mv -fT "$prefix$base/.$1" "$prefix$base/$1"
}

make_user() {
    [ "$for_user" = no ] || return 0
    [ -z "$(uid_of "$owner")" ] || return 0
    on_failure remove_user
    for file in passwd group shadow gshadow; do [ -e "$prefix/etc/$file-" ] || record "backup /etc/$file-"; done
    [ -e "$prefix/etc/.pwd.lock" ] || record "backup /etc/.pwd.lock"
    record "user $owner"
    change "create the user $owner" add_user
}

add_user() {
    if have useradd; then
        set -- --system --user-group --home-dir "$data" --no-create-home --shell "$(no_login_shell)" "$owner"
        [ -z "$prefix" ] || set -- --prefix "$prefix" "$@"
        useradd "$@" >/dev/null 2>"$scratch/error" || die "useradd failed: $(last_line "$scratch/error")"
    elif have adduser && [ -z "$prefix" ]; then
        addgroup -S "$owner" 2>/dev/null || :
        adduser -S -D -H -h "$data" -s "$(no_login_shell)" -G "$owner" "$owner" >/dev/null || die "adduser failed"
    else
        die "useradd is missing: install it, or create the user $owner yourself"
    fi
}

# By its path: the shell of busybox may name its own applets without one.
no_login_shell() {
    for shell in /usr/sbin/nologin /sbin/nologin /usr/bin/nologin; do
        if [ -x "$prefix$shell" ]; then echo "$shell" && return 0; fi
    done
    echo /bin/false
}

remove_user() {
    if have userdel; then
        set -- "$owner"
        [ -z "$prefix" ] || set -- --prefix "$prefix" "$@"
        userdel "$@" >/dev/null 2>&1 || :
        ! have groupdel || groupdel "$@" >/dev/null 2>&1 || :
    else
        deluser "$owner" >/dev/null 2>&1 || :
        delgroup "$owner" >/dev/null 2>&1 || :
    fi
    removed_backups=$(printf '%s' "$records" | sed -n 's/^backup //p')
    for file in $removed_backups; do rm -f "$prefix$file"; done
}

# --- a version's folder -----------------------------------------------------------------------------------------------

# Before anything else of the host is changed: the version's folder, aside and verified.
prepare_version() {
    is_changed=yes
    change "fetch $bundle_name ($((bundle_size / 1024)) KiB)" fetch_bundle
    change "unpack and verify it" unpack
}

# Has versions/VERSION there, once its program has answered.
place_version() {
    [ "$print" = yes ] || try_program
    if [ ! -d "$there" ]; then
        on_failure rm -rf "$there"
        change "create $versions/$VERSION" mv -T "$new" "$there"
    elif [ "$print" = yes ]; then
        say "would mend the files of $versions/$VERSION that differ"
    elif cmp -s "$new/PYTHON" "$there/PYTHON"; then
        mend
    else
        change "replace $versions/$VERSION, which was for Python $(cat "$there/PYTHON" 2>/dev/null || :)" replace_version
        is_replaced=yes
    fi
    sync
}

try_program() {
    answer=$(as_owner "$new/maybe-node" --version 2>&1) || die "the program does not run here: $answer"
    case $answer in *" $VERSION") ;; *) die "the program reports another version: $answer" ;; esac
}

replace_version() {
    mv -T "$there" "$prefix$versions/.new-old"
    mv -T "$new" "$there"
    rm -rf "$prefix$versions/.new-old"
}

# Whether each file is as it was unpacked, and compiled. `.bundle` pins the list of files, which pins the files.
is_whole() {
    [ -f "$1/.bundle" ] && [ -f "$1/FILES" ] && [ -f "$1/.compiled" ] || return 1
    [ "$(cat "$1/.bundle")" = "$(text_of sha256 "$bundle") $(sha256_of "$1/FILES") $(sha256_of "$1/.compiled")" ] || return 1
    (cd "$1" && sha256sum -c FILES && sha256sum -c .compiled) >/dev/null 2>&1 || return 1
    # Nothing may be there that is on no list, for it could be imported.
    [ "$(find "$1" -type f | wc -l)" -eq "$(($(cat "$1/FILES" "$1/.compiled" | wc -l) + 3))" ]
}

fetch_bundle() {
    on_failure rm -rf "$new"
    mkdir -m 700 "$new"
    fetch "$bundle_name" "$new/bundle.tar.gz" "$bundle_size"
    if [ "$(size_of "$new/bundle.tar.gz")" != "$bundle_size" ] ||
        [ "$(sha256_of "$new/bundle.tar.gz")" != "$(text_of sha256 "$bundle")" ]; then
        die "$bundle_name is not what the manifest pins: it was cut off or changed on the way; run this line again"
    fi
}

unpack() {
    mkdir -m 700 "$new/folder"
    # The owners in the archive are root's, which an ordinary user cannot give.
    if ! gzip -dc "$new/bundle.tar.gz" | tar -xpf - -C "$new/folder" -o 2>"$scratch/error"; then
        die "the bundle could not be unpacked: $(last_line "$scratch/error")"
    fi
    mv "$new/folder/maybe-node-$VERSION" "$new.unpacked"
    on_failure rm -rf "$new.unpacked"
    rm -rf "$new"
    mv -T "$new.unpacked" "$new"
    [ "$(cat "$new/VERSION")" = "$VERSION" ] || die "the bundle is of another version"
    (cd "$new" && sha256sum -c FILES) >"$scratch/error" 2>&1 ||
        die "the unpacked bundle differs from its list: $(grep -v ': OK$' "$scratch/error" | head -n 1); is the disk full?"
    compile "$new"
    chmod 755 "$new"
}

# Compiles the modules: the user of the service may not write here, and each start would compile them again.
compile() {
    compiler=${python:-$1/python/bin/python3}
    for folder in "$1/lib" "$1/python"; do
        [ -d "$folder" ] || continue
        "$compiler" -I -S -m compileall -q --invalidation-mode unchecked-hash "$folder" >"$scratch/error" 2>&1 ||
            die "the modules could not be compiled: $(last_line "$scratch/error")"
    done
    (cd "$1" && find . -name '*.pyc' -type f | sort | while IFS= read -r file; do sha256sum "$file"; done) >"$1/.compiled"
    printf '%s %s %s\n' "$(text_of sha256 "$bundle")" "$(sha256_of "$1/FILES")" "$(sha256_of "$1/.compiled")" >"$1/.bundle"
}

# Replaces each file that differs, one at a time and at once, so that what runs is not disturbed.
mend() {
    (cd "$there" && find . -type f -o -type l | sort) | while IFS= read -r file; do
        if [ -e "$new/$file" ] || [ -L "$new/$file" ]; then continue; fi
        change "remove $versions/$VERSION/${file#./}, which is none of its files" rm -f "$there/$file"
    done
    (cd "$new" && find . -type d | sort) | while IFS= read -r folder; do
        [ -d "$there/$folder" ] || change "create $versions/$VERSION/${folder#./}" mkdir -m 755 "$there/$folder"
    done
    (cd "$new" && find . -type f -o -type l | sort) | while IFS= read -r file; do
        if [ -L "$new/$file" ]; then
            [ "$(readlink "$there/$file" 2>/dev/null)" != "$(readlink "$new/$file")" ] || continue
        elif [ -f "$there/$file" ] && [ ! -L "$there/$file" ] && cmp -s "$new/$file" "$there/$file"; then
            continue
        fi
        change "mend $versions/$VERSION/${file#./}" mv -fT "$new/$file" "$there/$file"
    done
    rm -rf "$new"
}

# --- settings, command and units --------------------------------------------------------------------------------------

place_settings() {
    if [ ! -e "$prefix$settings/release-keys" ]; then
        printf '%s\n' "$RELEASE_KEYS" | tr ' ' '\n' >"$scratch/release-keys"
        place "$scratch/release-keys" "$settings/release-keys" 644
    fi
    if [ ! -e "$prefix$settings/node.env" ]; then
        place "$scratch/node.env" "$settings/node.env" 640 "$owner"
    fi
    write_command >"$scratch/command"
    place "$scratch/command" "$bin/maybe-node" 755
}

# Writes the settings out of this environment, in a form that systemd and the command both read.
write_settings() {
    echo "# Settings of this node, read when it starts. The installer has written them once and does not change them."
    setting NODE_DATA_DIR "$data"
    for name in $(env | sed -n 's/^\(NODE_[A-Z0-9_]*\)=.*/\1/p' | sort -u) THREE_PROXY LOG_LEVEL; do
        [ "$name" != NODE_DATA_DIR ] || continue
        eval "[ -z \"\${$name+set}\" ]" || eval "setting $name \"\$$name\""
    done
    if [ -n "${NODE_INVITATION:-}" ] && [ -z "${NODE_MASTER_URL:-}" ]; then setting NODE_MASTER_URL "$BASE_URL"; fi
    if [ -z "${THREE_PROXY:-}" ] && [ -n "$three_proxy" ] && ! PATH=$STANDARD_PATH have 3proxy; then
        setting THREE_PROXY "$three_proxy"
    fi
    if [ -n "$python" ] && [ "$python" != "$(PATH=$STANDARD_PATH command -v "python$(text_of python "$bundle")")" ] &&
        [ "$python" != "$(PATH=$STANDARD_PATH command -v python3)" ]; then
        setting MAYBE_NODE_PYTHON "$python"
    fi
}

setting() {
    case $2 in
        *[!A-Za-z0-9_./:,+@%^=~\ -]*)
            case $2 in *\'* | *'
'*) die "$1 has a quote or a line break; leave it out here, and write it to $settings/node.env afterwards" ;; esac
            printf "%s='%s'\n" "$1" "$2"
            ;;
        *' '*) printf "%s='%s'\n" "$1" "$2" ;;
        *) printf '%s=%s\n' "$1" "$2" ;;
    esac
}

# The command for people: with the settings of the service, and as its user.
write_command() {
    cat <<TEXT
#!/bin/sh
# Runs maybe-node with the settings of its service, and as the service's user. Written by the installer.
set -eu
settings='$settings/node.env' program='$base/current/maybe-node' owner='$owner'
TEXT
    cat <<'TEXT'
if [ ! -r "$settings" ]; then
    echo "maybe-node: $settings cannot be read: run this by sudo" >&2
    exit 1
fi
while IFS= read -r line || [ -n "$line" ]; do
    name=${line%%=*} value=${line#*=}
    case $line in [A-Z_]*=*) ;; *) continue ;; esac
    case $name in *[!A-Za-z0-9_]*) continue ;; esac
    case $value in
        \"*\") value=${value#\"} value=${value%\"} ;;
        \'*\') value=${value#\'} value=${value%\'} ;;
    esac
    export "$name=$value"
done <"$settings"
if [ "$(id -u)" = 0 ] && [ "$owner" != root ]; then
    case $(setpriv --version 2>/dev/null) in
        *util-linux*) exec setpriv --reuid "$owner" --regid "$owner" --init-groups -- "$program" "$@" ;;
    esac
    exec su -s /bin/sh -c 'exec "$0" "$@"' -- "$owner" "$program" "$@"
fi
exec "$program" "$@"
TEXT
}

# place_units VERSION: those of that version.
place_units() {
    source=$prefix$versions/$1/systemd is_before=$is_changed is_changed=no
    [ "$for_user" = no ] || source=$source/user
    make_folder "$units" 755 "$root"
    for unit in maybe-node.service maybe-node-upgrade.path maybe-node-upgrade.service; do
        if [ "$print" = yes ] && [ ! -d "$source" ]; then
            change "create $units/$unit"
        else
            place "$source/$unit" "$units/$unit" 644
        fi
    done
    if [ "$is_changed" = yes ]; then
        change "have systemd read its units" systemd daemon-reload
        on_failure systemd daemon-reload
    fi
    [ "$is_before" = no ] || is_changed=yes
}

enable_units() {
    [ -d "$prefix$units/$wanted_by.wants" ] || record "folder $units/$wanted_by.wants"
    for unit in maybe-node.service maybe-node-upgrade.path; do
        if ! systemd is-enabled -q "$unit" 2>/dev/null; then
            on_failure systemd disable -q "$unit"
            change "enable $unit" systemd enable -q "$unit"
            is_changed=yes
        fi
    done
    [ "$for_user" = no ] || keep_after_logout
}

# Without lingering a user's services end with his last session (loginctl(1)).
keep_after_logout() {
    name=$(id -un)
    [ ! -e "/var/lib/systemd/linger/$name" ] || return 0
    if [ "$print" = yes ]; then
        say "would have the services of $name run without a login"
    elif loginctl enable-linger "$name" 2>/dev/null; then
        say "have the services of $name run without a login"
        record "linger $name"
    else
        say "note: the node ends when $name logs out, until root runs: loginctl enable-linger $name"
    fi
}

start_units() {
    for unit in maybe-node-upgrade.path maybe-node.service; do
        systemd is-active -q "$unit" 2>/dev/null || change "start $unit" begin_unit "$unit"
    done
}

begin_unit() {
    is_changed=yes
    systemd start "$1" || die "$1 does not start; see: ${journal}"
}

# --- installing, repairing, upgrading ---------------------------------------------------------------------------------

install_node() {
    case $MANIFEST_SHA256 in
        *[!0-9a-f]*) die "this file is a template: take the install line from the master (maybe-master install-command)" ;;
    esac
    [ -z "$offline" ] || [ -r "$offline" ] || die "$offline cannot be read"
    installed=$(installed_version)
    fetch_manifest
    decide
    choose_bundle
    bundle_name=$(text_of name "$bundle") bundle_size=$(text_of size "$bundle")
    case $bundle_name in */* | -* | '') die "the manifest names a file that is none" ;; esac
    three_proxy=${THREE_PROXY:-$(command -v 3proxy || :)}
    is_changed=no is_replaced=no
    [ "$step" = repair ] || say "maybe-node $VERSION: $step$from, $(text_of kind "$bundle") bundle${python:+ for $python}"
    [ -d "$prefix$versions/$VERSION" ] || check_room
    [ -e "$prefix$settings/node.env" ] || write_settings >"$scratch/node.env"
    place_node
    take_step
    write_records
    commit
    finish
}

place_node() {
    take_lock
    meanwhile=$(installed_version)
    [ "$meanwhile" = "$installed" ] || die "another run has installed $meanwhile meanwhile: run this line again"
    make_folder "$versions" 755 "$root"
    for left in "$prefix$versions"/.new-*; do
        [ ! -e "$left" ] || change "remove ${left#"$prefix"}, left by a run that was cut off" rm -rf "$left"
    done
    new=$prefix$versions/.new-$VERSION there=$prefix$versions/$VERSION is_wanted=yes
    if [ -d "$there" ] && is_whole "$there"; then is_wanted=no; fi
    [ "$is_wanted" = no ] || prepare_version
    make_user
    make_folder "$settings" 755 "$root"
    make_folder "$data" 700 "$owner"
    make_folder "$state" 755 "$root"
    make_folder "$bin" 755 "$root"
    [ -e "$made" ] || on_failure rm -f "$made"
    write_records
    [ "$is_wanted" = no ] || place_version
    place_settings
}

installed_version() {
    target=$(readlink "$prefix$base/current" 2>/dev/null) || return 0
    version_key "${target##*/}" >/dev/null && printf '%s' "${target##*/}"
}

# Prints a version so that an older one sorts before a newer one: N.N.N, with rcN before the release itself.
version_key() {
    printf '%s\n' "$1" | awk '!/^[0-9]+\.[0-9]+\.[0-9]+(rc[0-9]+)?$/ { exit 1 }
        { split($0, parts, /\.|rc/); printf "%06d%06d%06d%07d", parts[1], parts[2], parts[3], /rc/ ? parts[4] : 1000000 }'
}

is_older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$(version_key "$1")" "$(version_key "$2")" | sort | head -n 1)" = "$(version_key "$1")" ]; }

# Sets `step` and `from`. An older version may lack what mends a fault, so it is installed only when asked for.
decide() {
    step=install from=''
    [ -n "$installed" ] || return 0
    from=" from $installed"
    if [ "$installed" = "$VERSION" ]; then
        step=repair
    elif is_older "$VERSION" "$installed"; then
        [ "$downgrade" = yes ] || die "version $installed is installed, which is newer than $VERSION; \
give --allow-downgrade to go back to $VERSION"
        step=downgrade
    else
        least=$(text_of min_upgradable_from)
        ! is_older "$installed" "$least" || die "version $installed cannot be upgraded to $VERSION, which needs $least \
or newer: upgrade to a version between them first"
        step=upgrade
    fi
}

take_step() {
    case $step in
        install)
            on_failure rm -f "$prefix$base/current"
            change "make $VERSION the current version" link current "versions/$VERSION"
            if has_systemd; then
                place_units "$VERSION"
                enable_units
            fi
            ;;
        repair)
            if has_systemd; then
                place_units "$VERSION"
                enable_units
                [ "$is_replaced$start" != yesyes ] || change "restart maybe-node.service" systemd restart maybe-node.service
            fi
            ;;
        *) switch_version ;;
    esac
}

# Hands over to the program that also carries out upgrades which the master asks for. It is the one from before, so that
# it works whatever the new version does: it restarts the agent, and goes back when not each proxy accepts again.
switch_version() {
    if has_systemd && [ "$start" = yes ]; then
        set -- apply-upgrade --unpacked "$VERSION" --locked
        [ "$downgrade" = no ] || set -- "$@" --allow-downgrade
        change "restart the agent with version $VERSION, and see each proxy accept again" upgrade "$@"
        enable_units
    else
        change "make $VERSION the current version" flip
        ! has_systemd || place_units "$VERSION"
        say "restart the agent for it to run version $VERSION"
    fi
}

# It is not interrupted: it has time limits, and whatever ends it, its journal has it finished or undone.
upgrade() {
    commit
    (trap '' HUP INT TERM && exec "$prefix$base/current/maybe-node" "$@") 2>"$scratch/error" && return 0
    if [ ! -e "$prefix$state/journal.json" ] && [ "$(installed_version)" = "$installed" ]; then
        change "remove $versions/$VERSION" rm -rf "$there"
    fi
    die "version $installed stays, since the upgrade to $VERSION failed: $(last_line "$scratch/error")"
}

flip() {
    link previous "versions/$installed"
    link current "versions/$VERSION"
    sync
}

# A stranger's program may have written it, so it is bounded and printable.
last_line() { tail -n 1 "$1" | tr -cd ' -~' | cut -c 1-500; }

write_records() {
    [ "$print" = no ] || return 0
    { cat "$made" 2>/dev/null || :; printf '%s' "$records"; } | awk '!seen[$0]++' >"$scratch/made"
    [ -f "$made" ] && cmp -s "$scratch/made" "$made" || put "$scratch/made" "${made#"$prefix"}" 644
}

finish() {
    if has_systemd && [ "$start" = yes ]; then start_units; fi
    [ "$print" = no ] || return 0
    remove_old_versions
    if [ "$step" = repair ] && [ "$is_changed" = no ]; then
        say "maybe-node $VERSION is installed, and each file is as it should be: nothing was changed"
    elif [ "$step" != repair ]; then
        say "maybe-node $VERSION is installed"
    fi
    if [ -n "$three_proxy" ]; then say "3proxy: $three_proxy is used beside the built-in engine"; fi
    if ! has_systemd; then
        say "there is no systemd here that starts it: start it yourself, as $owner, and keep it running: $bin/maybe-node"
    elif [ "$start" = no ]; then
        say "start it by: ${ctl} start maybe-node-upgrade.path maybe-node.service"
    else
        show_challenge
    fi
}

# The current and the previous version stay.
remove_old_versions() {
    for folder in "$prefix$versions"/*; do
        name=versions/${folder##*/}
        [ -d "$folder" ] && [ "$name" != "$(readlink "$prefix$base/current")" ] || continue
        [ "$name" != "$(readlink "$prefix$base/previous" 2>/dev/null)" ] || continue
        [ "$name" != "$(readlink "$prefix$base/upgrader" 2>/dev/null)" ] || continue
        change "remove $versions/${folder##*/}, an old version" rm -rf "$folder"
    done
}

show_challenge() {
    if [ -n "${NODE_INVITATION:-}" ]; then
        say "it announces itself to its master, which enrols it: maybe-node status shows when it has"
    else
        "$bin/maybe-node" challenge 2>/dev/null || "$bin/maybe-node" status || say "see: $journal"
    fi
}

# --- removing ---------------------------------------------------------------------------------------------------------

uninstall_node() {
    if [ ! -d "$prefix$base" ] && [ ! -e "$prefix$bin/maybe-node" ] && [ "$purge" = no ]; then
        say "maybe-node is not installed"
        return 0
    fi
    [ ! -d "$prefix$base" ] || take_lock
    records=$(cat "$made" 2>/dev/null) || records=''
    records="$records
"
    if has_systemd; then
        for unit in maybe-node-upgrade.path maybe-node-upgrade.service maybe-node.service; do
            [ -e "$prefix$units/$unit" ] || continue
            change "stop and disable $unit" disable_unit "$unit"
        done
    fi
    if [ -x "$prefix$bin/maybe-node" ] && [ -z "$prefix" ] && [ -r "$settings/node.env" ]; then
        change "end the proxies" end_proxies
    fi
    for unit in maybe-node-upgrade.path maybe-node-upgrade.service maybe-node.service; do
        remove "$units/$unit"
    done
    ! has_systemd || change "have systemd read its units" systemd daemon-reload
    remove "$bin/maybe-node"
    remove "$base/current"
    if [ "$purge" = no ]; then
        # What was made stays on record for a later --purge.
        for each in "$versions" "$base/previous" "$base/upgrader"; do remove "$each"; done
        say "the node's identity and settings are kept in $data and $settings: --uninstall --purge removes them, too"
        return 0
    fi
    for each in "$base" "$settings" "$data" "$state"; do remove "$each"; done
    unmake
    say "nothing of maybe-node is left"
}

disable_unit() { systemd disable --now -q "$1" 2>"$scratch/error" || die "$1 could not be stopped: $(last_line "$scratch/error")"; }

end_proxies() {
    "$bin/maybe-node" stop >"$scratch/error" 2>&1 || die "the proxies could not be ended: $(last_line "$scratch/error")"
}

remove() {
    [ -e "$prefix$1" ] || [ -L "$prefix$1" ] || return 0
    change "remove $1" rm -rf "$prefix$1"
}

# Undoes what the record names: the user, and folders that were made and are empty now, the last one first.
unmake() {
    case "$records" in *"linger "*) change "have the user's services end with his sessions" loginctl disable-linger ;; esac
    case "$records" in *"user "*) change "remove the user $owner" remove_user ;; esac
    printf '%s' "$records" | sed -n 's/^folder //p' | awk '{ lines[NR] = $0 } END { for (i = NR; i; i--) print lines[i] }' |
        while IFS= read -r folder; do
            [ "$print" = yes ] || rmdir "$prefix$folder" 2>/dev/null || :
        done
}

main() {
    umask 022
    LC_ALL=C PATH=$STANDARD_PATH${PATH:+:$PATH} IFS=' 	
'
    export LC_ALL PATH
    unset CDPATH GREP_OPTIONS TAR_OPTIONS GZIP POSIXLY_CORRECT
    undo='' scratch='' planned='' records='' python='' installed='' root=root
    read_arguments "$@"
    case $action in
        help) usage; exit 0 ;;
        version) say "maybe-node $VERSION"; exit 0 ;;
    esac
    name_paths
    ctl=systemctl journal='journalctl -u maybe-node'
    if [ "$for_user" = yes ]; then ctl='systemctl --user' journal='journalctl --user -u maybe-node' root=$owner; fi
    check_host
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 141' PIPE
    trap 'exit 143' TERM
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/maybe-node-install-XXXXXXXX") || die "no temporary folder can be made in ${TMPDIR:-/tmp}"
    if [ "$action" = uninstall ]; then uninstall_node; else install_node; fi
}

{ main "$@"; }
