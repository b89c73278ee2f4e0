# The command line of store.
. /programs/tap.sh

store=/apps/store
tab=$(printf '\t')

fails 2 "no file yet: get" "$store" f get a
ok "put makes it" "$store" f put a 1
is "$("$store" f get a)" 1 "get"
fails 1 "get of a key that is not there" "$store" f get b
ok "put again" "$store" f put a 2
is "$("$store" f get a)" 2 "another value"
ok "delete" "$store" f delete a
fails 1 "delete of a key that is not there" "$store" f delete a

seq 1 3000 | awk '{ printf "key%05d\tvalue %d %060d\n", $1 * 7919 % 3001, $1, $1 }' >lines
sort lines >sorted
ok "load" sh -c "$store f load 100 <lines"
is "$("$store" f scan | md5sum)" "$(md5sum <sorted)" "scan has all, in order"
is "$("$store" f scan key00100 key00200)" "$(awk -F"$tab" '$1 >= "key00100" && $1 < "key00200"' sorted)" "a part of them"
is "$("$store" f stat | awk '$1 == "entries" { print $2 }')" 3000 "their count"
ok "check" "$store" f check
head -n 2900 lines | cut -f1 | "$store" f erase 500
is "$("$store" f scan | md5sum)" "$(tail -n 100 lines | sort | md5sum)" "erase leaves the others"
head -c 3000000 /bin/busybox >large 2>/dev/null || head -c 1000000 /bin/sh >large
"$store" f put large - <large
is "$("$store" f get large | head -c "$(stat -c %s large)" | md5sum)" "$(md5sum <large)" "a large value"
ok "check again" "$store" f check

# Closed, a store is one file; without its log, when it needs it, it is refused.
rm f.log
is "$("$store" f get "$(tail -n 1 lines | cut -f1)")" "$(tail -n 1 lines | cut -f2)" "a closed store needs no log"
{
    cat lines
    sleep 1000
} | "$store" g load 100 &
until [ -s g.log ] && [ "$("$store" g stat 2>&1 | grep -c another)" = 1 ]; do sleep 0.1; done
fails 2 "another process has it" "$store" g get a
sleep 1
kill -9 $!
killall -9 sleep
sleep 0.1
is "$("$store" g stat | awk '$1 == "entries" { print $2 % 100 }')" 0 "killed: there are whole batches only"
ok "and all is sound" "$store" g check

cp f short
truncate -s 100000 short
fails 2 "a store that was cut off" "$store" short get a
truncate -s 5000 short
fails 2 "... in its first page" "$store" short get a
fails 2 "an empty key" "$store" f put "" 1
fails 2 "no such command" "$store" f walk
fails 2 "no such option" "$store" --fast f get a
fails 2 "not a store" "$store" lines get a
is "$("$store" lines get a 2>&1)" "store: lines: not a store, or of another version" "in one line"
fails 2 "a full disk" sh -c "$store f scan >/dev/full"
ok "--help" "$store" --help
finish
