# The Test Anything Protocol for scripts on the host: `. tests/front/tap.sh` from the top of the tree, then is, like,
# ok, and at last `finish`.
# $KERNEL is what the machine runs, "run" or, to test the tests, "linux"; $tmp is a folder of one's own.

KERNEL=${KERNEL:-run}
count=0
failures=0
tmp=$(mktemp -d "${TMPDIR:-/tmp}/quire-front.XXXXXX")
trap "[ -n \"${KEEP:-}\" ] || rm -rf \"$tmp\"" EXIT

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
    if [ "$1" = "$2" ]; then
        result 0 "$3"
    else
        result 1 "$3"
        echo "# got '$(echo "$1" | tail -n2)', want '$(echo "$2" | tail -n2)'"
    fi
}

# like GOT PATTERN NAME: a pattern of case
like()
{
    case $1 in
    $2) result 0 "$3" ;;
    *)
        result 1 "$3"
        echo "# got '$(echo "$1" | tail -n2)'"
        ;;
    esac
}

# ok NAME COMMAND...
ok()
{
    name=$1
    shift
    status=0
    "$@" >"$tmp/output" 2>&1 || status=$?
    result "$status" "$name"
    [ "$status" = 0 ] || { echo "# $*: status $status"; sed 's/^/# /' "$tmp/output" | tail -n3; }
}

# Runs a command in the guest; $status and $out are what came of it, standard error is in $tmp/err.
guest()
{
    status=0
    out=$(./quire "$KERNEL" --timeout 120 "$@" 2>"$tmp/err" </dev/null) || status=$?
}

finish()
{
    echo "1..$count"
    [ "$failures" = 0 ]
    exit
}
