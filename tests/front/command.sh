# `./quire run -- CMD`: output byte for byte, status, files in and out, time-outs, panics.
. tests/front/tap.sh

guest -- echo hello
is "$status:$out" "0:hello" "a command's output alone"
guest -- sh -c 'echo out; echo err >&2; exit 42'
is "$status:$out" "42:out
err" "its status; its errors among its output"
is "$(cat "$tmp/err")" "" "nothing else is said"
guest -- sh -c 'kill -9 $$'
is "$status" 137 "killed by a signal"
guest -- /no/such/command
is "$status" 127 "no such command"
guest -- printf 'a b\n%s|' 'two words' "quote'\"" '' '$HOME'
is "$out" "a b
two words|a b
quote'\"|a b
|a b
\$HOME|" "arguments arrive as they are"
./quire "$KERNEL" --timeout 120 -- cat /bin/busybox >"$tmp/busybox" 2>/dev/null </dev/null
ok "a binary file comes out byte for byte" cmp "$tmp/busybox" build/root/usr/bin/busybox
guest -- printf '\n@@EXIT 9@@\nmore\n@@PANIC@@\nstill\n'
is "$status:$out" "0:
@@EXIT 9@@
more
@@PANIC@@
still" "output that looks like our marks"
guest -- sh -c 'test -t 0 || test -t 1 || test -t 2 || echo none'
is "$out" none "no terminal"
guest --timeout 4 -- sleep 100
is "$status" 124 "a time-out"
is "$(wc -l <"$tmp/err")" 1 "is told in one line"
guest --idle 4 -- sh -c 'echo begun; sleep 100'
is "$status:$out" "124:begun" "a time without output"

mkdir -p "$tmp/folder/inner"
echo content >"$tmp/folder/inner/a b"
echo run >"$tmp/folder/.hidden"
printf '#!/bin/sh\necho ran $1\n' >"$tmp/folder/script"
chmod 750 "$tmp/folder/script"
chmod 640 "$tmp/folder/inner/a b"
ln -s script "$tmp/folder/link"
guest --add "$tmp/folder:/opt/added" --add "$tmp/folder/script:/usr/bin/" --add "$tmp/folder/script:/etc/hostname" \
    -- sh -c 'cd /opt/added; stat -c "%n %a %u %F" * inner/* .hidden; /opt/added/link one; script two; cat "inner/a b"; wc -l </etc/hostname'
is "$status:$out" "0:inner 755 0 directory
link 777 0 symbolic link
script 750 0 regular file
inner/a b 640 0 regular file
.hidden 644 0 regular file
ran one
ran two
content
2" "--add: folders, modes, links, into a folder, over a file"

mkdir -p "$tmp/tree/bin" "$tmp/tree/new" "$tmp/tools"
cp "$tmp/folder/script" "$tmp/tree/bin/first"
cp "$tmp/folder/script" "$tmp/tree/new/second"
cp "$tmp/folder/script" "$tmp/tools/third"
chmod 700 "$tmp/tools"
guest --add "$tmp/tree:/" --add "$tmp/tools:/bin" --add "$tmp/folder/script:/bin/fourth" \
    -- sh -c 'first 1; /new/second 2; third 3; fourth 4; stat -c "%n %a %F" /bin /usr/bin'
is "$status:$out" "0:ran 1
ran 2
ran 3
ran 4
/bin 777 symbolic link
/usr/bin 755 directory" "--add: to folders that are there, through links, to the root"

truncate -s 1M "$tmp/drive1"
truncate -s 2M "$tmp/drive2"
guest --drive "$tmp/drive1" --drive "$tmp/drive2" -- sh -c 'echo first >/dev/vdb; echo second >/dev/vdc; sync'
is "$status:$(head -c 6 "$tmp/drive1"):$(head -c 7 "$tmp/drive2")" "0:first:second" "--drive: /dev/vdb and /dev/vdc are written through"

cp --sparse=always build/disk.img "$tmp/disk.img"
guest --disk "$tmp/disk.img" -- sh -c 'echo x >/root/gone'
guest --disk "$tmp/disk.img" --keep -- sh -c 'echo kept >/root/kept'
guest --disk "$tmp/disk.img" -- sh -c 'cat /root/kept; ls /root'
is "$out" "kept
kept" "--keep keeps, without it nothing stays"
ok "the disk is clean afterwards" e2fsck -fn "$tmp/disk.img"
is "$(debugfs -R 'ls /' "$tmp/disk.img" 2>/dev/null | grep -c quire)" 0 "and has nothing of ours left on it"

guest --smp 4 --mem 128M -- sh -c 'nproc; free -m | awk "/^Mem:/ { print (\$2 > 32 && \$2 <= 128) }"'
is "$out" "4
1" "--smp and --mem"
guest --icount -- sh -c 'echo counted'
is "$out" counted "--icount"
guest --icount --smp 4 -- sh -c 'for i in 1 2 3 4; do sh -c "exit $i" & done; wait; nproc'
is "$out" 4 "--icount with several harts"
guest --kernel-log "$tmp/log" -- true
ok "--kernel-log gets the kernel's messages" grep -q -E 'Quire|Linux version' "$tmp/log"
guest --append "testing=this" -- cat /proc/cmdline
like "$out" "*testing=this*" "--append"

if [ "$KERNEL" = run ]; then
    guest --append selftest=panic --kernel-log "$tmp/log" -- true
    is "$status" 3 "a panic: status 3"
    ok "its message is in the kernel log" grep -q -i panic "$tmp/log"
fi

guest -- true
find build/kernel build/tools build/disk.img -newer "$tmp/err" -type f >"$tmp/after"
is "$(cat "$tmp/after")" "" "a second run builds nothing"
finish
