#!/bin/sh
# Debian trixie's riscv64 packages on a machine of any other kind.
#
#   packages.sh fetch PKG...        download into build/pkg; print the .deb files' paths, one a line
#   packages.sh unpack DIR PKG...   fetch, then unpack below DIR
#   packages.sh closure PKG...      print PKG... and all that apt would install with them, one a line
#   packages.sh database DIR PKG... fetch, then write dpkg's database below DIR: all of them unpacked, none configured
#   packages.sh depends PKG         print the direct dependencies of PKG
#   packages.sh source DIR PKG      the source package PKG as its authors released it, unpacked into DIR
#
# apt runs with a configuration of its own under build/apt: the machine's packages and lists stay untouched, signatures
# are checked against Debian's archive keyring, and nothing of what is downloaded is installed or executed. What is in
# build/pkg is not downloaded again, and the package lists are read only when something is missing.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

RELEASE=trixie
APT=$BUILD/apt
CACHE=$BUILD/pkg
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The Debian mirror that the machine itself uses, or the one that the user names.
mirror()
{
    if [ -n "${QUIRE_DEBIAN_MIRROR:-}" ]; then
        echo "$QUIRE_DEBIAN_MIRROR"
        return
    fi
    apt-get indextargets --format '$(CREATED_BY)|$(LABEL)|$(RELEASE)|$(REPO_URI)' 2>/dev/null |
        awk -F'|' '$1 == "Packages" && $2 == "Debian" && $3 !~ /-/ { print $4; exit }'
}

# Writes apt's configuration, with full paths, so that the tree may move. The mirror is asked for once.
#   configure deb|deb-src
configure()
{
    [ -r "$KEYRING" ] || die "no $KEYRING: install the package debian-archive-keyring"
    mkdir -p "$APT/lists/partial" "$APT/cache/archives/partial" "$CACHE" ||
        die "cannot write to $BUILD: no space or permission"
    if [ -n "${QUIRE_DEBIAN_MIRROR:-}" ] || [ ! -s "$APT/sources.list" ]; then
        from=$(mirror)
        [ -n "$from" ] ||
            die "apt knows no Debian mirror here: run 'apt-get update', or set QUIRE_DEBIAN_MIRROR to the URL of one"
        source="$1 [arch=riscv64 signed-by=$KEYRING] $from $RELEASE main"
        if [ "$(cat "$APT/sources.list" 2>/dev/null)" != "$source" ]; then
            rm -f "$APT"/lists/*_*
            echo "$source" >"$APT/sources.list"
        fi
    fi
    : >"$APT/status"
    cat >"$APT/apt.conf" <<END
APT::Architecture "riscv64";
APT::Architectures { "riscv64"; };
APT::Sandbox::User "$(id -un)";
APT::Get::AllowUnauthenticated "false";
Acquire::Languages "none";
Dir::State "$APT";
Dir::State::lists "$APT/lists";
Dir::State::status "$APT/status";
Dir::Cache "$APT/cache";
Dir::Etc::sourcelist "$APT/sources.list";
Dir::Etc::sourceparts "-";
END
}

apt_get()
{
    apt-get -q -c "$APT/apt.conf" "$@" >"$APT/log" 2>&1
}

apt_cache()
{
    apt-cache -c "$APT/apt.conf" "$@"
}

# The first complaint of apt's last run.
apt_error()
{
    grep -m1 -E '^(E|Err|W):' "$APT/log" || tail -n1 "$APT/log"
}

update()
{
    note "reading the package lists of Debian $RELEASE for riscv64"
    # apt-get update reports a failed download only as a warning.
    apt_get update && ! grep -q '^W: Failed to fetch\|^Err:' "$APT/log" ||
        die "cannot read Debian's package lists ($(apt_error)): check the network and the space in build"
}

need_lists()
{
    configure deb
    ls "$APT"/lists/*_Packages* >/dev/null 2>&1 || update
}

# The newest cached file of package $1, or nothing.
cached()
{
    ls -t "$CACHE/$1"_*.deb 2>/dev/null | head -n1
}

download()
{
    partial=$CACHE/partial.$$
    mkdir -p "$partial" || die "cannot write to $CACHE: no space or permission"
    (cd "$partial" && apt_get download "$@")
}

# Fetches all missing packages in one go; prints where each one is.
fetch()
{
    missing=
    for pkg; do
        [ -n "$(cached "$pkg")" ] || missing="$missing $pkg"
    done
    if [ -n "$missing" ]; then
        need_lists
        note "downloading$(echo "$missing" | cut -c1-80) from Debian $RELEASE"
        # A package that the mirror no longer has has a successor: read the lists again, once.
        if ! download $missing; then
            update
            if ! download $missing; then
                rm -rf "$partial"
                die "cannot download$missing ($(apt_error)): check the network and the space in build"
            fi
        fi
        mv "$partial"/*.deb "$CACHE"/
        rmdir "$partial"
    fi
    for pkg; do
        cached "$pkg"
    done
}

unpack()
{
    dir=$1
    shift
    debs=$(fetch "$@")
    mkdir -p "$dir"
    for deb in $debs; do
        dpkg-deb --fsys-tarfile "$deb" | (cd "$dir" && tar -xf - --no-same-owner) ||
            die "cannot unpack $deb into $dir: remove it if it is damaged; is the disk full?"
    done
}

# The name by which dpkg's files go: packages that several architectures share have it in theirs.
database_name()
{
    case $(dpkg-deb -f "$1" Multi-Arch) in
    same) echo "$(dpkg-deb -f "$1" Package):$(dpkg-deb -f "$1" Architecture)" ;;
    *) dpkg-deb -f "$1" Package ;;
    esac
}

# The stanza of a package in dpkg's status. A configuration file is there with the checksum that it came with.
status_stanza()
{
    dpkg-deb -f "$1" | sed '1a\
Status: install ok unpacked'
    if [ -s "$2/conffiles" ]; then
        echo "Conffiles:"
        grep -v '^remove-on-upgrade' "$2/conffiles" | sed 's/.*/ & newconffile/'
    fi
    echo
}

