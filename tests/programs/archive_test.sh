# tar and gzip of a tree and back: contents, modes, links and times survive.
. /programs/tap.sh

mkdir -p tree/deep/er/and/deeper tree/empty
i=0
while [ $i -lt 200 ]; do
    seq $i $((i + 300)) >"tree/deep/file$i"
    i=$((i + 1))
done
cp /usr/bin/busybox tree/busybox
ln -s busybox tree/symbolic
ln tree/busybox tree/hard
chmod 4750 tree/busybox
chmod 600 tree/deep/file7
touch -d '2001-02-03 04:05:06' tree/deep/file8
ok "tar c" tar -cf tree.tar tree
ok "gzip" gzip -k tree.tar
ok "gunzip -t" gunzip -t tree.tar.gz
mkdir back
ok "tar xz" tar -xzf tree.tar.gz -C back
ok "the same contents" diff -r tree back/tree
is "$(cd back/tree && find . | sort | xargs stat -c '%n %a %F %s')" "$(cd tree && find . | sort | xargs stat -c '%n %a %F %s')" "the same modes, kinds and sizes"
is "$(readlink back/tree/symbolic)" busybox "the symbolic link"
is "$(stat -c %h back/tree/hard)" 2 "the hard link"
is "$(stat -c %Y back/tree/deep/file8)" "$(stat -c %Y tree/deep/file8)" "the time"
is "$(tar -cf - tree | gzip -1 | gunzip | tar -tf - | wc -l)" "$(find tree | wc -l)" "all in one pipe"
ok "cp -a" cp -a tree copy
ok "cp -a gives the same" diff -r tree copy
ok "mv" mv copy moved
ok "bzip2 and back" sh -c 'bzip2 -k tree.tar && bunzip2 -c tree.tar.bz2 | cmp - tree.tar'
rm -rf tree back moved
is "$(ls | wc -l)" 3 "only the archives are left"
finish
