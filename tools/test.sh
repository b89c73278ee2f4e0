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
#   guest     tests/guest in the guest: guest-smp1, -smp2 and -smp4; the mmap group also as guest-sv39, -sv48, -sv57, -64M (of
#             memory), -isolated and -debug (the kernel with assertions)
#   races     all of tests/guest on the kernel that tells data races (not among all)
#   programs  tests/programs, Debian's programs in the guest
#   clients   tests/clients, programs that live by memory: collectors, databases, checkers
#   clients-long  the same with more work (not among all)
#   clients-linux the same on Debian's Linux, the referee (not among all)
#   runtimes  tests/runtimes, run-times of languages: Java, Node.js, Erlang and others (not among all)
#   runtimes-linux  the same on Debian's Linux
#   libvm     libvm/tests: on the host under ASan, UBSan and TSan, in the guest by both ways that faults can come
#   libvm-linux  the same on Debian's Linux (not among all)
#   apps      apps/NAME/test.sh and tests/X.c (the program NAME-X): the programs that use libvm, in the guest; the C programs
#             first on the host under ASan and UBSan; apps-linux on Debian's Linux (not among all)
#   selftests Linux's own tests of its memory calls, from Debian's package of its source (not among all: it is 150 MB);
#             selftests-linux on Debian's Linux
#   linux     tests/guest on Debian's Linux (not among all: it tests the tests)
#
# QUIRE_TEST_KERNEL=--debug or =--races: the machines of any group run that kernel.
#
# GROUP may be narrowed to programs: guest:mmaptest,cow  programs:shell  linux:signals  apps:store,store-crash
#
# As many groups run side by side as there are processors, JOBS=N says otherwise; each is a process of its own (test.sh
# --one GROUP), whose files in build/test/ bear its name.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

OUT=$BUILD/test
GUESTS="guest-smp4 guest-smp2 guest-smp1 guest-sv39 guest-sv48 guest-sv57 guest-64M guest-isolated guest-debug"
# Those that take longest come first.
PLAIN="unit clients disks $GUESTS apps libvm front programs crash fuzz differ"
MORE="races clients-long clients-linux runtimes runtimes-linux selftests selftests-linux linux libvm-linux apps-linux"
# Programs that depend on the paging mode and on how much memory there is.
MMAP_GROUP="mmaptest mmap_errors mprotect mremap cow efault growsdown pressure swap_anon swap_device swap_frees swap_shmem mmap_model coherence owners_race fork_tables thp pagemap pagescan mmap_family userfaultfd userfaultfd_wp vmtrap vmtrap_dirty vmtrap_log"
# ... and those that enter and leave the kernel in every way.
ISOLATION_GROUP="$MMAP_GROUP signals handlers frames threads fork_exec_wait unaligned"
# ... and those in which assertions are worth the most.
DEBUG_GROUP="no_memory no_memory_more stale_race swap_race $MMAP_GROUP threads fork_exec_wait signals hammer files vmtrap_hostile vmtrap_places vmtrap_signals"
# A machine that says nothing for so long hangs.
IDLE_SECONDS=240
PROGRAM_SECONDS=600 # for those on the host

passed=0 failed=0 skipped=0

# Shows the report of the log $2 under the label $1, in one piece, and adds it up.
report()
{
    lines=$(awk -v label="$1" -f "$ROOT/tools/tap.awk" "$2")
    printf '%s\n' "$lines" | sed '$d' >"$T.report"
    cat "$T.report"
    # shellcheck disable=SC2046 # three numbers
    set -- $(printf '%s\n' "$lines" | tail -n1)
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
    make -s -k -j"$(nproc)" -C "$ROOT" -f tests/unit/Makefile >"$OUT/unit-build.log" 2>&1 || true
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
        (cd "$ROOT" && timeout "$PROGRAM_SECONDS" "build/fuzz/$test" 1 300) </dev/null >"$T.out" 2>&1 || status=$?
        tail -n20 "$T.out" | sed 's/^/# /'
        [ "$status" = 0 ] && echo "ok 1 - 300 damaged disks" || echo "not ok 1 - 300 damaged disks"
        echo "1..1"
        echo "# exit $test $status"
    done >"$log"
    report fuzz "$log"
}

