# `./quire run`: a person at the console. What is typed goes through a FIFO; what comes is waited for in a file.
. tests/front/tap.sh

cp --sparse=always build/disk.img "$tmp/disk.img"
mkfifo "$tmp/keys"

# Lets the console $1 bring a line that matches $2, within 60 seconds from where the last one was.
seen=0
expect()
{
    tries=0
    while :; do
        line=$(tail -c +$((seen + 1)) "$tmp/console" | tr -d '\r' | grep -a -n -m1 -E "$1") && break
        tries=$((tries + 1))
        if [ $tries -gt 240 ] || ! kill -0 "$machine" 2>/dev/null; then
            result 1 "$2"
            tail -c 300 "$tmp/console" | tr -cd '\n[:print:]' | sed 's/^/# /'
            return 0
        fi
        sleep 0.25
    done
    result 0 "$2"
    seen=$(wc -c <"$tmp/console")
}

type_keys()
{
    # shellcheck disable=SC2059 # escapes are wanted
    printf "$1" >&3
}

./quire "$KERNEL" --timeout 280 --disk "$tmp/disk.img" <"$tmp/keys" >"$tmp/console" 2>&1 &
machine=$!
exec 3>"$tmp/keys"
expect '# .?' "a prompt"
type_keys 'echo A$((40 + 2))B\n'
expect '^A42B' "a command runs"
type_keys 'test -t 0 && echo T$((6 * 7))\n'
expect '^T42' "the console is a terminal"
type_keys 'sleep 1000\n'
sleep 2
type_keys '\003'
sleep 1
type_keys 'echo S$?S\n'
expect '^S130S' "Ctrl-C ends a command"
type_keys 'sleep 1000\n'
sleep 2
type_keys '\032'
expect 'Stopped' "Ctrl-Z stops it"
type_keys 'jobs\n'
expect '\[1\].*Stopped.*sleep 1000' "jobs shows it"
type_keys 'bg\n'
sleep 1
type_keys 'jobs\n'
expect 'Running.*sleep 1000|sleep 1000 &' "bg lets it run"
type_keys 'fg\n'
sleep 1
type_keys '\003'
sleep 1
type_keys 'echo F$?F\n'
expect '^F130F' "fg and Ctrl-C end it"
type_keys 'stty rows 33 cols 99; stty size\n'
expect '^33 99' "the window's size"
# A shell reads ahead: what is meant for the program waits until it runs.
type_keys 'cat >typed\n'
sleep 1
type_keys 'some text x\177y\n\004'
sleep 1
type_keys 'cat typed\n'
expect '^some text y' "line editing and end of file"
type_keys 'vi new\n'
sleep 2
type_keys 'ihello from vi\033'
sleep 1
type_keys ':wq\n'
sleep 2
type_keys '\nstty sane; cat new\n'
expect '^hello from vi' "vi writes a file"
type_keys 'top -d 1\n'
expect 'Mem: .*used' "top"
type_keys 'q'
sleep 1
# A paste: more than any buffer of the hardware, at the speed of a pipe.
{
    echo 'cat >pasted <<END'
    seq 1000000 1003000
    echo END
    echo 'md5sum pasted; wc -l pasted'
} >&3
expect "^$(seq 1000000 1003000 | md5sum | cut -d' ' -f1)" "nothing is lost of a paste"
type_keys 'poweroff\n'
tries=0
while kill -0 "$machine" 2>/dev/null && [ $tries -lt 120 ]; do
    tries=$((tries + 1))
    sleep 0.5
done
exec 3>&-
status=0
wait "$machine" || status=$?
is "$status" 0 "poweroff: status 0"
ok "the disk is clean afterwards" e2fsck -fn "$tmp/disk.img"
is "$(debugfs -R 'cat /root/new' "$tmp/disk.img" 2>/dev/null)" "hello from vi" "and has what was written"
finish
