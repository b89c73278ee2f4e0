#!/bin/sh
# test.sh [GROUP...]: the tests, group by group. All that they print is in build/test/; here, one line for each
# program, and what failed.
#
#   unit      tests/unit, on the host under ASan and UBSan
#   crash     tests/crash, the short form of ./quire crash
#   fuzz      tests/fuzz, some hundred damaged file systems and journals
#   differ    random sequences of calls, compared with what Linux answered; the short form of ./quire differ
#   front     tests/front, what `./quire` itself promises
#   disks     tests/disks, disks that fail, fill up, lose power or were left behind by another kernel
#   guest     tests/guest in the guest: with 1, 2 and 4 harts; the mmap group also under Sv39, Sv48 and Sv57, with 64 MiB and with isolation=on
#   programs  tests/programs, Debian's programs in the guest
#   clients   tests/clients, programs that live by memory: collectors, databases, checkers
#   clients-long  the same with more work (not among all)
#   clients-linux the same on Debian's Linux, the referee (not among all)
#   libvm     libvm/tests: on the host under ASan, UBSan and TSan, in the guest by both ways that faults can come
#   libvm-linux  the same on Debian's Linux (not among all)
#   apps      apps/NAME/test.sh and tests/X.c (the program NAME-X): the programs that use libvm, in the guest; the C programs
#             first on the host under ASan and UBSan; apps-linux on Debian's Linux (not among all)
#   selftests Linux's own tests of its memory calls, from Debian's package of its source (not among all: it is 150 MB);
#             selftests-linux on Debian's Linux
#   linux     tests/guest on Debian's Linux (not among all: it tests the tests)
#
# GROUP may be narrowed to programs: guest:mmaptest,cow  programs:tar  linux:signals  apps:store,store-crash

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

OUT=$BUILD/test
# Programs that depend on the paging mode and on how much memory there is.
MMAP_GROUP="mmaptest mmap_errors mprotect mremap cow efault growsdown pressure swap_anon swap_device swap_shmem mmap_model fork_tables thp pagemap pagescan mmap_family userfaultfd userfaultfd_wp vmtrap vmtrap_dirty vmtrap_log"
# ... and those that enter and leave the kernel in every way.
ISOLATION_GROUP="$MMAP_GROUP signals handlers frames threads fork_exec_wait unaligned"
# ... and those in which assertions are worth the most.
DEBUG_GROUP="$MMAP_GROUP threads fork_exec_wait signals hammer files vmtrap_hostile vmtrap_places vmtrap_signals"
# A machine that says nothing for so long hangs.
IDLE_SECONDS=240
PROGRAM_SECONDS=600 # for those on the host

passed=0 failed=0 skipped=0

# Shows the report of the log $2 under the label $1 and adds it up.
report()
{
    awk -v label="$1" -f "$ROOT/tools/tap.awk" "$2" >"$OUT/report"
    sed '$d' "$OUT/report"
    # shellcheck disable=SC2046 # three numbers
    set -- $(tail -n1 "$OUT/report")
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
}

# The words of $1 that are also in $2 (commas or blanks between); all of $1 when $2 is empty.
chosen()
{
    for word in $1; do
        case " $(echo "$2" | tr , ' ') " in
        "  " | *" $word "*) echo "$word" ;;
        esac
    done
}

