/*
 * Damaged journals: whatever lies in the log, mounting does no worse than fail or replay up to the damage. The input is
 * a list of changes to an image whose journal needs recovery, 6 bytes each: where in the log (4), which byte (1), how
 * (1); then the file system is mounted, used a little, and mounted again.
 *
 * With clang it is a libFuzzer program; alone, it makes inputs itself: `journal_recover [SEED [COUNT]]`.
 */
#include "tests/unit/ext3host/host.c"

#include <stdint.h>

#define MAX_IMAGE (4 * MIB)
#define N_IMAGES 4
#define MAX_CHANGES 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64], image_path[96];
static struct {
    u8 *bytes;
    u64 size;
} images[N_IMAGES];

/* Images that debugfs left with transactions in their logs: of each kind of checksums and tags. */
static const char *const kinds[N_IMAGES] = {"", "-c", "-c -v 2", "-c -v 3"};

static void make_image(unsigned kind)
{
    char command[1500];
    int fd;

    snprintf(
        command, sizeof(command),
        "cd %s && rm -f image && mke2fs -q -F -t ext3 -b 1024 -N 64 -J size=1 image 4M >/dev/null 2>&1 && "
        "head -c 9000 /dev/zero | tr '\\0' 'x' >data && printf 'jo %s\\njw -b 2000,2001,2002 data\\njc\\n' >script && "
        "debugfs -w -f script image >/dev/null 2>&1; "
        "printf 'jo %s\\njw -r 2001,2003\\njw -b 2001,2010 data\\njc\\n' >script && debugfs -w -f script image "
        ">/dev/null 2>&1; test -s image",
        folder, kinds[kind], kinds[kind]);
    if (system(command) != 0)
        panic("mke2fs failed");
    images[kind].bytes = malloc(MAX_IMAGE);
    images[kind].size = MAX_IMAGE;
    fd = disk_open(image_path, NULL);
    if (fd < 0 || disk_read(fd, images[kind].bytes, MAX_IMAGE, 0) != 0)
        panic("the image cannot be read");
    disk_close(fd);
}

/* The log is what begins with the journal's super block. */
static u32 find_log(const u8 *bytes)
{
    for (u32 at = 0; at < MAX_IMAGE; at += 1024)
        if (memcmp(bytes + at, "\xC0\x3B\x39\x98\0\0\0\4", 8) == 0)
            return at;
    return 0;
}

static void set_up(void)
{
    host_init();
    setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
    snprintf(folder, sizeof(folder), "/tmp/quire-fuzz-XXXXXX");
    if (mkdtemp(folder) == NULL)
        panic("no folder for scratch files");
    snprintf(image_path, sizeof(image_path), "%s/image", folder);
    for (unsigned i = 0; i < N_IMAGES; i++)
        make_image(i);
}

static void write_image(unsigned kind, const uint8_t *data, size_t size)
{
    const u8 *good = images[kind].bytes;
    u32 log = find_log(good);
    int fd = disk_open(image_path, NULL);

    disk_write(fd, good, images[kind].size, 0);
    for (size_t at = 0; at + 6 <= size && at < 6 * MAX_CHANGES; at += 6) {
        u32 where;
        u8 byte;

        memcpy(&where, data + at, sizeof(where));
        where = log + (data[at + 5] & 1 ? where % 256 : data[at + 5] & 2 ? where % (16 * 1024) : where % (256 * 1024));
        if (data[at + 5] & 8) /* heads of blocks */
            where = log + (where - log) / 1024 * 1024 + where % 64;
        byte = data[at + 5] & 4 ? good[where] ^ (u8)(1 << data[at + 4] % 8) : data[at + 4];
        disk_write(fd, &byte, 1, where);
    }
    disk_close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct super *super;
    int error;

    if (images[0].bytes == NULL)
        set_up();
    if (size == 0)
        return 0;
    write_image(data[0] % N_IMAGES, data + 1, size - 1);
    for (unsigned round = 0; round < 2; round++) {
        struct inode *inode;

        host_forget_messages();
        super = host_mount(image_path, false, &error);
        if (super == NULL)
            break;
        inode = host_create(super->root, round ? "b" : "a", 0600);
        if (!IS_ERR(inode)) {
            host_write(inode, 0, folder, sizeof(folder));
            inode_put(inode);
        }
        host_sync(super);
        host_unmount(super);
    }
    if (host_io_errors() != 0)
        panic("a lock is still held");
    return 0;
}

#ifndef LIBFUZZER
int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)atoi(argv[1]) : 1, count = argc > 2 ? (unsigned)atoi(argv[2]) : 500;
    uint8_t data[1 + 6 * MAX_CHANGES];

    for (unsigned i = 0; i < count; i++) {
        size_t n;

        srand(seed + i);
        n = 1 + 6 * ((size_t)rand() % (i % 2 ? 6 : MAX_CHANGES));
        for (size_t at = 0; at < n; at++)
            data[at] = (uint8_t)(rand() >> 7);
        LLVMFuzzerTestOneInput(data, n);
    }
    snprintf(host_messages, sizeof(host_messages), "rm -rf %s", folder);
    return system(host_messages) != 0;
}
#endif
