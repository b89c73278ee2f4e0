#!/bin/sh
# build.sh: tests of Linux's own source (tools/testing/selftests), made for riscv64 from Debian's packages of that source
# and of the kernel's headers. Prints the folder with the programs and the script that runs them.
#
# Of those about memory (mm), those are left out that test what only Linux has (huge page pools, merging of pages, its
# debugging files), and "cow", which wants pages pinned by a driver; of the others, those that need namespaces, or hours.

set -eu
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
. "$ROOT/tools/common.sh"

DIR=$BUILD/selftests
TESTS="khugepaged madv_populate map_fixed_noreplace map_populate mdwe_test mkdirty mlock2-tests mrelease_test mremap_dontunmap
mremap_test mseal_test pagemap_ioctl soft-dirty droppable transhuge-stress uffd-unit-tests uffd-stress"

OTHERS="clone3/clone3_clear_sighand core/close_range_test exec/null-argv fchmodat2/fchmodat2_test
filesystems/eventfd/eventfd_test futex/functional/futex_wait futex/functional/futex_wait_private_mapped_file
futex/functional/futex_wait_uninitialized_heap membarrier/membarrier_test_multi_thread
membarrier/membarrier_test_single_thread memfd/memfd_test mincore/mincore_selftest pidfd/pidfd_getfd_test
pidfd/pidfd_open_test pidfd/pidfd_poll_test pidfd/pidfd_wait prctl/set-process-name proc/fd-001-lookup
proc/fd-002-posix-eq proc/proc-self-wchan proc/proc-tid0 proc/proc-uptime-001 proc/proc-uptime-002 proc/read proc/self
proc/thread-self sigaltstack/sas timers/nanosleep timers/posix_timers tty/tty_tstamp_update"

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
        '*/tools/testing/selftests/futex/*' '*/tools/testing/selftests/filesystems/*' \
        $(for test in $OTHERS; do echo "*/tools/testing/selftests/${test%/*}/*"; done | grep -v -e /filesystems/ -e /futex/ | sort -u) \
        '*/mm/gup_test.h' || die "cannot unpack $source: no space?"
    mv "$DIR.new" "$DIR"
}

[ -d "$DIR/tools/testing/selftests/timers" ] || unpack
mkdir -p "$DIR/guest"
cp "$ROOT/tests/selftests/run.sh" "$DIR/guest/run"
include=$DIR/headers/usr/include
# compile NAME FLAG...: one program
compile()
{
    name=$1
    shift
    [ ! -x "$DIR/guest/$name" ] || return 0
    riscv64-linux-gnu-gcc -static -O2 -w -D_GNU_SOURCE= "$@" -isystem "$include/riscv64-linux-gnu" -isystem "$include" \
        -o "$DIR/guest/$name" -lpthread -lm -lrt >&2 || echo "$name cannot be built" >&2
}

cd "$DIR/tools/testing/selftests/mm"
for test in $TESTS; do
    more=
    case $test in uffd-*) more=uffd-common.c ;; esac
    # shellcheck disable=SC2086 # $more is a name or nothing
    compile "$test" -I. -I.. -I../../../.. "$test.c" vm_util.c thp_settings.c $more
done
cd ..
for test in $OTHERS; do
    more=
    case $test in memfd/*) more=memfd/common.c ;; esac
    # shellcheck disable=SC2086
    compile "${test##*/}" -I. -I"${test%/*}" -Ifutex/include -I../../../ "$test.c" $more
done
echo "$DIR/guest"
