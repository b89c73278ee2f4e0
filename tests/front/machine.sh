# The kernel's own self-test on several machines, and that what must not be possible ends in a panic which says where.
. tests/front/tap.sh

[ "$KERNEL" = run ] || { echo "1..0 # SKIP a test of Quire's own kernel"; exit 0; }

# selftest NAME OPTION...: all of its points passed, and it came to its end.
selftest()
{
    name=$1
    shift
    guest "$@" --append "selftest klog=console" --kernel-log "$tmp/log" -- true
    is "$(tr -d '\r' <"$tmp/log" | sed -n 's/^\[.*\] not ok/not ok/p; s/^\[.*\] \(1\.\.[0-9]*\)$/\1/p')" "1..9" "$name"
}

for harts in 1 2 4 8; do
    selftest "threads, locks, timers and calls between harts: $harts" --smp "$harts"
done
selftest "the same without Sstc, under Sv39" --smp 2 --cpu rv64,sstc=false --append paging=sv39
selftest "the same with 64 MiB, under Sv48" --mem 64M --append paging=sv48

# panics WHAT REASON FUNCTION [OPTION]: selftest=WHAT ends in a panic for that reason, and the backtrace names FUNCTION.
panics()
{
    guest ${4:-} --append "selftest=$1" --kernel-log "$tmp/log" -- true
    is "$status" 3 "selftest=$1 ends in a panic"
    ok "which says why: $2" grep -q "kernel panic: .*$2" "$tmp/log"
    ok "and where: $3" grep -q "^ .* $3+0x" "$tmp/log"
}

panics overflow "kernel stack overflow" overflow
panics write-text "store page fault" selftest_run
panics execute-data "fetch page fault" selftest_run
panics order "against the order of locks" selftest_run --debug
finish
