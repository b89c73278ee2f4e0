# What the shell needs of a kernel: many processes in the background, wait, traps, here-documents, substitution.
. /programs/tap.sh

i=0
while [ $i -lt 100 ]; do
    sh -c "sleep 0.2; echo $i >out$i" &
    i=$((i + 1))
done
wait
is "$(cat out* | sort -n | tail -n 1) $(ls out* | wc -l)" "99 100" "a hundred shells in the background"
rm -f out*
fails 7 "exit status" sh -c 'exit 7'
fails 143 "status of a killed shell" sh -c 'kill $$; sleep 10'
fails 127 "no such command" sh -c 'no-such-command-here'
fails 126 "not executable" sh -c "/etc/passwd"
is "$(sh -c 'trap "echo bye" EXIT; exit 3'; echo $?)" "bye
3" "trap EXIT"
is "$(sh -c 'trap "echo got" USR1; kill -USR1 $$; echo on')" "got
on" "trap USR1"
is "$(cat <<END
here $((6 * 7))
END
)" "here 42" "a here-document"
printf '#!/bin/sh\necho "script $1"\n' >script
chmod +x script
is "$(./script arg)" "script arg" "a script by its #! line"
is "$(sleep 100 & pid=$!; kill -STOP $pid; kill -CONT $pid; kill -TERM $pid; wait $pid; echo $?)" 143 "stopped, continued, terminated"
is "$(timeout 1 sleep 100; echo $?)" 143 "timeout"
is "$(ulimit -f 1; sh -c 'dd if=/dev/zero of=limited bs=4096 count=10' 2>/dev/null; stat -c %s limited)" 512 "the limit on file size"
is "$(umask 077; : >private; stat -c %a private)" 600 "umask"
is "$(mkfifo f; echo through >f & cat f; rm f)" through "a FIFO"
is "$(su user -c 'id -u; cat /etc/shadow 2>&1 | grep -c denied')" "1000
1" "another user cannot read what is root's"
is "$(exec 5>five; echo a >&5; echo b >&5; exec 5>&-; cat five)" "a
b" "descriptors kept open"
finish