run_front() { run_scripts front "$1"; }

run_disks() { run_scripts disks "$1"; }

# --- In a machine ----------------------------------------------------------------------------------------------------

# A disk with the tests on it: $1 from the image $2. A program that cannot be compiled is missing there, and fails.
prepare_disk()
{
    mkdir -p "$BUILD/guest"
    cp --sparse=always "$2" "$1" || die "no space for $1: ./quire clean may make some"
    "$ROOT/tools/disk.sh" add "$1" "$BUILD/guest" /tests
    "$ROOT/tools/disk.sh" add "$1" "$ROOT/tests/programs" /programs
}

# The disk with the packages "$@" is there: $packaged_disk.
make_packages()
{
    in_turn make -s -C "$ROOT" packages PACKAGES="$*" >&2 || die "the disk with $* cannot be made"
    packaged_disk=$(packages_image "$@")
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
    : >"$OUT/$label.kernel"
    while [ -n "$left" ]; do
        status=0
        script="for p in $(echo $left); do echo \"# program \$p\"; $how; echo \"# exit \$p \$?\"; done"
        # shellcheck disable=SC2086 # words
        "$ROOT/quire" "$@" ${QUIRE_TEST_KERNEL:-} --disk "$disk" --idle "$IDLE_SECONDS" --kernel-log "$T.kmsg" -- sh -c "$script" \
            >"$T.boot" 2>"$T.err" </dev/null || status=$?
        cat "$T.boot" "$T.err" >>"$log"
        [ ! -f "$T.kmsg" ] || cat "$T.kmsg" >>"$OUT/$label.kernel"
        started=$(awk '/^# program / { name = $3 } /^# exit / && $3 == name { name = "" } END { print name }' "$T.boot")
        finished=$(awk '/^# exit / { name = $3 } END { print name }' "$T.boot")
        last=$(echo $left | sed 's/.* //')
        if [ -n "$started" ]; then
            printf '\n# exit %s %s\n' "$started" "$(ending "$status")" >>"$log"
        elif [ "$finished" = "$last" ] && [ "$status" != 0 ]; then
            printf '\n# program end-of-machine\n# exit end-of-machine %s\n' "$(ending "$status")" >>"$log"
        elif [ "$finished" != "$last" ]; then
            for program in $left; do
                printf '\n# program %s\n# exit %s %s\n' "$program" "$program" "the machine does not start: $(tail -n1 "$T.err")"
            done >>"$log"
            break
        fi
        left=$(echo $left | awk -v after="${started:-$last}" '{ for (i = 1; i <= NF; i++) { if (on) print $i; if ($i == after) on = 1 } }')
    done
    report "$label" "$log"
    case " $* ${QUIRE_TEST_KERNEL:-} " in
    *" --races "*) report_races ;;
    esac
}

# What the kernel that tells data races has told in the machines of $label. One race there must be: race.c plants it.
report_races()
{
    log=$OUT/$label-told.log
    "$ROOT/tools/races.sh" "$OUT/$label.kernel" >"$T.races"
    {
        echo "# program data-races"
        grep -q plant_race "$T.races" && echo "ok 1 - the watch finds a race" || echo "not ok 1 - the watch finds a race"
        awk '{ race = race "# " $0 "\n" } NR % 3 == 0 { if (race !~ /plant_race/) printf "%s", race; race = "" }' "$T.races" >"$T.others"
        [ ! -s "$T.others" ] && echo "ok 2 - no other is told" || echo "not ok 2 - no other is told"
        cat "$T.others"
        echo "1..2"
        echo "# exit data-races 0"
    } >"$log"
    rm "$T.races" "$T.others"
    report "$label" "$log"
}