# Triggers that packages are interested in: files in one list, others each in a file of its name.
triggers_of()
{
    [ -f "$2.triggers" ] || return 0
    while read -r kind trigger rest; do
        await=
        case $kind in
        interest | interest-await) ;;
        interest-noawait) await=/noawait ;;
        *) continue ;;
        esac
        case $trigger in
        /*) echo "$trigger $1$await" >>"$dpkg/triggers/File" ;;
        *) echo "$1$await" >>"$dpkg/triggers/$trigger" ;;
        esac
    done <"$2.triggers"
}

database()
{
    dpkg=$1/var/lib/dpkg
    shift
    debs=$(fetch "$@")
    mkdir -p "$dpkg/info" "$dpkg/triggers" "$dpkg/updates" "$dpkg/parts" "$dpkg/alternatives"
    echo 1 >"$dpkg/info/format"
    echo riscv64 >"$dpkg/arch"
    : >"$dpkg/triggers/File"
    : >"$dpkg/triggers/Unincorp"
    : >"$dpkg/diversions"
    : >"$dpkg/statoverride"
    : >"$dpkg/available"
    for deb in $debs; do
        name=$(database_name "$deb")
        control=$dpkg/control
        rm -rf "$control"
        dpkg-deb -e "$deb" "$control" || die "cannot read $deb: remove it if it is damaged"
        status_stanza "$deb" "$control" >&3
        for file in "$control"/*; do
            part=${file##*/}
            [ "$part" = control ] || mv "$file" "$dpkg/info/$name.$part"
        done
        dpkg-deb --fsys-tarfile "$deb" | tar -tf - | sed -e 's|^\.||' -e 's|/$||' -e 's|^$|/.|' >"$dpkg/info/$name.list"
        triggers_of "${name%%:*}" "$dpkg/info/$name"
    done 3>"$dpkg/status"
    rm -rf "$control"
}

dependencies()
{
    apt_cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@"
}

# What apt would install on an empty system for these packages, in the order in which it would.
closure()
{
    need_lists
    for pkg; do
        # To apt, "name-" means to leave the package out.
        case $pkg in *-) die "Debian $RELEASE has no package '$pkg' for riscv64" ;; esac
    done
    if ! apt_get --simulate --no-install-recommends -o APT::Cmd::Pattern-Only=true install "$@"; then
        unknown=$(sed -n -e "s/^E: Unable to locate package //p" \
            -e "s/^E: Package '\(.*\)' has no installation candidate/\1/p" "$APT/log" | head -n1)
        [ -z "$unknown" ] || die "Debian $RELEASE has no package '$unknown' for riscv64"
        die "apt cannot install $* together ($(apt_error)): choose other packages"
    fi
    awk '$1 == "Inst" { print $2 }' "$APT/log"
}

depends()
{
    need_lists
    dependencies "$1" | awk '$1 == "Depends:" { print $2 }'
}

# Sources have lists of their own, which only who builds from them reads.
source_package()
{
    dir=$1
    pkg=$2
    APT=$BUILD/apt/source
    CACHE=$BUILD/pkg/source
    if ! ls "$CACHE/$pkg"_*.orig.tar.* >/dev/null 2>&1; then
        configure deb-src
        ls "$APT"/lists/*_Sources* >/dev/null 2>&1 || update
        note "downloading the source of $pkg from Debian $RELEASE"
        partial=$CACHE/partial.$$
        mkdir -p "$partial" || die "cannot write to $CACHE: no space or permission"
        fetch_source() { (cd "$partial" && apt_get source --download-only --only-source "$pkg"); }
        if ! fetch_source; then
            update
            if ! fetch_source; then
                rm -rf "$partial"
                die "cannot download the source of $pkg ($(apt_error)): check the network and the space in build"
            fi
        fi
        mv "$partial"/* "$CACHE"/
        rmdir "$partial"
    fi
    tarball=$(ls -t "$CACHE/$pkg"_*.orig.tar.* | grep -v '\.asc$' | head -n1)
    rm -rf "$dir"
    mkdir -p "$dir"
    tar -xf "$tarball" -C "$dir" --strip-components=1 --no-same-owner ||
        die "cannot unpack $tarball into $dir: remove it if it is damaged; is the disk full?"
}

[ $# -ge 2 ] || die "usage: packages.sh fetch|unpack|closure|database|depends|source ARG..."
command=$1
shift
case $command in
fetch | unpack | closure | database | depends) "$command" "$@" ;;
source) source_package "$@" ;;
*) die "packages.sh: no command '$command': fetch, unpack, closure, database, depends or source" ;;
esac
