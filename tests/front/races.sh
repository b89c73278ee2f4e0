# The kernel that tells data races tells the one that is planted in it, and where it is in the code.
. tests/front/tap.sh

[ "$KERNEL" = run ] || { echo "1..0 # SKIP a test of Quire's own kernel"; exit 0; }

guest --races --smp 2 --kernel-log "$tmp/log" -- sh -c 'sleep 1; echo done'
is "$out" done "the kernel runs"
told=$(tools/races.sh "$tmp/log")
like "$told" *s\ ?\ bytes:\ plant_race\ \(kernel/sched/race.c:*\ them:\ plant_race\ \(kernel/sched/race.c:*\ became\ 0x* "a race is told with both of its places"
like "$(tools/races.sh --help)" "races.sh KERNEL-LOG*" "tools/races.sh --help says what it is for"
tools/races.sh "$tmp/nothing" >/dev/null 2>"$tmp/err" && status=0 || status=$?
is "$status" 2 "a log that is not there is refused"
is "$(wc -l <"$tmp/err")" 1 "in one line"
finish
