# Databases whose plug is pulled: SQLite with a write-ahead log and with a rollback journal, and apps/store, commit numbered
# transactions side by side and say each one on the console; QEMU is killed (kill -9) after some of them. What was said must be there,
# whole, when Quire has recovered the disk, or e2fsck, or Linux. The same databases go on from there.
#
# synchronous=EXTRA: with FULL SQLite does not sync the folder after it has removed a rollback journal, and a transaction that was
# committed is rolled back by the journal that is there again (https://www.sqlite.org/pragma.html#pragma_synchronous).
#
# ROUNDS=N (3): kills; SEED=N. A long run: ROUNDS=100 sh tests/disks/database.sh
. tests/disks/disks.sh

ROUNDS=${ROUNDS:-3} SEED=${SEED:-1} EVERY=${EVERY:-3}
SIZE=32M

cat >"$tmp/databases" <<'END'
# databases DISK check: what each database holds. databases DISK work MODE: goes on from there, until the power fails; MODE is that of
# the rollback journal.
mkdir -p /mnt
mount -t ext3 "$1" /mnt || exit 1
cd /mnt

# Transaction N replaces the five rows of group N % 120, and adds a line to a table that only grows.
check()
{
    [ -f "$1.db" ] || { echo "$1 0 ok"; return; }
    sqlite3 -batch "$1.db" "
        SELECT '$1 damaged: ' || integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok';
        SELECT '$1 damaged: row ' || id FROM item, last WHERE n > last.number OR n <= last.number - 120 OR n % 120 <> id / 5
            OR body <> printf('%0*d', n * 37 % 900 + id % 5 * 200 + 12, n);
        SELECT '$1 damaged: rows are missing' FROM last WHERE (SELECT count(*) FROM item) <> 5 * min(number, 120);
        SELECT '$1 damaged: lines are missing' FROM last WHERE (SELECT count(*) || ' ' || coalesce(sum(n), 0) FROM line)
            <> number || ' ' || (number * (number + 1) / 2);
        SELECT '$1 ' || number || ' ok' FROM last;"
}

work()
{
    first=$(sqlite3 -batch "$1.db" "PRAGMA journal_mode=$2; PRAGMA synchronous=EXTRA;
        CREATE TABLE IF NOT EXISTS item(id INTEGER PRIMARY KEY, n INTEGER, body TEXT); CREATE INDEX IF NOT EXISTS by_n ON item(n, body);
        CREATE TABLE IF NOT EXISTS line(n INTEGER); CREATE TABLE IF NOT EXISTS last(number INTEGER);
        INSERT INTO last SELECT 0 WHERE NOT EXISTS (SELECT * FROM last); SELECT number + 1 FROM last;" | tail -n 1)
    awk -v n="$first" -v name="$1" -v mode="$2" -v q="'" 'BEGIN {
        print "PRAGMA journal_mode=" mode "; PRAGMA synchronous=EXTRA; PRAGMA wal_autocheckpoint=40;"
        for (;; n++) {
            printf "BEGIN IMMEDIATE;"
            for (i = 0; i < 5; i++)
                printf "INSERT OR REPLACE INTO item VALUES (%d, %d, printf(%s%%0*d%s, %d, %d));", n % 120 * 5 + i, n, q, q, n * 37 % 900 + i * 200 + 12, n
            printf "INSERT INTO line VALUES (%d); UPDATE last SET number = %d; COMMIT; SELECT %s%s %d .%s;\n", n, n, q, name, n, q
        }
    }' | sqlite3 -batch "$1.db"
}

check wal
check rollback
if [ -f store ]; then /root/keeper store check; else echo "store 0 ok"; fi
[ "$2" = work ] || { cd /; umount /mnt; exit; }
echo "at work"
work wal wal &
work rollback "$3" &
/root/keeper store &
wait
END

# last_said NAME: the number of its last commit on the console, in whole lines
last_said()
{
    awk -v name="$1" '$1 == name && $3 == "." { n = $2 } END { print n + 0 }' "$tmp/said"
}

