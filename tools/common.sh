# Shared by the front door and the tools: where things are, and how to fail.
# Sourced with ROOT set to the top of the tree; works in any POSIX shell.

BUILD=$ROOT/build

# One line that says what is wrong and what to do; status 2.
die()
{
    printf 'quire: %s\n' "$*" >&2
    exit 2
}

note()
{
    printf 'quire: %s\n' "$*" >&2
}

# The path of the disk image with the packages "$@", in whatever order they are named.
packages_image()
{
    names=$(printf '%s\n' "$@" | sort -u | tr '\n' '+')
    names=${names%+}
    # A long name is cut, and ends in a checksum instead.
    [ "${#names}" -le 60 ] || names=$(printf '%.40s' "$names")-$(printf '%s' "$names" | cksum | cut -d' ' -f1)
    echo "$BUILD/packages/$names.img"
}

# Runs a command that builds: one at a time.
in_turn()
{
    {
        ! have flock || flock 8
        "$@"
    } 8>>"$BUILD/lock"
}

have()
{
    command -v "$1" >/dev/null 2>&1
}

# $counter: which of the two versions of the plugin (bench/counter.c) this QEMU takes; none: the clock counts, waiting included.
choose_counter()
{
    counter=
    for version in 1 3; do
        file=$BUILD/tools/counter-$version.so
        if echo quit | qemu-system-riscv64 -machine none -nodefaults -display none -monitor stdio \
            -plugin "$file,log=/dev/null" >/dev/null 2>&1; then
            counter=$file
            return 0
        fi
    done
    note "this QEMU takes no plugins: what waits for the disk includes the wait"
}

# e2fsprogs lives in sbin, which is not in an ordinary user's PATH on Debian.
PATH=$PATH:/usr/sbin:/sbin
export PATH
