#!/usr/bin/env bash
# Runs a stock Postfix out of an unpacked Debian package, without installing it: a root of its own, laid over the
# machine's by overlayfs in a private mount namespace. Root needed. Stock but for relayhost, mynetworks, the log file,
# the port, and chroot off (its jail would need the machine's files copied in).
#
#   postfix_in_overlay.sh PEER_DIR SPOOL_DIR WORK_DIR PORT NEXT_HOP_PORT [POSTCONF_SETTING…]
#
# Runs in the foreground until it is told to end (SIGTERM). PEER_DIR: tools/dev peer postfix. SPOOL_DIR: on the file
# system that is to be measured.
set -euo pipefail

if [ "${1:-}" != --inside ]; then
    exec unshare --mount --propagation private "$0" --inside "$@"
fi
shift
peer=$(realpath "$1") spool=$(realpath "$2") work=$(realpath "$3") port=$4 next_hop=$5
shift 5

mkdir -p "$work"
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
# The package's files become the upper layer: as a second lower one they would lie inside the first. Its lib/ would hide
# Debian's link into /usr.
cp -a "$peer/usr" "$peer/etc" "$peer/var" "$work/upper/"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
root=$work/root
mount --bind /proc "$root/proc"
mount --bind /dev "$root/dev"
mkdir -p "$root/var/spool/postfix"
mount --bind "$spool" "$root/var/spool/postfix"
mkdir -p "$root/var/lib/postfix" "$root/etc/postfix"

grep -q '^postfix:' "$root/etc/passwd" || echo 'postfix:x:4901:4901::/var/spool/postfix:/usr/sbin/nologin' >>"$root/etc/passwd"
grep -q '^postfix:' "$root/etc/group" || echo 'postfix:x:4901:' >>"$root/etc/group"
grep -q '^postdrop:' "$root/etc/group" || echo 'postdrop:x:4902:' >>"$root/etc/group"

cp "$peer/usr/share/postfix/master.cf.dist" "$root/etc/postfix/master.cf"
cp "$peer/usr/share/postfix/main.cf.debian" "$root/etc/postfix/main.cf"
sed -i -E "s/^smtp( +)inet( .*)smtpd\$/127.0.0.1:$port\1inet\2smtpd/; s/^([a-z0-9:.]+ +[a-z]+ +[-yn]+ +[-yn]+ +)y /\1n /" \
    "$root/etc/postfix/master.cf"
in_root() { chroot "$root" "$@"; }
in_root postconf -e myhostname=relay.example.test "relayhost=[127.0.0.1]:$next_hop" "mynetworks=127.0.0.0/8" \
    mydestination= maillog_file=/var/log/postfix.log inet_interfaces=127.0.0.1 inet_protocols=ipv4 \
    alias_maps= alias_database= "$@"
grep -q '^postlog' "$root/etc/postfix/master.cf" || \
    echo 'postlog unix-dgram n - n - 1 postlogd' >>"$root/etc/postfix/master.cf"
mkdir -p "$root/var/log"
in_root postfix set-permissions create-missing >/dev/null 2>&1 || true
in_root postfix check
trap 'in_root postfix stop >/dev/null 2>&1 || true' EXIT
in_root /usr/lib/postfix/sbin/master -d &
master=$!
trap 'kill -TERM "$master" 2>/dev/null || true; wait "$master" 2>/dev/null || true; exit 0' TERM INT
wait "$master"