# run_guest KIND NAMES
run_guest()
{
    all=$(chosen "$(names_in tests/guest .c)" "$2")
    some=$(chosen "$all" "$MMAP_GROUP")
    case $1 in
    smp*) set -- "$all" --smp "${1#smp}" ;;
    sv*) set -- "$some" --append "paging=$1" ;;
    64M) set -- "$some" --mem 64M ;;
    isolated) set -- "$(chosen "$all" "$ISOLATION_GROUP")" --smp 2 --append isolation=on ;;
    debug) set -- "$(chosen "$all" "$DEBUG_GROUP")" --smp 2 --debug ;;
    races) set -- "$all" --smp 2 --races ;;
    esac
    programs=$1
    shift
    in_machine "$job" '/tests/$p' "$programs" "$OUT/disk.img" run "$@"
}

run_races() { run_guest races "$1"; }

CLIENTS="bash coreutils python3 sqlite3 lmdb-utils sbcl guile-3.0 ecl ruby redis-server fio stress-ng electric-fence"

# run_clients_with LABEL KERNEL WORK NAMES
run_clients_with()
{
    # shellcheck disable=SC2086 # names of packages have no spaces
    make_packages $CLIENTS
    prepare_disk "$T.img" "$packaged_disk"
    "$ROOT/tools/disk.sh" add "$T.img" "$ROOT/tests/clients" /clients
    in_machine "$1" "LONG=$3 sh /clients/\${p}_test.sh" "$(chosen "$(names_in tests/clients _test.sh)" "$4")" \
        "$T.img" "$2" --smp 2
    rm -f "$T.img"
}

run_clients() { run_clients_with clients run "" "$1"; }
run_clients_long() { run_clients_with clients-long run yes "$1"; }
run_clients_linux() { run_clients_with clients-linux linux "" "$1"; }

RUNTIMES="bash coreutils openjdk-21-jdk-headless nodejs erlang-base lua5.4 luajit chezscheme pypy3 clisp swi-prolog-core php-cli ripgrep fd-find shellcheck"

# run_runtimes_with LABEL KERNEL OPTIONS NAMES: with four levels of page tables at most, for Java.
run_runtimes_with()
{
    # shellcheck disable=SC2086 # names of packages have no spaces
    make_packages $RUNTIMES
    prepare_disk "$T.img" "$packaged_disk"
    "$ROOT/tools/disk.sh" add "$T.img" "$ROOT/tests/runtimes" /runtimes
    in_machine "$1" "LONG= sh /runtimes/\${p}_test.sh" "$(chosen "$(names_in tests/runtimes _test.sh)" "$4")" \
        "$T.img" "$2" --smp 2 --mem 3G --append "$3"
    rm -f "$T.img"
}

run_runtimes() { run_runtimes_with runtimes run paging=sv48 "$1"; }
run_runtimes_linux() { run_runtimes_with runtimes-linux linux no5lvl "$1"; }

# run_selftests_with LABEL KERNEL NAMES
run_selftests_with()
{
    folder=$(sh "$ROOT/tests/selftests/build.sh") || die "Linux's tests cannot be built"
    prepare_disk "$T.img" "$BUILD/disk.img"
    "$ROOT/tools/disk.sh" add "$T.img" "$folder" /selftests
    in_machine "$1" 'sh /selftests/run $p' "$(chosen "$(cd "$folder" && ls | grep -v '^run$')" "$3")" \
        "$T.img" "$2" --smp 2 --mem 3G
    rm -f "$T.img"
}

run_selftests() { run_selftests_with selftests run "$1"; }
run_selftests_linux() { run_selftests_with selftests-linux linux "$1"; }

run_linux()
{
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
    in_machine programs 'sh /programs/${p}_test.sh' "$plain" "$OUT/disk.img" run --smp 2
    if [ -n "$packaged" ]; then
        make_packages bash coreutils
        prepare_disk "$T.img" "$packaged_disk"
        in_machine packages 'sh /programs/${p}_test.sh' "$packaged" "$T.img" run --smp 2
        rm -f "$T.img"
    fi
}

