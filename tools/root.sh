#!/bin/sh
# root.sh FOLDER GUEST-RUN [PACKAGE...]: lays out the guest's root file system in FOLDER.
#
# Debian trixie's busybox, a link for each of its applets, and what tools/root has. With PACKAGEs: all that they depend
# on, and dpkg with its database, so that tools/configure.sh can run their maintainer scripts in the guest. Laid out as
# Debian does: /bin, /sbin and /lib are links into /usr.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

folder=$1 guest_run=$2
shift 2

# Applets that would be in the way of the real programs of their names, or mean nothing in a guest.
SKIPPED=" dpkg dpkg-deb rpm rpm2cpio busybox linuxrc "
# Found where other programs look for them by full path.
IN_SBIN=" init halt poweroff reboot getty sulogin mdev swapon swapoff fdisk mkswap "

# The essential packages, which maintainer scripts take for granted.
MAINTAINERS="base-files base-passwd bash coreutils dash debianutils diffutils dpkg findutils grep gzip hostname \
    init-system-helpers libc-bin ncurses-base ncurses-bin perl-base sed sysvinit-utils tar"

umask 022
rm -rf "$folder"
mkdir -p "$folder"
for dir in bin sbin lib; do
    mkdir -p "$folder/usr/$dir"
    ln -s "usr/$dir" "$folder/$dir"
done
mkdir -p "$folder/dev" "$folder/proc" "$folder/sys" "$folder/etc" "$folder/root" "$folder/home/user" "$folder/mnt" \
    "$folder/run" "$folder/var/log" "$folder/var/tmp" "$folder/var/lib" "$folder/usr/local/bin" "$folder/usr/share" "$folder/tmp"
chmod 1777 "$folder/tmp" "$folder/var/tmp"
chmod 700 "$folder/root"
ln -s /run "$folder/var/run"

if [ $# -gt 0 ]; then
    packages=$("$ROOT/tools/packages.sh" closure $MAINTAINERS "$@")
    # shellcheck disable=SC2086 # names of packages have no spaces
    set -- $packages
    "$ROOT/tools/packages.sh" database "$folder" "$@"
fi
"$ROOT/tools/packages.sh" unpack "$folder" busybox-static "$@"
rm -rf "$folder/usr/share/doc" "$folder/usr/share/man" "$folder/usr/share/lintian" "$folder/usr/share/initramfs-tools"
# Java's scripts make links among the manual pages, which need not be there, in folders, which must.
[ $# -eq 0 ] || mkdir -p "$folder/usr/share/man/man1"

"$ROOT/tools/applets.sh" "$folder/usr/bin/busybox" | while read -r applet; do
    case $SKIPPED in *" $applet "*) continue ;; esac
    case $IN_SBIN in *" $applet "*) link=sbin target=../bin/busybox ;; *) link=bin target=busybox ;; esac
    # A package's own program is the better one.
    [ -e "$folder/usr/$link/$applet" ] || [ -L "$folder/usr/$link/$applet" ] ||
        ln -s "$target" "$folder/usr/$link/$applet"
done

cp -R "$ROOT/tools/root/." "$folder"
if [ $# -gt 0 ]; then
    # Debian's users, and ours.
    for table in passwd group; do
        { cat "$folder/usr/share/base-passwd/$table.master"; grep '^user:' "$ROOT/tools/root/etc/$table"; } >"$folder/etc/$table"
    done
fi
chmod 600 "$folder/etc/shadow"
ln -sf /proc/mounts "$folder/etc/mtab"
install -m 755 "$guest_run" "$folder/usr/sbin/quire-run"