names_in()
{
    for file in "$ROOT/$1"/*"$2"; do
        [ -f "$file" ] && basename "$file" "$2"
    done
}

# --- On the host -----------------------------------------------------------------------------------------------------

run_unit()
{
    log=$OUT/unit.log
    make -s -k -C "$ROOT" -f tests/unit/Makefile >"$OUT/unit-build.log" 2>&1 || true
    for test in $(chosen "$(names_in tests/unit _test.c)" "$1"); do
        echo "# program $test"
        if [ -x "$BUILD/unit/${test}_test" ] && make -s -q -C "$ROOT" -f tests/unit/Makefile "build/unit/${test}_test"; then
            status=0
            (cd "$ROOT" && timeout "$PROGRAM_SECONDS" "build/unit/${test}_test") </dev/null 2>&1 || status=$?
            echo "# exit $test $status"
        else
            echo "# exit $test cannot be built: see build/test/unit-build.log"
        fi
    done >"$log"
    report unit "$log"
}

run_crash()
{
    log=$OUT/crash.log
    {
        echo "# program crash"
        status=0
        "$ROOT/tools/crash.sh" --quick </dev/null 2>&1 || status=$?
        echo "# exit crash $status"
    } >"$log"
    report crash "$log"
}

run_differ()
{
    log=$OUT/differ.log
    {
        echo "# program differ"
        status=0
        # shellcheck disable=SC2046 # names of sets
        "$ROOT/tools/differ.sh" --recorded $(echo "$1" | tr , ' ') </dev/null 2>&1 || status=$?
        echo "# exit differ $status"
    } >"$log"
    report differ "$log"
}

# run_scripts FOLDER NAMES
run_scripts()
{
    log=$OUT/$1.log
    for test in $(chosen "$(names_in "tests/$1" .sh | grep -v -e '^tap$' -e '^disks$')" "$2"); do
        echo "# program $test"
        status=0
        (cd "$ROOT" && timeout "$PROGRAM_SECONDS" sh "tests/$1/$test.sh") </dev/null 2>&1 || status=$?
        echo "# exit $test $status"
    done >"$log"
    report "$1" "$log"
}

# The fuzzers of tests/fuzz with inputs of their own: short; `NAME SEED COUNT` and libFuzzer go on for longer.
run_fuzz()
{
    log=$OUT/fuzz.log
    make -s -C "$ROOT" -f tests/fuzz/Makefile >"$OUT/fuzz-build.log" 2>&1 || true
    for test in $(chosen "$(names_in tests/fuzz .c)" "$1"); do
        echo "# program $test"
        status=0
        (cd "$ROOT" && timeout "$PROGRAM_SECONDS" "build/fuzz/$test" 1 300) </dev/null >"$OUT/fuzz.out" 2>&1 || status=$?
        tail -n20 "$OUT/fuzz.out" | sed 's/^/# /'
        [ "$status" = 0 ] && echo "ok 1 - 300 damaged disks" || echo "not ok 1 - 300 damaged disks"
        echo "1..1"
        echo "# exit $test $status"
    done >"$log"
    report fuzz "$log"
}

run_front() { run_scripts front "$1"; }

run_disks()
{
    make -s -k -C "$ROOT" guest >"$OUT/guest-build.log" 2>&1 || true
    run_scripts disks "$1"
}

# --- In a machine ----------------------------------------------------------------------------------------------------

# A disk with the tests on it: $1 from the image $2. A program that cannot be compiled is missing there, and fails.
prepare_disk()
{
    make -s -k -C "$ROOT" guest >"$OUT/guest-build.log" 2>&1 || true
    make -s -C "$ROOT" disk tools >&2 || die "the disk cannot be made"
    mkdir -p "$BUILD/guest"
    cp --sparse=always "$2" "$1" || die "no space for $1: ./quire clean may make some"
    "$ROOT/tools/disk.sh" add "$1" "$BUILD/guest" /tests
    "$ROOT/tools/disk.sh" add "$1" "$ROOT/tests/programs" /programs
}

# What goes wrong between a program's beginning and its end, by the status of the machine.
ending()
{
    case $1 in
    3) echo "kernel panic" ;;
    124) echo "hangs" ;;
    *) echo "the machine ended with status $1" ;;
    esac
}

# in_machine LABEL COMMAND PROGRAMS DISK OPTION...: runs each of PROGRAMS by COMMAND, in which NAME stands for it. As
# many as
# possible in one boot; when one takes the machine down, the next begin in a new one.
in_machine()
{
    label=$1 how=$2 left=$3 disk=$4
    shift 4
    [ -n "$left" ] || return 0
    log=$OUT/$label.log
    : >"$log"
    while [ -n "$left" ]; do
        status=0
        script="for p in $(echo $left); do echo \"# program \$p\"; $how; echo \"# exit \$p \$?\"; done"
        "$ROOT/quire" "$@" --disk "$disk" --idle "$IDLE_SECONDS" --kernel-log "$OUT/$label.kernel" -- sh -c "$script" \
            >"$OUT/boot.log" 2>"$OUT/boot.err" </dev/null || status=$?
        cat "$OUT/boot.log" "$OUT/boot.err" >>"$log"
        started=$(awk '/^# program / { name = $3 } /^# exit / && $3 == name { name = "" } END { print name }' "$OUT/boot.log")
        finished=$(awk '/^# exit / { name = $3 } END { print name }' "$OUT/boot.log")
        last=$(echo $left | sed 's/.* //')
        if [ -n "$started" ]; then
            printf '\n# exit %s %s\n' "$started" "$(ending "$status")" >>"$log"
        elif [ "$finished" = "$last" ] && [ "$status" != 0 ]; then
            printf '\n# program end-of-machine\n# exit end-of-machine %s\n' "$(ending "$status")" >>"$log"
        elif [ "$finished" != "$last" ]; then
            for program in $left; do
                printf '\n# program %s\n# exit %s %s\n' "$program" "$program" "the machine does not start: $(tail -n1 "$OUT/boot.err")"
            done >>"$log"
            break
        fi
        left=$(echo $left | awk -v after="${started:-$last}" '{ for (i = 1; i <= NF; i++) { if (on) print $i; if ($i == after) on = 1 } }')
    done
    report "$label" "$log"
}

run_guest()
{
    prepare_disk "$OUT/disk.img" "$BUILD/disk.img"
    all=$(chosen "$(names_in tests/guest .c)" "$1")
    some=$(chosen "$all" "$MMAP_GROUP")
    command='/tests/$p'
    for harts in 1 2 4; do
        in_machine "guest-smp$harts" "$command" "$all" "$OUT/disk.img" run --smp "$harts"
    done
    for mode in sv39 sv48 sv57; do
        in_machine "guest-$mode" "$command" "$some" "$OUT/disk.img" run --append "paging=$mode"
    done
    in_machine guest-64M "$command" "$some" "$OUT/disk.img" run --mem 64M
    in_machine guest-isolated "$command" "$(chosen "$all" "$ISOLATION_GROUP")" "$OUT/disk.img" run --smp 2 --append isolation=on
    in_machine guest-debug "$command" "$(chosen "$all" "no_memory $DEBUG_GROUP")" "$OUT/disk.img" run --smp 2 --debug
}

CLIENTS="bash coreutils python3 sqlite3 lmdb-utils sbcl guile-3.0 ecl ruby redis-server fio stress-ng electric-fence"

# run_clients_with LABEL KERNEL WORK NAMES
run_clients_with()
{
    make -s -C "$ROOT" packages PACKAGES="$CLIENTS" >&2 || die "the disk of clients cannot be made"
    # shellcheck disable=SC2086 # names of packages have no spaces
    prepare_disk "$OUT/clients.img" "$(packages_image $CLIENTS)"
    "$ROOT/tools/disk.sh" add "$OUT/clients.img" "$ROOT/tests/clients" /clients
    in_machine "$1" "LONG=$3 sh /clients/\${p}_test.sh" "$(chosen "$(names_in tests/clients _test.sh)" "$4")" \
        "$OUT/clients.img" "$2" --smp 2
    rm -f "$OUT/clients.img"
}

run_clients() { run_clients_with clients run "" "$1"; }
run_clients_long() { run_clients_with clients-long run yes "$1"; }
run_clients_linux()
{
    make -s -C "$ROOT" linux >&2 || die "the referee cannot be built"
    run_clients_with clients-linux linux "" "$1"
}

# run_selftests_with LABEL KERNEL NAMES
run_selftests_with()
{
    folder=$(sh "$ROOT/tests/selftests/build.sh") || die "Linux's tests cannot be built"
    prepare_disk "$OUT/selftests.img" "$BUILD/disk.img"
    "$ROOT/tools/disk.sh" add "$OUT/selftests.img" "$folder" /selftests
    in_machine "$1" 'sh /selftests/run $p' "$(chosen "$(cd "$folder" && ls | grep -v '^run$')" "$3")" \
        "$OUT/selftests.img" "$2" --smp 2 --mem 3G
    rm -f "$OUT/selftests.img"
}

run_selftests() { run_selftests_with selftests run "$1"; }
run_selftests_linux()
{
    make -s -C "$ROOT" linux >&2 || die "the referee cannot be built"
    run_selftests_with selftests-linux linux "$1"
}

run_linux()
{
    make -s -C "$ROOT" linux >&2 || die "the referee cannot be built"
    prepare_disk "$OUT/disk.img" "$BUILD/disk.img"
    in_machine linux '/tests/$p' "$(chosen "$(names_in tests/guest .c)" "$1")" "$OUT/disk.img" linux --smp 2
}

# A script whose first lines say "# disk: packages" runs on the disk with Debian's bash and coreutils.
run_programs()
{
    plain= packaged=
    for script in $(chosen "$(names_in tests/programs _test.sh)" "$1"); do
        if head -n5 "$ROOT/tests/programs/${script}_test.sh" | grep -q '^# disk: packages'; then
            packaged="$packaged $script"
        else
            plain="$plain $script"
        fi
    done
    prepare_disk "$OUT/disk.img" "$BUILD/disk.img"
    in_machine programs 'sh /programs/${p}_test.sh' "$plain" "$OUT/disk.img" run --smp 2
    if [ -n "$packaged" ]; then
        make -s -C "$ROOT" packages >&2 || die "the disk of packages cannot be made"
        prepare_disk "$OUT/packages.img" "$(packages_image bash coreutils)"
        in_machine packages 'sh /programs/${p}_test.sh' "$packaged" "$OUT/packages.img" run --smp 2
    fi
}

# --- libvm and what uses it -------------------------------------------------------------------------------------------

run_libvm()
{
    names=$(chosen "$(names_in libvm/tests .c) $(names_in libvm/tests .sh)" "$1")
    log=$OUT/libvm-host.log
    make -s -k -C "$ROOT" libvm-host-tests libvm-tests >"$OUT/libvm-build.log" 2>&1 || true
    for test in $names; do
        if [ -f "$ROOT/libvm/tests/$test.sh" ]; then
            echo "# program $test"
            status=0
            (cd "$ROOT" && timeout "$PROGRAM_SECONDS" sh "libvm/tests/$test.sh") </dev/null 2>&1 || status=$?
            echo "# exit $test $status"
            continue
        fi
        for kind in host tsan; do
            echo "# program $test-$kind"
            status=0
            TEST_DIR=$OUT timeout "$PROGRAM_SECONDS" "$BUILD/libvm/$kind/$test" </dev/null 2>"$OUT/libvm-$kind.err" || status=$?
            echo "# exit $test-$kind $status"
        done
    done >"$log"
    report libvm-host "$log"
    libvm_disk
    in_machine libvm '/libvm/$p' "$guests" "$OUT/libvm.img" run --smp 2
    in_machine libvm-signals 'VM_BACKEND=signals /libvm/$p' "$guests" "$OUT/libvm.img" run --smp 2
    in_machine libvm-mprotect 'VM_BACKEND=signals VM_DIRTY=mprotect /libvm/$p' "$guests" "$OUT/libvm.img" run
    rm -f "$OUT/libvm.img"
}

# The disk with the tests, and $guests: those of $names that run in a guest.
libvm_disk()
{
    prepare_disk "$OUT/libvm.img" "$BUILD/disk.img"
    "$ROOT/tools/disk.sh" add "$OUT/libvm.img" "$BUILD/libvm/tests" /libvm
    guests=
    for name in $names; do
        [ ! -f "$ROOT/libvm/tests/$name.c" ] || guests="$guests $name"
    done
}

run_libvm_linux()
{
    make -s -C "$ROOT" linux >&2 || die "the referee cannot be built"
    make -s -k -C "$ROOT" libvm-tests >"$OUT/libvm-build.log" 2>&1 || true
    names=$(chosen "$(names_in libvm/tests .c)" "$1")
    libvm_disk
    in_machine libvm-linux '/libvm/$p' "$guests" "$OUT/libvm.img" linux --smp 2
    rm -f "$OUT/libvm.img"
}

# The C programs among the apps' tests: apps/NAME/tests/X.c is NAME-X.
app_tests()
{
    for source in "$ROOT"/apps/*/tests/*.c; do
        app=${source%/tests/*}
        [ ! -f "$source" ] || echo "${app##*/}-$(basename "$source" .c)"
    done
}

