#!/bin/sh
# build.sh: the memory tests of Linux's own source (tools/testing/selftests/mm), made for riscv64 from Debian's packages
# of that source and of the kernel's headers. Prints the folder with the programs and the script that runs them.
#
# Left out are those that test what only Linux has (huge page pools, merging of pages, its debugging files), and "cow"
# and "khugepaged", which begin by setting khugepaged's knobs.

set -eu
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
. "$ROOT/tools/common.sh"

DIR=$BUILD/selftests
TESTS="madv_populate map_fixed_noreplace map_populate mdwe_test mkdirty mlock2-tests mrelease_test mremap_dontunmap
mremap_test mseal_test pagemap_ioctl soft-dirty droppable transhuge-stress uffd-unit-tests uffd-stress"

package() { "$ROOT/tools/packages.sh" fetch "$1" | grep "/$1_"; }

unpack()
{
    source=$(package linux-source-6.12)
    headers=$(package linux-libc-dev)
    rm -rf "$DIR.new"
    mkdir -p "$DIR.new/headers"
    echo "quire: unpacking Linux's tests" >&2
    dpkg-deb --fsys-tarfile "$headers" | tar -x -C "$DIR.new/headers"
    dpkg-deb --fsys-tarfile "$source" | tar -x -O ./usr/src/linux-source-6.12.tar.xz | tar -x -J -C "$DIR.new" \
        --wildcards --strip-components=1 '*/tools/testing/selftests/mm/*' '*/tools/testing/selftests/kselftest*.h' \
        '*/mm/gup_test.h' || die "cannot unpack $source: no space?"
    mv "$DIR.new" "$DIR"
}

[ -d "$DIR" ] || unpack
mkdir -p "$DIR/guest"
cp "$ROOT/tests/selftests/run.sh" "$DIR/guest/run"
include=$DIR/headers/usr/include
cd "$DIR/tools/testing/selftests/mm"
for test in $TESTS; do
    [ ! -x "$DIR/guest/$test" ] || continue
    more=
    case $test in uffd-*) more=uffd-common.c ;; esac
    # shellcheck disable=SC2086 # $more is a name or nothing
    riscv64-linux-gnu-gcc -static -O2 -w -D_GNU_SOURCE= -I. -I.. -I../../../.. -isystem "$include/riscv64-linux-gnu" \
        -isystem "$include" "$test.c" vm_util.c thp_settings.c $more -o "$DIR/guest/$test" -lpthread -lm >&2 ||
        echo "$test cannot be built" >&2
done
echo "$DIR/guest"
