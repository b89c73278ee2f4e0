# SQLite with its file mapped (mmap_size), the write-ahead log and its shared index, readers beside a writer.
. /programs/tap.sh

rows=20000
[ -z "$LONG" ] || rows=200000
MAPPED="PRAGMA mmap_size=268435456;"

sql()
{
    sqlite3 -batch -cmd '.timeout 60000' "$@" 2>&1
}

is "$(sql wal.db 'PRAGMA journal_mode=WAL')" wal "the write-ahead log"
is "$(sql wal.db "$MAPPED" | tail -n1)" 268435456 "mmap_size is taken"
is "$(sql wal.db "$MAPPED
    CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, v TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
        INSERT INTO t SELECT i, i * 7919 % 10007, printf('%080d', i) FROM n;
    CREATE INDEX by_k ON t(k);
    SELECT count(*), sum(length(v)) FROM t;" | tail -n1)" "$rows|$((rows * 80))" "rows are written and counted"
is "$(sql wal.db "$MAPPED PRAGMA integrity_check" | tail -n1)" ok "its own check"

# Writers and readers at once: each transaction keeps the sum.
sql wal.db "CREATE TABLE account(id INTEGER PRIMARY KEY, money INTEGER);
    INSERT INTO account VALUES (1, 500), (2, 500);"
for writer in 1 2 3; do
    for n in 1 2 3 4 5 6 7 8 9 10; do
        echo "BEGIN IMMEDIATE; UPDATE account SET money = money - $writer WHERE id = 1;
              UPDATE account SET money = money + $writer WHERE id = 2; COMMIT;"
    done | sql wal.db "$MAPPED" ".read /dev/stdin" >writer.$writer &
done
for n in 1 2 3 4 5; do
    sql wal.db "$MAPPED SELECT sum(money) FROM account;" | tail -n1
done >sums
wait
is "$(sort -u sums)" 1000 "readers see whole transactions"
is "$(sql wal.db 'SELECT group_concat(money) FROM account')" 440,560 "three writers, thirty transactions, none lost"
is "$(sql wal.db 'PRAGMA wal_checkpoint(TRUNCATE)' | cut -d'|' -f1)" 0 "a checkpoint"
is "$(stat -c %s wal.db-wal 2>/dev/null || echo 0)" 0 "leaves no log"

# A process killed in the middle of a transaction leaves the old state.
{
    echo "$MAPPED BEGIN; UPDATE account SET money = 0; SELECT 'begun';"
    sleep 30
} | sqlite3 -batch wal.db >begun &
feeder=$!
until grep -q begun begun; do sleep 0.1; done
killall -9 sqlite3
kill "$feeder" 2>/dev/null
is "$(sql wal.db 'SELECT sum(money) FROM account')" 1000 "a killed writer leaves what was"

# The mapping follows the file as it grows and shrinks.
is "$(sql plain.db "PRAGMA journal_mode=DELETE; $MAPPED
    CREATE TABLE t(v BLOB); INSERT INTO t VALUES (randomblob(3000000)), (randomblob(3000000));
    DELETE FROM t WHERE rowid = 1; VACUUM; SELECT count(*), sum(length(v)) FROM t; PRAGMA integrity_check;" | tail -n2)" \
    "1|3000000
ok" "VACUUM shrinks a mapped file"
finish