run_apps_on_host()
{
    log=$OUT/apps-host.log
    make -s -k -C "$ROOT" apps-host >"$OUT/apps-host-build.log" 2>&1 || true
    for test in $(chosen "$(app_tests)" "$1"); do
        echo "# program $test"
        status=0
        if [ -x "$BUILD/apps-host/$test" ]; then
            TEST_DIR=$OUT timeout "$PROGRAM_SECONDS" "$BUILD/apps-host/$test" </dev/null 2>&1 || status=$?
        else
            status="cannot be built: see build/test/apps-host-build.log"
        fi
        echo "# exit $test $status"
    done >"$log"
    report apps-host "$log"
}

# run_apps_with LABEL KERNEL NAMES: a script whose first lines say "# disk: packages" finds bash and Python there.
run_apps_with()
{
    make -s -k -C "$ROOT" apps apps-tests >"$OUT/apps-build.log" 2>&1 || true
    plain=$(chosen "$(app_tests)" "$3") packaged=
    for app in $(cd "$ROOT/apps" && ls -d */test.sh | sed 's|/test.sh||'); do
        [ -n "$(chosen "$app" "$3")" ] || continue
        if head -n5 "$ROOT/apps/$app/test.sh" | grep -q '^# disk: packages'; then
            packaged="$packaged $app"
        else
            plain="$plain $app"
        fi
    done
    rm -rf "$OUT/apps"
    mkdir -p "$OUT/apps" "$BUILD/apps"
    for app in $plain $packaged; do
        [ ! -f "$ROOT/apps/$app/test.sh" ] || cp "$ROOT/apps/$app/test.sh" "$OUT/apps/$app.sh"
        [ ! -d "$ROOT/apps/$app/scm" ] || cp -r "$ROOT/apps/$app/scm" "$OUT/apps/$app-scm"
    done
    make -s -C "$ROOT" disk tools >&2 || die "the disk cannot be made"
    if [ -n "$plain" ]; then
        apps_disk "$BUILD/disk.img"
        in_machine "$1" 'if [ -f /apps-tests/$p.sh ]; then PATH=/apps:$PATH sh /apps-tests/$p.sh; else /apps/tests/$p; fi' "$plain" "$OUT/apps.img" "$2" --smp 2
    fi
    if [ -n "$packaged" ]; then
        make -s -C "$ROOT" packages PACKAGES="bash coreutils python3-minimal" >&2 || die "the disk of packages cannot be made"
        apps_disk "$(packages_image bash coreutils python3-minimal)"
        in_machine "$1-packages" 'PATH=/apps:$PATH sh /apps-tests/$p.sh' "$packaged" "$OUT/apps.img" "$2" --smp 2
    fi
    rm -rf "$OUT/apps.img" "$OUT/apps"
}

