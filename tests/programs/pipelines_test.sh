# Pipelines over many files: thousands of short-lived processes, pipes and small reads.
. /programs/tap.sh

for d in 1 2 3 4 5 6 7 8 9 10; do
    mkdir "d$d"
    for f in 0 1 2 3 4 5 6 7 8 9; do
        for c in a b c d e f g h i j; do
            echo "content $c" >"d$d/$f$c"
        done
    done
done
is "$(find . -type f | wc -l)" 1000 "a thousand files are there"
is "$(find . -type f | xargs md5sum | cut -d' ' -f1 | sort | uniq -c | awk '{ print $1 }' | sort -u)" 100 \
    "find | xargs md5sum | sort | uniq -c: each of ten contents a hundred times"
is "$(find . -type f -name '*a' -exec cat {} + | sort -u)" "content a" "find -exec cat"
is "$(cat d*/* | wc -c)" 10000 "cat of a thousand files"
is "$(find / -xdev -type f 2>/dev/null | xargs md5sum 2>/dev/null | sort | uniq -c | wc -l)" \
    "$(find / -xdev -type f 2>/dev/null | wc -l)" "md5sum of the whole disk"
is "$(seq 1 100000 | awk '{ s += $1 } END { print s }')" 5000050000 "seq through a pipe to awk"
is "$(yes | head -n 100000 | wc -l)" 100000 "SIGPIPE ends yes"
is "$(seq 1 20000 | sort -r -n | head -n 1)" 20000 "sort -r -n"
is "$(dd if=/dev/zero bs=64k count=160 2>/dev/null | md5sum)" "$(dd if=/dev/zero bs=1M count=10 2>/dev/null | md5sum)" "ten megabytes through pipes"
is "$(for i in 1 2 3; do echo $i; done | while read -r x; do echo "<$x>"; done | tr -d '\n')" "<1><2><3>" "loops in pipes"
rm -rf d*
is "$(ls | wc -l)" 0 "all removed"
finish
