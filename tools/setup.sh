#!/bin/sh
# Installs what is missing to build and run Quire, on Debian and its relatives, in one go and as root or through sudo.
# Says nothing and does nothing when all is there.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

missing=

want_command()
{
    have "$1" || missing="$missing $2"
}

# Some of the files $2... that package $1 brings.
want_file()
{
    package=$1
    shift
    for file; do
        [ ! -e "$file" ] || return 0
    done
    missing="$missing $package"
}

# Debian 13 has a package of its own for RISC-V; before, it was among the miscellaneous ones.
qemu_package()
{
    if apt-cache show qemu-system-riscv 2>/dev/null | grep -q '^Filename:'; then
        echo qemu-system-riscv
    else
        echo qemu-system-misc
    fi
}

want_all()
{
    missing=
    want_command make make
    want_command gcc gcc
    want_file libc6-dev /usr/include/stdlib.h
    want_command riscv64-linux-gnu-gcc gcc-riscv64-linux-gnu
    want_file libc6-dev-riscv64-cross /usr/riscv64-linux-gnu/lib/libc.a
    want_command mke2fs e2fsprogs
    want_command xz xz-utils
    want_command cpio cpio
    want_file debian-archive-keyring /usr/share/keyrings/debian-archive-keyring.gpg
    want_command gdb-multiarch gdb-multiarch
    have qemu-system-riscv64 || missing="$missing $(qemu_package)"
    want_file opensbi /usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin \
        /usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin
}

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

want_all
[ -n "$missing" ] || exit 0
have apt-get || die "missing:$missing: install these (there is no apt-get here to do it)"
[ "$(id -u)" = 0 ] || have sudo || die "missing:$missing: install these as root (there is no sudo here to do it)"

log=$(mktemp "${TMPDIR:-/tmp}/quire-setup.XXXXXX")
trap 'rm -f "$log"' EXIT
apt_error()
{
    grep -m1 '^E:' "$log" || tail -n1 "$log"
}

note "reading this machine's package lists"
as_root apt-get -q update >"$log" 2>&1 || die "apt-get update fails ($(apt_error)): check the network"
want_all
# QEMU brings the firmware on some releases and recommends it on others; one that the release does not have is left out.
packages=
for package in $missing; do
    if [ "$package" != opensbi ] || apt-cache show opensbi 2>/dev/null | grep -q '^Filename:'; then
        packages="$packages $package"
    fi
done
note "installing$packages"
# shellcheck disable=SC2086 # a list of names
as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $packages >"$log" 2>&1 ||
    die "apt-get cannot install$packages ($(apt_error))"
want_all
[ -z "$missing" ] || die "still missing after apt-get:$missing"
