#!/bin/sh
# run TEST, in the guest: one of Linux's own tests. What is not TAP becomes TAP; an expected failure is a pass.
cd "$(dirname "$0")" || exit 1

case $1 in
uffd-unit-tests)
    ./"$1" | awk '/^Testing .*\.\.\. / { n++; t = $0; sub(/\.\.\. .*/, "", t); print (/done$/ ? "ok " n " - " t : /skipped/ ? "ok " n " - " t " # SKIP" : "not ok " n " - " t " " $0) }
        END { print "1.." n + 0 }'
    ;;
khugepaged) # each "Run test" is a point
    for memory in anon shmem; do
        ./"$1" all:$memory
    done | tr '\r' '\n' | awk 'function point() { if (name != "") { n++; print (bad ? "not ok " : "ok ") n " - " name }; bad = 0 }
        /^Run test: / { point(); name = substr($0, 11) } /Fail|Timeout|Unexpected|Bad/ { bad = 1; print "# " $0 }
        END { point(); print "1.." n + 0 }'
    ;;
uffd-stress)
    n=0
    for memory in anon shmem shmem-private; do
        n=$((n + 1))
        if ./"$1" "$memory" 8 16 >/tmp/out 2>&1; then
            echo "ok $n - $memory"
        else
            sed 's/^/# /' /tmp/out
            echo "not ok $n - $memory"
        fi
    done
    echo "1..$n"
    ;;
fd-00* | proc-* | pidfd_poll_test | read | self | thread-self | memfd_test)
    if ./"$1" >/tmp/out 2>&1 </dev/null; then
        echo "ok 1 - $1"
    else
        tail -n 5 /tmp/out | sed 's/^/# /'
        echo "not ok 1 - $1"
    fi
    echo 1..1
    ;;
transhuge-stress) ./"$1" -d 5 2>/dev/null ;;
*)
    status=0
    ./"$1" || status=$?
    [ $status -ne 4 ] # 4: all are skipped
    ;;
esac