# --- libvm and what uses it -------------------------------------------------------------------------------------------

run_libvm()
{
    names=$(chosen "$(names_in libvm/tests .c) $(names_in libvm/tests .sh)" "$1")
    log=$OUT/libvm-host.log
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
            TEST_DIR=$T.files timeout "$PROGRAM_SECONDS" "$BUILD/libvm/$kind/$test" </dev/null 2>"$T.err" || status=$?
            echo "# exit $test-$kind $status"
        done
    done >"$log"
    report libvm-host "$log"
    libvm_disk
    in_machine libvm '/libvm/$p' "$guests" "$T.img" run --smp 2
    in_machine libvm-signals 'VM_BACKEND=signals /libvm/$p' "$guests" "$T.img" run --smp 2
    in_machine libvm-mprotect 'VM_BACKEND=signals VM_DIRTY=mprotect /libvm/$p' "$guests" "$T.img" run
    rm -f "$T.img"
}

# The disk with the tests, and $guests: those of $names that run in a guest.
libvm_disk()
{
    prepare_disk "$T.img" "$BUILD/disk.img"
    "$ROOT/tools/disk.sh" add "$T.img" "$BUILD/libvm/tests" /libvm
    guests=
    for name in $names; do
        [ ! -f "$ROOT/libvm/tests/$name.c" ] || guests="$guests $name"
    done
}

run_libvm_linux()
{
    names=$(chosen "$(names_in libvm/tests .c)" "$1")
    libvm_disk
    in_machine libvm-linux '/libvm/$p' "$guests" "$T.img" linux --smp 2
    rm -f "$T.img"
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
    log=$T.files-host.log
    for test in $(chosen "$(app_tests)" "$1"); do
        echo "# program $test"
        status=0
        if [ -x "$BUILD/apps-host/$test" ]; then
            TEST_DIR=$T.files timeout "$PROGRAM_SECONDS" "$BUILD/apps-host/$test" </dev/null 2>&1 || status=$?
        else
            status="cannot be built: see build/test/build.log"
        fi
        echo "# exit $test $status"
    done >"$log"
    report apps-host "$log"
}

# run_apps_with LABEL KERNEL NAMES: a script whose first lines say "# disk: packages" finds bash and Python there.
run_apps_with()
{
    plain=$(chosen "$(app_tests)" "$3") packaged=
    for app in $(cd "$ROOT/apps" && ls -d */test.sh | sed 's|/test.sh||'); do
        [ -n "$(chosen "$app" "$3")" ] || continue
        if head -n5 "$ROOT/apps/$app/test.sh" | grep -q '^# disk: packages'; then
            packaged="$packaged $app"
        else
            plain="$plain $app"
        fi
    done
    rm -rf "$T.files"
    mkdir -p "$T.files" "$BUILD/apps"
    for app in $plain $packaged; do
        [ ! -f "$ROOT/apps/$app/test.sh" ] || cp "$ROOT/apps/$app/test.sh" "$T.files/$app.sh"
        [ ! -d "$ROOT/apps/$app/scm" ] || cp -r "$ROOT/apps/$app/scm" "$T.files/$app-scm"
    done
    if [ -n "$plain" ]; then
        apps_disk "$BUILD/disk.img"
        in_machine "$1" 'if [ -f /apps-tests/$p.sh ]; then PATH=/apps:$PATH sh /apps-tests/$p.sh; else /apps/tests/$p; fi' "$plain" "$T.img" "$2" --smp 2
    fi
    if [ -n "$packaged" ]; then
        make_packages bash coreutils python3-minimal
        apps_disk "$packaged_disk"
        in_machine "$1-packages" 'PATH=/apps:$PATH sh /apps-tests/$p.sh' "$packaged" "$T.img" "$2" --smp 2
    fi
    rm -rf "$T.img" "$T.files"
}