apps_disk()
{
    cp --sparse=always "$1" "$OUT/apps.img" || die "no space for $OUT/apps.img: ./quire clean may make some"
    "$ROOT/tools/disk.sh" add "$OUT/apps.img" "$BUILD/apps" /apps
    "$ROOT/tools/disk.sh" add "$OUT/apps.img" "$OUT/apps" /apps-tests
    "$ROOT/tools/disk.sh" add "$OUT/apps.img" "$ROOT/tests/programs" /programs
}

run_apps()
{
    run_apps_on_host "$1"
    run_apps_with apps run "$1"
}

run_apps_linux()
{
    make -s -C "$ROOT" linux >&2 || die "the referee cannot be built"
    run_apps_with apps-linux linux "$1"
}

mkdir -p "$OUT" || die "cannot write to $OUT: no space or permission"
[ $# -gt 0 ] || set -- unit crash fuzz front disks guest differ programs clients libvm apps
for group; do
    case ${group%%:*} in
    unit | crash | fuzz | front | disks | guest | differ | programs | clients | clients-long | clients-linux | selftests | selftests-linux | linux | libvm | libvm-linux | apps | apps-linux) ;;
    *) die "no group of tests '$group': unit, crash, fuzz, front, disks, guest, differ, programs, clients, clients-long, clients-linux, selftests, selftests-linux, libvm, libvm-linux, apps, apps-linux or linux" ;;
    esac
done
exec 9>"$OUT/lock"
! have flock || flock -n 9 || die "another ./quire test is running here"
for group; do
    only=${group#"${group%%:*}"}
    "run_$(echo "${group%%:*}" | tr - _)" "${only#:}"
done
rm -f "$OUT/disk.img" "$OUT/packages.img" "$OUT/report"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
