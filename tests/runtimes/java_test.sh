# OpenJDK: null checks by faults, safepoints by pages that are closed, guard pages on stacks; five collectors, of which
# one maps its heap several times. Beyond Sv48 this Java does not start, on any kernel.
. /programs/tap.sh

rounds=20
[ -z "$LONG" ] || rounds=300
expected="0 wrong
10000 null pointers
a full stack
a full heap"

is "$(java -version 2>&1 | grep -c '^OpenJDK')" 2 "it starts"
ok "a program is compiled" javac -J-XX:TieredStopAtLevel=1 -J-XX:+UseSerialGC -d . /runtimes/GcTest.java
for collector in Serial Parallel G1 Shenandoah Z; do
    is "$(java -Xmx96m -XX:+UnlockExperimentalVMOptions -XX:+Use${collector}GC -cp . GcTest "$rounds" 2>&1)" "$expected" \
        "trees, null pointers, full stacks and heaps with the collector $collector"
done
is "$(java -Xint -XX:+UseSerialGC -Xmx96m -cp . GcTest 2 2>&1)" "$expected" "by interpreting"

java -XX:+UseSerialGC -Xmx96m -cp . GcTest 2 600 >out 2>&1 &
java=$!
tries=0
until grep -q waiting out || [ "$tries" -gt 600 ]; do
    tries=$((tries + 1))
    sleep 0.5
done
is "$(jcmd "$java" VM.version | grep -c OpenJDK)" 1 "another process attaches"
is "$(jcmd "$java" Thread.print | grep -c '"main"')" 1 "and sees threads"
jcmd "$java" GC.heap_dump "$dir/heap" >/dev/null
is "$(head -c 12 heap)" "JAVA PROFILE" "a heap dump"
kill -QUIT "$java"
kill "$java"
wait "$java"
is $? 143 "it ends when told"
finish
