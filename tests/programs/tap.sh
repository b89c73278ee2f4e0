# The Test Anything Protocol for scripts in the guest: `. /programs/tap.sh`, then is, ok and fails, and at last
# `finish`.
# Each script has an empty folder on the disk, $dir, as its working directory, and leaves nothing behind.

count=0
failures=0
dir=/var/tmp/programs.$$
mkdir -p "$dir"
cd "$dir" || exit 1

result()
{
    count=$((count + 1))
    if [ "$1" = 0 ]; then
        echo "ok $count - $2"
    else
        failures=$((failures + 1))
        echo "not ok $count - $2"
    fi
}

# is GOT WANT NAME
is()
{
    [ "$1" = "$2" ]
    result $? "$3"
    [ "$1" = "$2" ] || { echo "# got:  $(echo "$1" | head -n3)"; echo "# want: $(echo "$2" | head -n3)"; }
}

# ok NAME COMMAND...: it succeeds.
ok()
{
    name=$1
    shift
    "$@" >"$dir.output" 2>&1
    status=$?
    result "$status" "$name"
    [ "$status" = 0 ] || { echo "# $*: status $status"; sed 's/^/# /' "$dir.output" | tail -n3; }
}

# fails STATUS NAME COMMAND...: it ends with that status.
fails()
{
    want=$1
    name=$2
    shift 2
    status=0
    "$@" >"$dir.output" 2>&1 || status=$?
    is "$status" "$want" "$name"
}

finish()
{
    cd /
    rm -rf "$dir" "$dir.output"
    echo "1..$count"
    [ "$failures" = 0 ]
    exit
}