apps_disk()
{
    cp --sparse=always "$1" "$T.img" || die "no space for $T.img: ./quire clean may make some"
    "$ROOT/tools/disk.sh" add "$T.img" "$BUILD/apps" /apps
    "$ROOT/tools/disk.sh" add "$T.img" "$T.files" /apps-tests
    "$ROOT/tools/disk.sh" add "$T.img" "$ROOT/tests/programs" /programs
}

run_apps()
{
    run_apps_on_host "$1"
    run_apps_with apps run "$1"
}

run_apps_linux() { run_apps_with apps-linux linux "$1"; }

# --- Groups side by side ----------------------------------------------------------------------------------------------

# One group, in a process of its own.
run_one()
{
    job=${1%%:*} only=${1#"${1%%:*}"}
    T=$OUT/$job only=${only#:}
    note "testing $job"
    mkdir -p "$T.files"
    case $job in
    guest-*) run_guest "${job#guest-}" "$only" ;;
    *) "run_$(echo "$job" | tr - _)" "$only" ;;
    esac
    rm -rf "$T.files" "$T.img" "$T.boot" "$T.err" "$T.report" "$T.kmsg"
    echo "$passed $failed $skipped" >"$T.count"
}

# What the groups "$@" need of the Makefile. What cannot be built fails in the group.
build_for()
{
    targets="kernel tools disk guest" linux= crash=
    for group; do
        case $group in
        libvm*) targets="$targets libvm-host-tests libvm-tests" ;;
        apps*) targets="$targets apps-host apps apps-tests" ;;
        differ*) targets="$targets differ" ;;
        crash* | disks*) crash=yes ;;
        esac
        case ${group%%:*} in
        linux | *-linux) linux=yes ;;
        esac
    done
    # shellcheck disable=SC2086 # several targets
    in_turn make -s -k -j"$(nproc)" -C "$ROOT" $targets >"$OUT/build.log" 2>&1 || true
    [ -z "$crash" ] || make -s -k -j"$(nproc)" -C "$ROOT" -f tests/crash/Makefile >>"$OUT/build.log" 2>&1 || true
    [ -z "$linux" ] || in_turn make -s -C "$ROOT" linux >&2 || die "the referee cannot be built"
    [ -f "$BUILD/disk.img" ] || die "the disk cannot be made: see build/test/build.log"
    prepare_disk "$OUT/disk.img" "$BUILD/disk.img"
}

mkdir -p "$OUT" || die "cannot write to $OUT: no space or permission"
if [ "${1:-}" = --one ]; then
    run_one "$2"
    exit
fi
[ $# -gt 0 ] || set -- $PLAIN
for group; do
    shift
    only=${group#"${group%%:*}"}
    case " guest $PLAIN $MORE " in
    *" ${group%%:*} "*) ;;
    *) die "no group of tests '$group': guest $PLAIN $MORE" ;;
    esac
    if [ "${group%%:*}" = guest ]; then
        for kind in $GUESTS; do
            set -- "$@" "$kind$only"
        done
    else
        set -- "$@" "$group"
    fi
done
[ "$(printf '%s\n' "$@" | cut -d: -f1 | sort | uniq -d)" = "" ] || die "a group is named twice: name its programs in one, GROUP:A,B"
exec 9>"$OUT/lock"
! have flock || flock -n 9 || die "another ./quire test is running here"
note "building what is tested"
build_for "$@"
rm -f "$OUT"/*.count
printf '%s\n' "$@" | xargs -n 1 -P "${JOBS:-$(nproc)}" "$0" --one || true
for group; do
    if [ -f "$OUT/${group%%:*}.count" ]; then
        read -r p f s <"$OUT/${group%%:*}.count"
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    else
        echo "${group%%:*}: came to no end"
        failed=$((failed + 1))
    fi
done
rm -f "$OUT/disk.img" "$OUT"/*.count
[ $((passed + failed + skipped)) != 0 ] || die "no such program: the names are those of the files, see docs/testing.md"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
