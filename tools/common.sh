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

have()
{
    command -v "$1" >/dev/null 2>&1
}

# e2fsprogs lives in sbin, which is not in an ordinary user's PATH on Debian.
PATH=$PATH:/usr/sbin:/sbin
export PATH
