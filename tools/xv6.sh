#!/bin/sh
# xv6.sh: `./quire xv6`, see --help. Builds programs written for xv6 against xv6/ and runs them in the guest, in a
# folder /xv6 that is their root.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

CROSS=${CROSS:-riscv64-linux-gnu-}
# As xv6 compiles its own, but for an ABI with less to link.
FLAGS="-std=gnu17 -O1 -g -Wall -Werror=implicit-function-declaration -march=rv64gc -mabi=lp64d -mcmodel=medany
    -ffreestanding -fno-builtin -fno-common -fno-stack-protector -fno-pie -fno-omit-frame-pointer
    -fno-asynchronous-unwind-tables -mno-relax -nostdinc"
# Of xv6's own user folder: what ours has in its library.
NOT_PROGRAMS=" ulib printf umalloc "

usage()
{
    cat <<'END'
usage: ./quire xv6 [--lazy] [--linux] FOLDER [OPTION...] [-- PROGRAM ARG...]

Builds every .c of FOLDER, programs for xv6-riscv's user library, against the headers and the library in xv6/, and runs
PROGRAM in the guest: its output alone on standard output, its status ours. Without PROGRAM: a shell with all of them.
A .c without main() is linked into every program. Other files of FOLDER are in the programs' root folder, too. A FOLDER
without any .c but with a folder user, as xv6's own tree, stands for that.

  --lazy     sbrk gives memory when it is touched, as in the lab on lazy allocation (so it does for a PROGRAM lazy...)
  --linux    on Debian's Linux, to compare
  OPTION     of ./quire run: --smp N, --mem SIZE, --timeout S, --debug ...
END
}

misuse()
{
    die "xv6: $*: see ./quire xv6 --help"
}

lazy='' command=run folder=''
while [ $# -gt 0 ]; do
    case $1 in
    --lazy) lazy=1 ;;
    --linux) command=linux ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*) misuse "FOLDER comes before '$1'" ;;
    *)
        folder=$1
        shift
        break
        ;;
    esac
    shift
done
[ -n "$folder" ] || misuse "a folder is missing"
[ -d "$folder" ] && [ -r "$folder" ] || misuse "$folder: no such folder"
folder=$(cd "$folder" && pwd)
# The top of a tree like xv6's own.
[ -n "$(find "$folder" -maxdepth 1 -name '*.c' | head -n1)" ] || [ ! -d "$folder/user" ] || folder=$folder/user
name=$(printf '%s' "$folder" | cksum | cut -d' ' -f1)
OUT=$BUILD/xv6/$name
LIBRARY=$BUILD/xv6/lib

# --- Building --------------------------------------------------------------------------------------------------------

# compile SOURCE OBJECT: says in one line what is wrong.
compile()
{
    # shellcheck disable=SC2086 # a list of flags
    if ! "${CROSS}gcc" $FLAGS -isystem "$("${CROSS}gcc" -print-file-name=include)" -I "$ROOT/xv6" -I "${1%/*}" \
        -c -o "$2" "$1" >"$OUT/messages" 2>&1; then
        first=$(grep -m1 -E '(error|fatal error):' "$OUT/messages" || tail -n1 "$OUT/messages")
        die "${1##*/} does not compile: $(printf '%s' "$first" | sed "s|^${1%/*}/||")"
    fi
    cat "$OUT/messages" >&2
}

# Is $1 there, and newer than all the others?
up_to_date()
{
    made=$1
    shift
    [ -e "$made" ] || return 1
    for source; do
        [ "$made" -nt "$source" ] || return 1
    done
}

build_library()
{
    up_to_date "$LIBRARY/libxv6.a" "$ROOT"/xv6/*/*.[chS] "$0" && return 0
    rm -rf "$LIBRARY"
    mkdir -p "$LIBRARY" || die "cannot write to $BUILD: no space or permission"
    for source in "$ROOT"/xv6/lib/*.[cS]; do
        object=${source##*/}
        compile "$source" "$LIBRARY/${object%.*}.o"
    done
    "${CROSS}ar" rcs "$LIBRARY/libxv6.a" "$LIBRARY"/*.o
}

has_main()
{
    "${CROSS}nm" "$1" | grep -q ' T main$'
}

# build_folder FOLDER: its programs go to $OUT/root.
build_folder()
{
    objects=$OUT/objects.$(printf '%s' "$1" | cksum | cut -d' ' -f1)
    mkdir -p "$objects"
    headers=$(find "$1" -maxdepth 1 -name '*.h' -newer "$objects/made" 2>/dev/null | head -n1) || true
    [ -z "$headers" ] && [ -e "$objects/made" ] && [ "$objects/made" -nt "$LIBRARY/libxv6.a" ] || rm -f "$objects"/*.o
    : >"$objects/made"
    parts='' programs=''
    for source in "$1"/*.c; do
        [ -f "$source" ] || continue
        object=${source##*/}
        object=${object%.c}
        case $NOT_PROGRAMS in *" $object "*) continue ;; esac
        case $object in *[!A-Za-z0-9_.+-]*) die "$source: a name of letters, digits and _.+- is wanted" ;; esac
        up_to_date "$objects/$object.o" "$source" || compile "$source" "$objects/$object.o"
        if has_main "$objects/$object.o"; then
            programs="$programs $object"
        else
            parts="$parts $objects/$object.o"
        fi
    done
    for program in $programs; do
        # shellcheck disable=SC2086
        "${CROSS}gcc" -static -nostdlib -no-pie -Wl,--no-relax,-z,max-page-size=4096,--no-warn-rwx-segments \
            -o "$OUT/root/$program" "$LIBRARY/start.o" "$objects/$program.o" $parts "$LIBRARY/libxv6.a" -lgcc \
            >"$OUT/messages" 2>&1 ||
            die "$program.c cannot be linked: $(grep -m1 -E 'undefined|multiple|error' "$OUT/messages" | sed 's|.*/||')"
    done
}

