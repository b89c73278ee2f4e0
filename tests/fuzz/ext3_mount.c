/*
 * Damaged ext3 images: nothing on a disk may make the kernel do worse than fail. The input is one byte for the image
 * (with a journal or without, the mode of its data), and a list of changes to it, 6 bytes each: where (4), which byte
 * (1), how (1); then everything is read and some of it changed and removed. One sort of change has a block of one file
 * in another's map of blocks, too, or one of the journal's.
 *
 * With clang it is a libFuzzer program; alone, it makes inputs itself: `ext3_mount [SEED [COUNT]]`.
 */
#include "tests/unit/ext3host/host.c"

#include <stdint.h>

#define IMAGE_SIZE (4 * MIB)
#define MAX_CHANGES 200
#define INODE_SIZE 256
#define N_INODES 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char good_path[64], image_path[96];
static u8 *good, *goods[2]; /* without a journal, with one */
static u32 inode_table;     /* of GOOD: where it begins */
static unsigned budget;     /* of one input: directories read and files */

/* A small image with something of everything. */
static u8 *make_good_image(const char *options)
{
    u8 *image;
    char command[1024];
    int fd;

    snprintf(command, sizeof(command),
             "cd %s && rm -rf t image && mkdir t t/many t/d && (cd t/many; i=0; while [ $i -lt 120 ]; do echo $i "
             ">name-of-file-number-$i; i=$((i + 1)); done) && "
             "seq 1 90000 >t/d/numbers && ln -s numbers t/d/fast && ln -s %0200d t/d/slow && ln t/d/numbers t/hard && "
             "mke2fs -q -F -t ext3 -b 1024 -N 256 %s -d t image 4M >/dev/null 2>&1; e2fsck -fyD image >/dev/null 2>&1; "
             "test -s image",
             good_path, 5, options);
    if (system(command) != 0)
        panic("mke2fs failed");
    snprintf(image_path, sizeof(image_path), "%s/image", good_path);
    image = malloc(IMAGE_SIZE);
    fd = disk_open(image_path, NULL);
    if (disk_read(fd, image, IMAGE_SIZE, 0) != 0)
        panic("the image cannot be read");
    disk_close(fd);
    return image;
}

static void make_good_images(void)
{
    setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
    snprintf(good_path, sizeof(good_path), "/tmp/quire-fuzz-XXXXXX");
    if (mkdtemp(good_path) == NULL)
        panic("no folder for scratch files");
    goods[0] = make_good_image("-O ^has_journal");
    goods[1] = make_good_image("-J size=1");
}

struct names {
    char name[40][64];
    unsigned n;
};

static void note_name(const char *name, u64 ino, unsigned type, void *arg)
{
    struct names *names = arg;

    if (names->n < ARRAY_SIZE(names->name) && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
        strlen(name) < sizeof(names->name[0]))
        strcpy(names->name[names->n++], name);
}

static void visit(struct inode *inode, unsigned depth)
{
    static char text[PATH_MAX], bytes[20000];
    struct names names = {.n = 0};
    struct file file = {0};

    if (budget == 0)
        return;
    budget--;
    inode->ops->listxattr(inode, text, sizeof(text));
    if (S_ISLNK(inode->mode)) {
        inode->ops->read_link(inode, text, sizeof(text));
    } else if (S_ISREG(inode->mode)) {
        host_read(inode, 0, bytes, sizeof(bytes));
        host_read(inode, inode_size(inode) / 2, bytes, 5000);
        host_seek(inode, 0, 3);
        host_write(inode, inode_size(inode) / 3, bytes, 3000);
        host_truncate(inode, inode_size(inode) / 2);
        file.inode = inode;
        file.can_write = true;
        ext3_fsync(&file, 0, OBJECT_END, false);
    } else if (S_ISDIR(inode->mode)) {
        host_read_dir(inode, 9, note_name, &names);
        for (unsigned i = 0; i < names.n; i++) {
            struct inode *child = host_lookup(inode, names.name[i]);

            if (IS_ERR(child))
                continue;
            if (depth < 4)
                visit(child, depth + 1);
            inode_put(child);
            if (i % 3 == 0)
                host_unlink(inode, names.name[i]);
            if (i % 3 == 1)
                host_rename(inode, names.name[i], inode, "moved", 0);
        }
        for (unsigned i = 0; i < 3; i++) {
            snprintf(text, sizeof(text), "new-name-%u", i);
            struct inode *child = i == 1 ? host_mkdir(inode, text) : host_create(inode, text, 0600);

            if (!IS_ERR(child))
                inode_put(child);
        }
    }
}

