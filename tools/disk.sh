#!/bin/sh
# Makes and changes ext3 disk images, as an ordinary user and without mounting them.
#
#   disk.sh make IMAGE SIZE FOLDER       an image of SIZE (as mke2fs takes it) with what is in FOLDER; all of it root's,
#                                        home/user the user's
#   disk.sh add IMAGE HOST GUEST         copies a host file or folder to the path GUEST, modes kept; a folder's contents join a
#                                        folder that is there, a file replaces a file
#   disk.sh get IMAGE GUEST HOST         copies one file out; fails when it is not there
#   disk.sh remove IMAGE GUEST           removes a folder of plain files, if it is there
#   disk.sh check IMAGE                  repairs when the disk says that it has errors (a journal is replayed at mount)

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

USER_ID=1000

# debugfs writes past the journal: nothing may be left in it.
replay()
{
    ! dumpe2fs -h "$1" 2>/dev/null | grep -q '^Filesystem features:.*needs_recovery' ||
        e2fsck -E journal_only -y "$1" >/dev/null 2>&1 || [ $? -le 1 ] || die "the journal of $1 cannot be replayed"
}

# debugfs says little by its status: what it prints to standard error, its banner apart, is a failure.
run_debugfs()
{
    replay "$1"
    complaint=$(debugfs -w -f "$2" "$1" 2>&1 >/dev/null | grep -v '^debugfs [0-9]' | head -n1) || true
    [ -z "$complaint" ] || die "cannot write to $1: $complaint"
}

new_script()
{
    script=$(mktemp "${TMPDIR:-/tmp}/quire-disk.XXXXXX") || die "no room in ${TMPDIR:-/tmp}: make some, or set TMPDIR"
    trap 'rm -f "$script"' EXIT
}

# Requests that make the owner of the tree $1's image root, but for home/user.
owner_requests()
{
    (cd "$1" && find . -mindepth 1) | sed 's/^\.//' | awk -v user="$USER_ID" -v me="$(id -u)" '
        { id = /^\/home\/user(\/|$)/ ? user : 0 }
        id != me || id != 0 { print "sif \"" $0 "\" uid " id; print "sif \"" $0 "\" gid " id }'
}

make()
{
    image=$1 size=$2 folder=$3
    new_script
    owner_requests "$folder" >"$script"
    rm -f "$image.new"
    truncate -s "$size" "$image.new" || die "cannot write $image: no space or permission"
    mke2fs -q -F -t ext3 -L quire -E root_owner=0:0 -d "$folder" "$image.new" "$size" >&2 ||
        { rm -f "$image.new"; die "mke2fs cannot make $image: is the disk full?"; }
    run_debugfs "$image.new" "$script"
    mv "$image.new" "$image"
}

# Octal mode and kind of $1, as an inode has them.
inode_mode()
{
    printf '0%o' $((0x$(stat -c %f "$1")))
}