"$ROOT/tools/setup.sh"
mkdir -p "$BUILD/xv6/$name" || die "cannot write to $BUILD: no space or permission"
exec 9>"$OUT/lock"
! have flock || flock 9
build_library
rm -rf "$OUT/root"
mkdir -p "$OUT/root"
build_folder "$ROOT/xv6/programs"
build_folder "$folder"
[ -n "$programs" ] || die "$folder: no program there: a .c with main() is wanted"
theirs=$programs
cp "$ROOT/xv6/README" "$OUT/root/README"
for file in "$folder"/*; do
    case $file in *.[chSo]) continue ;; esac
    [ ! -f "$file" ] || cp "$file" "$OUT/root/" || die "cannot copy $file: unreadable, or no space"
done

# --- Running ---------------------------------------------------------------------------------------------------------

# The arguments before "--" are options of ./quire run.
count=0 has_program=''
for argument; do
    [ "$argument" != -- ] || { has_program=yes; break; }
    count=$((count + 1))
done
if [ -n "$has_program" ]; then
    at=0 program=''
    for argument; do
        [ "$at" != $((count + 1)) ] || program=$argument
        at=$((at + 1))
    done
    [ -n "$program" ] || misuse "--: a program is missing"
    case $program in lazy*) lazy=1 ;; esac
    case $program in */*) misuse "$program: the name of a program is wanted" ;; esac
    [ -x "$OUT/root/$program" ] || die "xv6: no program '$program' in $folder: there are$theirs"
    # "OPTION... -- PROGRAM ARG..." becomes "OPTION... -- chroot /xv6 PROGRAM ARG..." by turning them round once.
    rotated=0 total=$#
    while [ "$rotated" -lt "$total" ]; do
        argument=$1
        shift
        if [ "$rotated" = "$count" ]; then
            set -- "$@" -- env PATH=/ ${lazy:+"XV6_LAZY=1"} /bin/busybox chroot /xv6
        else
            set -- "$@" "$argument"
        fi
        rotated=$((rotated + 1))
    done
    exec "$ROOT/quire" "$command" --add "$OUT/root:/xv6" "$@"
fi

# A disk of its own for the shell, whose init starts it and ends with it.
make -s -C "$ROOT" disk >&2 || die "the disk cannot be made"
scratch=$(mktemp -d "$BUILD/run.XXXXXX") || die "cannot write to $BUILD: no space or permission"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cp --sparse=always "$BUILD/disk.img" "$scratch/disk.img" || die "cannot copy the disk: no space"
cat >"$scratch/inittab" <<END
::sysinit:/bin/true
::once:/bin/sh -c "exec </dev/console >/dev/console 2>&1; env PATH=/ ${lazy:+XV6_LAZY=1} /bin/busybox chroot /xv6 sh; poweroff"
::shutdown:/bin/umount -a -r
END
"$ROOT/tools/disk.sh" add "$scratch/disk.img" "$scratch/inittab" /etc/inittab
note "programs:$theirs; the end of input (Ctrl-D) ends the shell, Ctrl-A X pulls the plug"
status=0
"$ROOT/quire" "$command" --disk "$scratch/disk.img" --add "$OUT/root:/xv6" "$@" || status=$?
exit "$status"