/* What the super block wants to happen after an error: to panic is no bug then. */
#define ERRORS_AT (1024 + 60)
#define ERRORS_CONTINUE 1
#define ERRORS_PANIC 3

/* A slot of inode A's map of blocks (not the root's: too much depends on it) gets what is in one of B's. */
static void alias(int fd, u32 random)
{
    u32 a = 10 + random % 140, b = random & 0x10000 ? 7 : 1 + (random >> 8) % 150;
    u32 to = inode_table + a * INODE_SIZE + 40 + 4 * (random >> 24 & 3);
    const u8 *from = good + inode_table + b * INODE_SIZE + 40 + 4 * (random >> 26 & 15) % 60;

    disk_write(fd, from, 4, to);
}

static void write_image(const uint8_t *data, size_t size)
{
    u8 errors[2];
    int fd = disk_open(image_path, NULL);

    disk_write(fd, good, IMAGE_SIZE, 0);
    for (size_t at = 0; at + 6 <= size && at < 6 * MAX_CHANGES; at += 6) {
        u32 where;
        u8 byte;

        memcpy(&where, data + at, sizeof(where));
        if (data[at + 5] & 8) {
            alias(fd, where);
            continue;
        }
        where %= data[at + 5] & 1 ? 200 * 1024 : IMAGE_SIZE; /* mostly metadata */
        if (data[at + 5] & 2)
            where = 1024 + where % 3072; /* super block and descriptors */
        byte = data[at + 5] & 4 ? good[where] ^ (u8)(1 << data[at + 4] % 8) : data[at + 4];
        disk_write(fd, &byte, 1, where);
    }
    if (disk_read(fd, errors, sizeof(errors), ERRORS_AT) == 0 && errors[0] == ERRORS_PANIC && errors[1] == 0) {
        errors[0] = ERRORS_CONTINUE;
        disk_write(fd, errors, sizeof(errors), ERRORS_AT);
    }
    disk_close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct super *super;
    int error;

    static const char *const modes[] = {"", "data=journal", "data=ordered", "data=journal"};

    if (goods[0] == NULL) {
        host_init();
        make_good_images();
    }
    if (size == 0)
        return 0;
    good = goods[data[0] % 4 != 0];
    host_options = modes[data[0] % 4];
    memcpy(&inode_table, good + 2048 + 8, sizeof(inode_table)); /* in the descriptor of the first group */
    inode_table *= 1024;
    write_image(data + 1, size - 1);
    host_forget_messages();
    super = host_mount(image_path, false, &error);
    if (super == NULL)
        return 0;
    budget = 200;
    visit(super->root, 0);
    host_sync(super);
    host_unmount(super);
    if (getenv("MESSAGES") != NULL)
        printf("%s", host_messages);
    if (host_io_errors() != 0)
        panic("a lock is still held");
    return 0;
}

#ifndef LIBFUZZER
int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)atoi(argv[1]) : 1, count = argc > 2 ? (unsigned)atoi(argv[2]) : 200;
    uint8_t data[1 + 6 * MAX_CHANGES];

    for (unsigned i = 0; i < count; i++) {
        size_t n;

        srand(seed + i);
        n = 1 + 6 * (1 + (size_t)rand() % (i % 2 ? 8 : MAX_CHANGES));
        for (size_t at = 0; at < n; at++)
            data[at] = (uint8_t)(rand() >> 7);
        for (size_t at = 6; at < n && i % 3 == 0; at += 6) /* nothing but blocks that two have */
            data[at] |= 8;
        LLVMFuzzerTestOneInput(data, n);
    }
    snprintf(host_messages, sizeof(host_messages), "rm -rf %s", good_path);
    return system(host_messages) != 0;
}
#endif
