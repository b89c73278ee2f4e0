# The command line of address: a tree that is much larger than the window, in a store with 64-bit names.
. /programs/tap.sh

address=/apps/address

value()
{
    awk -v name="$1" '$1 == name { print $2 }' "$2"
}

ok "add" sh -c "$address --window 1024 tree add 60000 >added"
is "$(value numbers added)" 60000 "numbers are added"
ok "the tree is many times the window" [ "$(value pages added)" -gt 3000 ]
ok "find, in another process" sh -c "$address --window 1024 tree find 3000 >found"
is "$(value wrong found)" 0 "all are found, and no others"
ok "with threads" sh -c "$address --window 4096 --threads 3 tree find 3000 >found"
is "$(value wrong found)" 0 "all are found, and no others"
ok "walk" sh -c "$address tree walk >walked"
is "$(value numbers walked) $(value in_order walked)" "60000 yes" "all are there, in order"
is "$(value largest_name walked | wc -c)" 19 "names have 64 bits"
is "$("$address" --help 2>&1 >/dev/full | grep -c 'standard output')" 1 "help that cannot be written"
ok "add more" "$address" tree add 100
is "$("$address" tree walk | head -n1)" "numbers 60100" "they follow"
ok "a large file has holes" [ "$(du -sk tree | cut -f1)" -lt 30000 ]
cp -r tree short
for file in short/[0-9a-f]*; do truncate -s 4096 "$file"; done
fails 2 "files that were cut off" "$address" short walk
fails 2 "a window that is too small" "$address" --window 8 tree walk
fails 2 "an operation that needs more" "$address" --window 16 tree walk
ok "--help" "$address" --help
fails 2 "no command" "$address" tree
fails 2 "no such option" "$address" --fast tree walk
fails 2 "a number that is none" "$address" tree find x
mkdir other
echo something else entirely, which is long enough >other/super
fails 2 "a folder of something else" "$address" other walk
is "$("$address" other walk 2>&1)" "address: other: not such a store, or a window of fewer than 16 pages" "in one line"
finish
