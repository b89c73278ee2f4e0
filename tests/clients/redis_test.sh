# Redis: a snapshot (BGSAVE) is a fork whose parent goes on writing: copy on write under load.
. /programs/tap.sh

keys=5000
[ -z "$LONG" ] || keys=100000

start()
{
    redis-server --port 0 --unixsocket "$dir/socket" --dir "$dir" --save '' --enable-debug-command yes "$@" >>log 2>&1 &
    server=$!
    tries=0
    until [ "$(cli ping 2>/dev/null)" = PONG ] || [ "$tries" -gt 200 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
}

cli()
{
    redis-cli -s "$dir/socket" "$@"
}

saved()
{
    until [ "$(cli info persistence | tr -d '\r' | sed -n 's/^rdb_bgsave_in_progress://p')" = 0 ]; do sleep 0.1; done
    cli info persistence | tr -d '\r' | sed -n 's/^rdb_last_bgsave_status://p'
}

start
is "$(cli ping)" PONG "the server answers over its unix socket"
is "$(cli debug populate "$keys" key 100)" OK "keys are made"
is "$(cli eval 'for i = 1, 200 do redis.call("rpush", "list", i) end return redis.call("llen", "list")' 0)" 200 "a script runs"
before=$(cli debug digest)
is "$(cli bgsave)" "Background saving started" "BGSAVE"
is "$(seq 1 300 | awk '{ print "set later" $1 " " $1 }' | cli | sort -u)" OK "writes go on meanwhile"
is "$(saved)" ok "the snapshot succeeds"
is "$(cli dbsize)" $((keys + 301)) "all keys"
now=$(cli debug digest)
is "$(cli bgsave && saved)" "Background saving started
ok" "again"
is "$(redis-check-rdb dump.rdb | grep -c 'RDB looks OK')" 1 "the snapshot is sound"
is "$(cli debug reload | tail -n1)" OK "it is loaded"
is "$(cli debug digest)" "$now" "and is what memory was"
is "$(cli config set appendonly yes)" OK "the log of commands"
for n in 1 2 3; do cli incr counter; done >/dev/null
until cli info persistence | grep -q 'aof_rewrite_in_progress:0'; do sleep 1; done # which began it, too
is "$(cli bgrewriteaof | cut -c1-10)" Background "is rewritten"
until [ "$(cli info persistence | tr -d '\r' | sed -n 's/^aof_rewrite_in_progress://p')" = 0 ]; do sleep 0.1; done
kill -9 "$server"
wait "$server" 2>/dev/null
start --appendonly yes
is "$(cli get counter)" 3 "a killed server finds its log again"
is "$(cli dbsize)" $((keys + 302)) "with all keys"
is "$(redis-benchmark -s "$dir/socket" -n 2000 -c 20 -q -t set,get 2>/dev/null | tr '\r' '\n' | grep -c 'requests per second')" 2 "twenty clients at once"
cli shutdown nosave
wait "$server"
is $? 0 "and ends when told"
[ "$before" != "$now" ]
is $? 0 "digests tell states apart"
finish
