# The command line of pager: computations on ten times the budget.
. /programs/tap.sh

pager=/apps/pager

value()
{
    awk -v name="$1" '$1 == name { print $2 }' "$2"
}

ok "a matrix of ten times the budget" sh -c "$pager --size 4M matrix >matrix"
is "$(value result matrix)" right "its product"
ok "no more than the budget was in memory" [ "$(value most_resident matrix)" -le "$(value budget matrix)" ]
ok "a sort of ten times the budget" sh -c "$pager --size 16M sort >sort"
is "$(value result sort)" right "in order"
ok "no more than the budget was in memory" [ "$(value most_resident sort)" -le "$(value budget sort)" ]
ok "with a file" sh -c "$pager --size 16M --compressed 256K --threads 3 sort >file"
ok "pages went to it and came back" [ "$(value from_file file)" -gt 1000 ]
ok "on ordinary memory" "$pager" --size 16M --method plain sort
is "$("$pager" --help 2>&1 >/dev/full | grep -c 'standard output')" 1 "help that cannot be written"
fails 2 "a folder that is not there" "$pager" --folder no --size 1M sort
mkdir small
mount -t tmpfs -o size=64k none small
fails 2 "a file system that is full" "$pager" --folder small --size 4M --compressed 64K sort
is "$("$pager" --folder small --size 4M --compressed 64K sort 2>&1 | sed 's/[0-9][0-9]*/N/')" \
    "pager: page N cannot be had: no room for others, in memory or in the file" "in one line"
umount small
ok "--help" "$pager" --help
fails 2 "no work" "$pager"
fails 2 "no such option" "$pager" --fast sort
fails 2 "a size that is none" "$pager" --size x sort
fails 2 "a budget that is too small" "$pager" --size 1M --threads 60 sort
finish