quoted_path()
{
    case $1 in
    *[\"\
]*) die "--add: a name with a quote or a line break cannot be copied: $1" ;;
    esac
    printf '"%s"' "$1"
}

in_image()
{
    debugfs -R "stat $(quoted_path "$2")" "$1" 2>/dev/null | grep -q '^Inode:'
}

# Where the link $2 of the image $1 leads; nothing if it is no link.
link_in_image()
{
    debugfs -R "stat $(quoted_path "$2")" "$1" 2>/dev/null | sed -n 's/^Fast link dest: "\(.*\)"$/\1/p'
}

# The path $1 in $image, without links: as far as it is there, they are followed.
followed()
{
    rest=${1#/} path= links=0
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        [ "$part" = "$rest" ] && rest= || rest=${rest#*/}
        case $part in
        '' | .) continue ;;
        ..)
            path=${path%/*}
            continue
            ;;
        esac
        to=$(link_in_image "$image" "$path/$part")
        if [ -z "$to" ] || [ $links = 16 ]; then
            path=$path/$part
            continue
        fi
        links=$((links + 1))
        case $to in /*) path= ;; esac
        rest=${to#/}${rest:+/$rest}
    done
    printf '%s' "$path"
}

# Requests that make the folder $1 and all above it.
folder_requests()
{
    path=
    rest=${1#/}
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        path=$path/$part
        [ "$part" = "$rest" ] && rest= || rest=${rest#*/}
        in_image "$image" "$path" || echo "mkdir $(quoted_path "$path")"
    done
}

# Requests that copy $1 to the path $2. With $3, nothing of it is there yet. (`write`, and `mkdir` in the root, want a name
# in the current folder.) What is copied to a folder that is there is added to it, which stays as it is, and may be reached by a link.
copy_requests()
{
    if [ -z "$3" ] && [ -d "$1" ] && [ ! -L "$1" ]; then
        set -- "$1" "$(followed "$2")" ""
    fi
    quoted=$(quoted_path "$2")
    if [ -L "$1" ]; then
        [ -n "$3" ] || ! in_image "$image" "$2" || echo "rm $quoted"
        echo "symlink $quoted $(quoted_path "$(readlink "$1")")"
    elif [ -d "$1" ]; then
        fresh=$3
        [ -n "$fresh" ] || [ -z "$2" ] || in_image "$image" "$2" || fresh=fresh
        if [ -n "$fresh" ]; then
            echo "cd $(quoted_path "${2%/*}/")"
            echo "mkdir $(quoted_path "${2##*/}")"
            echo "sif $quoted mode $(inode_mode "$1")"
        fi
        for inner in "$1"/* "$1"/.[!.]* "$1"/..?*; do
            [ -e "$inner" ] || [ -L "$inner" ] || continue
            (copy_requests "$inner" "$2/${inner##*/}" "$fresh")
        done
    elif [ -f "$1" ]; then
        [ -n "$3" ] || ! in_image "$image" "$2" || echo "rm $quoted"
        echo "cd $(quoted_path "${2%/*}/")"
        echo "write $(quoted_path "$1") $(quoted_path "${2##*/}")"
        echo "sif $quoted mode $(inode_mode "$1")"
    else
        die "--add $1: neither a file nor a folder"
    fi
}

add()
{
    image=$1 host=$2 guest=/${3#/}
    [ -e "$host" ] || [ -L "$host" ] || die "--add: no file or folder $host"
    [ -d "$host" ] || case $guest in */) guest=$guest${host##*/} ;; esac
    while [ "$guest" != "${guest%/}" ]; do guest=${guest%/}; done
    above=$(followed "${guest%/*}")
    [ -z "$guest" ] || guest=$above/${guest##*/}
    new_script
    folder_requests "$above" >"$script"
    copy_requests "$host" "$guest" "" >>"$script"
    run_debugfs "$image" "$script"
}

get()
{
    in_image "$1" "$2" || return 1
    debugfs -R "dump $(quoted_path "$2") $(quoted_path "$3")" "$1" >/dev/null 2>&1
}

remove()
{
    in_image "$1" "$2" || return 0
    new_script
    debugfs -R "ls -p $(quoted_path "$2")" "$1" 2>/dev/null |
        awk -F/ -v dir="$2" '$6 != "" && $6 != "." && $6 != ".." { print "rm \"" dir "/" $6 "\"" }' >"$script"
    echo "rmdir $(quoted_path "$2")" >>"$script"
    run_debugfs "$1" "$script"
}

check()
{
    # A journal that needs recovery is the kernel's matter, at mount.
    dumpe2fs -h "$1" 2>/dev/null | grep -q -E '^Filesystem state:.*(not clean|errors)' || return 0
    note "the disk has errors: e2fsck repairs it"
    status=0
    e2fsck -fp "$1" >&2 || status=$?
    [ "$status" -lt 4 ] || die "e2fsck cannot repair $1: run 'e2fsck -f $1', or remove the file to have a new one made"
}

[ $# -ge 2 ] || die "usage: disk.sh make|add|get|remove|check IMAGE ARG..."
command=$1
shift
case $command in
make | add | get | remove | check) "$command" "$@" ;;
*) die "disk.sh: no command '$command'" ;;
esac
