# The tools that read /proc, and that the machine is as it says.
. /programs/tap.sh

is "$(ps | awk '$1 == 1 { print $1 }')" 1 "ps shows the first process"
is "$(ps -o pid,comm | awk '$2 == "ps"' | wc -l)" 1 "ps shows itself"
ok "top -b" sh -c 'top -b -n 1 | grep -q "Mem:"'
ok "free" sh -c 'free | awk "/^Mem:/ { exit !(\$2 > 30000 && \$4 > 0) }"'
ok "uptime" sh -c 'uptime | grep -q load'
is "$(mount | awk '$3 == "/" { print $5 }')" ext3 "mount shows the root"
ok "df" sh -c 'df / | grep -q /dev/'
sleep 100 &
sleep 1
is "$(pidof sleep)" $! "pidof"
is "$(tr '\0' ' ' </proc/$!/cmdline)" "sleep 100 " "cmdline"
is "$(readlink /proc/$!/exe)" /usr/bin/busybox "exe"
is "$(readlink /proc/$!/cwd)" "$dir" "cwd"
ok "killall" killall sleep
wait
is "$(readlink /proc/self/fd/0)" "$(readlink /proc/$$/fd/0)" "fd"
ok "maps" grep -q '\[stack\]' /proc/self/maps
ok "meminfo" grep -q '^MemTotal: *[0-9]* kB$' /proc/meminfo
ok "cpuinfo" grep -q '^processor' /proc/cpuinfo
is "$(nproc)" "$(grep -c '^processor' /proc/cpuinfo)" "nproc counts the harts"
ok "stat" grep -q '^cpu ' /proc/stat
is "$(cat /proc/sys/kernel/hostname)" "$(hostname)" "hostname"
is "$(uname -m)" riscv64 "uname -m"
ok "/proc/filesystems" grep -q ext3 /proc/filesystems
is "$(head -c 100000 /dev/zero | tr -d '\0' | wc -c)" 0 "/dev/zero"
is "$(head -c 1000 /dev/urandom | wc -c)" 1000 "/dev/urandom"
fails 1 "/dev/full" sh -c 'echo x >/dev/full'
is "$(df -P /tmp | awk 'NR == 2 { print $6 }')" /tmp "/tmp is a mount of its own"
finish
