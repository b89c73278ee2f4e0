#!/bin/sh
# linux.sh FOLDER LINUX-INIT: Debian's Linux for riscv64, made ready to be the referee of our tests.
#
# FOLDER gets vmlinux, which QEMU boots as it is, and initramfs: LINUX-INIT and the modules that reach an ext3 disk.

set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/tools/common.sh"

folder=$1 init=$2
# In the order in which they must be loaded.
MODULES="virtio_mmio virtio_blk crc32c_generic crc16 libcrc32c mbcache jbd2 ext4"

cached=$(ls "$BUILD"/pkg/linux-image-[0-9]*.deb 2>/dev/null | head -n1) || true
if [ -n "$cached" ]; then
    package=$(basename "$cached" | sed 's/_.*//')
else
    package=$("$ROOT/tools/packages.sh" depends linux-image-riscv64)
fi

rm -rf "$folder"
mkdir -p "$folder/initramfs.d/modules"
"$ROOT/tools/packages.sh" unpack "$folder/package" "$package"
cp "$folder"/package/boot/vmlinux-* "$folder/vmlinux.new"
for module in $MODULES; do
    file=$(find "$folder/package" -name "$module.ko.xz")
    [ -n "$file" ] || die "$package has no module $module: the referee cannot be made from it"
    xz -dc "$file" >"$folder/initramfs.d/modules/$module.ko"
    echo "$module.ko" >>"$folder/initramfs.d/modules/order"
done
cp "$init" "$folder/initramfs.d/init"
(cd "$folder/initramfs.d" && find . | cpio -o -H newc -R 0:0 --quiet) >"$folder/initramfs"
rm -rf "$folder/package" "$folder/initramfs.d"
mv "$folder/vmlinux.new" "$folder/vmlinux"
