# The command line of checkpoint: a computation that is killed and continued ends as one that was not.
. /programs/tap.sh

checkpoint=/apps/checkpoint

value()
{
    awk -v name="$1" '$1 == name { print $2 }' "$2"
}

ok "without checkpoints" "$checkpoint" --method none --size 512 --generations 600 none
"$checkpoint" --method none --size 512 --generations 600 none >plain
ok "with checkpoints" sh -c "$checkpoint --size 512 --generations 600 --every 50 whole >saved"
is "$(value hash saved)" "$(value hash plain)" "the result is the same"
is "$(value checkpoints saved)" 12 "twelve checkpoints were taken"
is "$("$checkpoint" --show whole | head -n1)" "generation 600" "and the last is in the file"

kills=0
while [ "$kills" -lt 5 ]; do
    "$checkpoint" --size 512 --generations 100000000 --every 7 --threads $((kills % 3 + 1)) killed >/dev/null &
    sleep 1
    kill -9 $!
    wait $! 2>/dev/null
    kills=$((kills + 1))
done
generation=$("$checkpoint" --show killed | awk '$1 == "generation" { print $2 }')
is "$((generation % 7))" 0 "killed five times, the file has a checkpoint"
ok "it continues" sh -c "$checkpoint --generations $((generation + 100)) killed >continued"
"$checkpoint" --method none --size 512 --generations $((generation + 100)) none >plain
is "$(value hash continued)" "$(value hash plain)" "and ends as if it had never been killed"
ok "by fork" sh -c "$checkpoint --method fork --size 512 --generations 300 forked >forked.out"

ok "--help" "$checkpoint" --help
is "$("$checkpoint" --help 2>&1 >/dev/full | grep -c 'standard output')" 1 "help that cannot be written"
fails 2 "no file" "$checkpoint"
fails 2 "no such option" "$checkpoint" --fast f
fails 2 "a size that is none" "$checkpoint" --size 100 f
fails 2 "a number that is none" "$checkpoint" --every x f
fails 2 "not a file of checkpoints" "$checkpoint" plain
is "$("$checkpoint" plain 2>&1)" "checkpoint: plain: not a file of checkpoints, or of a world of another size" "in one line"
fails 2 "a folder that is not there" "$checkpoint" no/file
fails 2 "output to a full disk" sh -c "$checkpoint --show whole >/dev/full"
mkdir -p small
mount -t tmpfs -o size=300k none small
fails 2 "checkpoints to a full disk" "$checkpoint" --size 2048 --generations 300 --every 10 small/world
rm -f small/*
fails 2 "snapshots to one" "$checkpoint" --method fork --size 2048 --generations 300 --every 10 small/world
umount small
finish
