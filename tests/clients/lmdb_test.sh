# LMDB: the file is mapped read-only and shared, and written through descriptors; its lock file holds robust mutexes.
. /programs/tap.sh

entries=5000
[ -z "$LONG" ] || entries=100000

# dump FROM TO: a dump with keys from FROM to TO, in LMDB's text form.
dump()
{
    printf 'VERSION=3\nformat=print\ntype=btree\nmapsize=134217728\nmaxreaders=126\nHEADER=END\n'
    seq "$1" "$2" | awk '{ printf " key%08d\n value %d %0100d\n", $1, $1 * 3, $1 }'
    echo DATA=END
}

mkdir one two
dump 1 "$entries" >dumped
ok "a database is loaded" mdb_load -f dumped one
is "$(mdb_stat one | awk '/Entries/ { print $2 }')" "$entries" "all entries are there"
is "$(mdb_dump -p one | grep -c '^ key')" "$entries" "and come back"
is "$(mdb_dump -p one | sed -n '/^ /p' | md5sum)" "$(sed -n '/^ /p' dumped | md5sum)" "byte for byte, in order"
dump $((entries + 1)) $((entries + 1000)) | mdb_load one
is "$(mdb_stat one | awk '/Entries/ { print $2 }')" $((entries + 1000)) "by a second load"

# Readers while it is written. mdb_load commits after every 100 entries.
dump 900001 901000 | mdb_load one &
for n in 1 2 3 4; do
    mdb_dump -p one | grep -c '^ key'
done >counts
wait
is "$(awk -v a=$((entries + 1000)) '$1 < a || $1 > a + 1000 || $1 % 100 != 0' counts)" "" "a reader sees a transaction whole or not at all"
ok "a copy that is compacted" mdb_copy -c one two
is "$(mdb_dump -p two | md5sum)" "$(mdb_dump -p one | md5sum)" "holds the same"
is "$(mdb_stat -r one | tail -n1)" "(no active readers)" "no reader is left behind"
is "$(mdb_stat -e one | awk '/Map size/ { print $3 }')" 134217728 "the map's size"
finish