commits_said()
{
    grep -c '^[wr].* \.$' "$tmp/said"
}

# kill_after N: when SQLite has said so many commits.
kill_after()
{
    while [ "$(commits_said)" -lt "$1" ] && kill -0 "$run" 2>/dev/null; do
        sleep 0.05
    done
    kill -9 "$(cat "$tmp/pid")" 2>/dev/null
    wait "$run"
}

# has_what_was_said FILE: the databases in FILE are whole and hold all that is in $wal, $rollback, $store.
has_what_was_said()
{
    awk -v wal="$wal" -v rollback="$rollback" -v store="$store" '
        $3 == "ok" { found[$1] = $2; next }
        /damaged|failed/ { print; bad = 1 }
        END {
            want["wal"] = wal; want["rollback"] = rollback; want["store"] = store
            for (name in want) {
                n = (name in found) ? found[name] : 0
                if (n < want[name]) { print name ": said " want[name] ", found " n; bad = 1 }
            }
            exit bad
        }' "$1"
}

# recovered BY KERNEL: $copy's databases as KERNEL finds them
recovered()
{
    ./quire "$2" --packages sqlite3 --timeout 300 --add build/disks/keeper:/root/keeper --add "$tmp/databases:/root/databases" --drive "$copy" -- \
        sh /root/databases /dev/vdb check >"$tmp/found" 2>"$tmp/err" </dev/null
    ok "... recovered by $1, they are whole and have what was said" has_what_was_said "$tmp/found"
    is "$(e2fsck -fn "$copy" >"$tmp/fsck" 2>&1; echo $?)" 0 "... and the disk is clean"
}

new_disk disk "$SIZE" -b 1024 -E root_owner=0:0
wal=0 rollback=0 store=0
# Of each round: how the rollback journal ends, and after how many commits of SQLite the power fails.
awk -v seed="$SEED" -v rounds="$ROUNDS" 'BEGIN {
    srand(seed)
    split("delete truncate persist", modes)
    for (i = 1; i <= rounds; i++)
        print i, modes[i % 3 + 1], 5 + int(rand() * 60)
}' >"$tmp/plan"
while read -r round mode commits <&3; do
    rm -f "$tmp/pid"
    : >"$tmp/said"
    ./quire run --packages sqlite3 --timeout 500 --smp 2 --qemu "-pidfile $tmp/pid" --add build/disks/keeper:/root/keeper \
        --add "$tmp/databases:/root/databases" --drive "$disk" -- sh /root/databases /dev/vdb work "$mode" >"$tmp/said" 2>"$tmp/err" </dev/null &
    run=$!
    kill_after "$commits"
    # What this machine found at its start are the databases as the one before left them.
    sed '/^at work/,$d' "$tmp/said" >"$tmp/found"
    ok "round $round: the databases are whole, and have what was said (wal $wal, rollback $rollback, store $store)" has_what_was_said "$tmp/found"
    for name in wal rollback store; do
        before=$(awk -v name="$name" '$1 == name && $3 == "ok" { print $2 }' "$tmp/found")
        said=$(last_said "$name")
        [ "$said" -gt "${before:-0}" ] || said=${before:-0}
        eval "$name=\$said"
    done
    is "$([ "$(commits_said)" -ge "$commits" ] && echo yes)" yes "... killed after $commits commits, rollback journal: $mode"
    [ $((round % EVERY)) = 0 ] || [ "$round" = "$ROUNDS" ] || continue
    copy=$tmp/copy
    cp --sparse=always "$disk" "$copy"
    recovered Quire run
    cp --sparse=always "$disk" "$copy"
    e2fsck -p "$copy" >"$tmp/fsck" 2>&1 || [ $? = 1 ] || sed 's/^/# /' "$tmp/fsck"
    recovered e2fsck run
    if [ -f build/linux/vmlinux ]; then
        cp --sparse=always "$disk" "$copy"
        recovered Linux linux
    else
        echo "ok $((count += 1)) - ... recovered by Linux # SKIP build/linux is not built (make linux)"
    fi
done 3<"$tmp/plan"
finish
