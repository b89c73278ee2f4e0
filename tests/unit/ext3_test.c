/*
 * ext3 over images that mke2fs makes, with e2fsck and debugfs as judges: random operations against a model in memory,
 * sparse files, large directories, a full disk, orphans, damaged and foreign images.
 */
#include "tests/unit/tap.h"

#include "tests/unit/ext3host/host.c"

#include "tests/unit/ext3host/model.c"

#include "vm/fault.h"

static void test_random(unsigned block_size, unsigned inode_size, const char *more, unsigned rounds, unsigned steps)
{
    make_image(block_size, inode_size, "12M", more);
    model_reset();
    for (unsigned round = 0; round < rounds; round++) {
        bool good = true, same;
        unsigned i;

        super = mount_it();
        for (i = 0; i < steps && good; i++)
            good = operations[random_below(ARRAY_SIZE(operations))]();
        CHECK(good, "block size %u, inode size %u, round %u: every operation succeeds (%u of %u done)", block_size,
              inode_size, round, i, steps);
        same = agrees();
        CHECK(same, "... reading gives what was written");
        if (round % 2) {
            host_sync(super);
            CHECK(is_clean_after_crash(), "... clean after sync");
        }
        host_unmount(super);
        CHECK(is_clean(), "... e2fsck calls it clean");
        super = mount_it();
        CHECK(agrees(), "... also after mounting again");
        host_unmount(super);
        CHECK(debugfs_agrees(), "... debugfs reads the same");
    }
}

/* ---- single subjects ---- */

static void test_sparse(unsigned block_size)
{
    static const u64 places[] = {0, 13, 300, 70000, 20000000}; /* blocks: direct, indirect, double, triple */
    char text[64], back[64];
    struct inode *inode;
    bool same = true, zero = true;
    u64 used;

    make_image(block_size, 256, "12M", "");
    super = mount_it();
    inode = host_create(super->root, "sparse", 0600);
    used = ext3_of(inode)->free_blocks;
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        u64 at = places[i] * block_size + 100;

        if (at > super->max_size)
            continue;
        snprintf(text, sizeof(text), "piece %u", i);
        CHECK(host_write(inode, at, text, sizeof(text)) == sizeof(text), "%u: a piece at block %lu", block_size,
              (unsigned long)places[i]);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        u64 at = places[i] * block_size + 100;

        if (at > super->max_size)
            continue;
        snprintf(text, sizeof(text), "piece %u", i);
        same = same && host_read(inode, at, back, sizeof(text)) == sizeof(text) && strcmp(text, back) == 0;
        if (host_read(inode, at - 90, back, 64) == 64)
            for (unsigned k = 0; k < 64; k++)
                zero = zero && back[k] == 0;
    }
    CHECK(same, "... read back");
    CHECK(zero, "... zeros before them");
    CHECK(host_seek(inode, 0, 4) == (s64)(block_size), "... the first hole is behind the first block");
    CHECK(host_seek(inode, block_size, 3) == (s64)(13 * block_size), "... the next data are in block 13");
    host_sync(super);
    CHECK(is_clean_after_crash(), "... clean");
    CHECK(host_punch(inode, 0, 1000ull * block_size) == 0, "... a hole over the first 1000 blocks");
    CHECK(host_seek(inode, 0, 3) == (s64)(70000ull * block_size), "... then data begin at block 70000");
    CHECK(host_truncate(inode, 14 * block_size) == 0, "... truncated");
    CHECK(inode->blocks == 0, "... has no blocks left");
    CHECK(ext3_of(inode)->free_blocks == used, "... and the disk has them back");
    inode_put(inode);
    host_unmount(super);
    CHECK(is_clean(), "... clean");
}

/* As a mapping stores. */
static void store(struct inode *inode, u64 at, char c, size_t n)
{
    struct page *page = object_get_page(&inode->object, at >> PAGE_SHIFT, NULL);

    if (!page_prepare_now(&inode->object, page))
        CHECK(page_prepare_stores(&inode->object, page, at >> PAGE_SHIFT) == 0, "... a store is prepared");
    memset((char *)page_address(page) + (at & PAGE_MASK), c, n);
    page_put(page);
}

/* A hole smaller than a page: what is written and stored there later has no place yet, whatever the page had before. */
static void test_hole_in_page(void)
{
    char page[4096], back[8192];
    struct inode *inode;

    make_image(1024, 256, "12M", "");
    super = mount_it();
    inode = host_create(super->root, "holes", 0600);
    memset(page, 'a', sizeof(page));
    for (unsigned i = 0; i < 4; i++)
        CHECK(host_write(inode, i % 2 * 4096, page, 4096) == 4096, "a page is written, twice");
    store(inode, 0, 'a', 4096);
    CHECK(host_punch(inode, 1024, 1024) == 0 && host_punch(inode, 4096 + 1024, 1024) == 0, "... holes in pages");
    CHECK(inode->blocks == 12, "... free blocks");
    store(inode, 1100, 'b', 100);
    CHECK(host_write(inode, 4096 + 1100, "cccccccccc", 10) == 10, "... a write into one");
    host_sync(super);
    object_drop_clean(&inode->object);
    CHECK(host_read(inode, 0, back, 8192) == 8192, "... read from the disk");
    CHECK(back[1023] == 'a' && back[1024] == 0 && back[1100] == 'b' && back[1199] == 'b' && back[1200] == 0,
          "... what was stored has reached it");
    CHECK(back[4096 + 1100] == 'c' && back[4096 + 1109] == 'c' && back[4096 + 1110] == 0 && back[4096 + 2048] == 'a',
          "... what was written too");
    inode_put(inode);
    host_unmount(super);
    CHECK(is_clean(), "... clean");
}

struct seen {
    u8 *flags;
    unsigned n, twice, strange;
};

static void see(const char *name, u64 ino, unsigned type, void *arg)
{
    struct seen *seen = arg;
    unsigned i;

    if (name[0] == '.')
        return;
    if (sscanf(name, "a-rather-long-name-number-%u", &i) != 1 || i >= seen->n || type != DT_REG) {
        seen->strange++;
        return;
    }
    seen->twice += seen->flags[i] != 0;
    seen->flags[i] = 1;
}

static unsigned count_seen(struct inode *dir, unsigned n, unsigned *twice)
{
    struct seen seen = {.flags = calloc(1, n), .n = n};
    unsigned found = 0;
    int error = host_read_dir(dir, 7, see, &seen);

    for (unsigned i = 0; i < n; i++)
        found += seen.flags[i];
    free(seen.flags);
    *twice = seen.twice + seen.strange + (error != 0);
    return found;
}

static void test_large_directory(unsigned block_size, unsigned n, const char *more)
{
    struct inode *dir, *inode;
    unsigned made = 0, found = 0, twice = 0;
    char name[64];

    make_image(block_size, 128, "24M", more);
    super = mount_it();
    dir = host_mkdir(super->root, "many");
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "a-rather-long-name-number-%u", i);
        inode = host_create(dir, name, 0644);
        if (IS_ERR(inode))
            break;
        made++;
        inode_put(inode);
    }
    CHECK(made == n, "%u%s: %u names in one directory (%u made)", block_size, more, n, made);
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "a-rather-long-name-number-%u", i);
        inode = host_lookup(dir, name);
        found += !IS_ERR(inode);
        if (!IS_ERR(inode))
            inode_put(inode);
    }
    CHECK(found == n, "... all found");
    CHECK(PTR_ERR(host_lookup(dir, "something-else")) == -ENOENT, "... another is not");
    CHECK(count_seen(dir, n, &twice) == n && twice == 0, "... each read once");
    inode_put(dir);
    host_unmount(super);
    CHECK(is_clean(), "... clean");
    super = mount_it();
    dir = host_path(super, "/many");
    for (unsigned i = 0; i < n; i += 2) {
        snprintf(name, sizeof(name), "a-rather-long-name-number-%u", i);
        made -= host_unlink(dir, name) == 0;
    }
    CHECK(made == n / 2, "... half of them removed");
    CHECK(count_seen(dir, n, &twice) == n / 2 && twice == 0, "... the others are read once each");
    inode_put(dir);
    host_unmount(super);
    CHECK(is_clean(), "... clean");
}

struct remover {
    struct inode *dir;
    char names[64][64];
    unsigned n;
};
static void remember(const char *name, u64 ino, unsigned type, void *arg)
{
    struct remover *r = arg;

    if (name[0] != '.' && r->n < 64)
        strcpy(r->names[r->n++], name);
}

/* rm -r: read some, remove them, read on from the same position; and insertions while reading. */
static void test_read_while_changing(unsigned block_size)
{
    unsigned n = 800, seen_stable = 0, twice = 0;
    struct inode *dir, *inode;
    static u8 flags[2000];
    struct reader r = {.ctx = {.emit = emit}};
    struct file file;
    char name[64];

    make_image(block_size, 128, "24M", "");
    super = mount_it();
    dir = host_mkdir(super->root, "many");
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "stable-%u", i);
        inode_put(host_create(dir, name, 0644));
    }
    memset(flags, 0, sizeof(flags));
    file = (struct file){.inode = dir};
    for (unsigned step = 0;; step++) {
        struct remover got = {.dir = dir};

        r.fn = remember;
        r.arg = &got;
        r.left = 20;
        if (dir->file_ops->read_dir(&file, &r.ctx) != 0 || r.left == 20)
            break;
        for (unsigned i = 0; i < got.n; i++) {
            unsigned k;

            if (sscanf(got.names[i], "stable-%u", &k) == 1) {
                twice += flags[k]++ != 0;
                seen_stable++;
            }
        }
        for (unsigned i = 0; i < 30; i++) {
            snprintf(name, sizeof(name), "new-%u-%u", step, i);
            inode = host_create(dir, name, 0644);
            if (!IS_ERR(inode))
                inode_put(inode);
        }
        if (step > 2000)
            break;
    }
    CHECK(seen_stable == n && twice == 0,
          "%u: reading a directory that grows gives every old name once (%u of %u, %u twice)", block_size, seen_stable,
          n, twice);
    inode_put(dir);
    host_unmount(super);
    CHECK(is_clean(), "... clean");
}

static void test_full_disk(unsigned block_size)
{
    struct inode *inode;
    u64 at = 0, before;
    ssize_t done;
    char name[64];
    unsigned i;

    make_image(block_size, 256, "3M", "-N 128 -J size=1 -m 0 -O ^has_journal");
    super = mount_it();
    before = ((struct ext3 *)super->private)->free_blocks;
    inode = host_create(super->root, "big", 0644);
    memset(buffer, 'b', sizeof(buffer));
    do {
        done = host_write(inode, at, buffer, sizeof(buffer));
        at += done > 0 ? (u64)done : 0;
    } while (done == sizeof(buffer));
    if (done > 0)
        done = host_write(inode, at, buffer, sizeof(buffer));
    CHECK(done == -ENOSPC, "%u: a file fills the disk (%ld)", block_size, (long)done);
    CHECK(inode_size(inode) == at, "... its size is what was written");
    CHECK(host_write(inode, 500000000, "x", 1) == -ENOSPC, "... nothing more, far out");
    for (i = 0; i < 20; i++) { /* the last blocks, which did not suffice for the file and its indirect blocks */
        struct inode *dir;

        snprintf(name, sizeof(name), "d%u", i);
        dir = host_mkdir(super->root, name);
        done = IS_ERR(dir) ? PTR_ERR(dir) : 0;
        if (done != 0)
            break;
        inode_put(dir);
    }
    CHECK(done == -ENOSPC && i < 4, "... no directories either, after %u", i);
    while (i-- > 0) {
        snprintf(name, sizeof(name), "d%u", i);
        host_rmdir(super->root, name);
    }
    inode_put(inode);
    host_sync(super);
    CHECK(is_clean_after_crash(), "... clean while full");
    host_unlink(super->root, "big");
    CHECK(((struct ext3 *)super->private)->free_blocks == before, "... removing it gives all blocks back");
    for (i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        inode = host_create(super->root, name, 0644);
        if (IS_ERR(inode))
            break;
        inode_put(inode);
    }
    CHECK(PTR_ERR(inode) == -ENOSPC && i > 50, "... inodes run out after %u files", i);
    host_unmount(super);
    CHECK(is_clean(), "... clean");
}

static void test_orphans(void)
{
    struct inode *file, *other;
    u64 free_before;

    make_image(1024, 256, "12M", "");
    super = mount_it();
    host_sync(super);
    free_before = ((struct ext3 *)super->private)->free_blocks;
    file = host_create(super->root, "gone", 0644);
    other = host_create(super->root, "also-gone", 0644);
    memset(buffer, 'o', sizeof(buffer));
    host_write(file, 0, buffer, sizeof(buffer));
    host_write(other, 0, buffer, sizeof(buffer));
    host_unlink(super->root, "gone");
    host_unlink(super->root, "also-gone");
    CHECK(host_read(file, 1000, buffer, 5) == 5 && buffer[0] == 'o', "an unlinked file is there while it is used");
    host_sync(super);
    host_crash(super);
    host_forget_messages();
    super = mount_it();
    CHECK(strstr(host_messages, "2 unlinked files deleted") != NULL, "after a power failure they are deleted");
    CHECK(((struct ext3 *)super->private)->free_blocks == free_before, "... and their blocks free");
    host_unmount(super);
    run("debugfs -w -R 'ssv state 1' %s >/dev/null 2>&1", image);
    CHECK(is_clean(), "... clean");
}

#define IN_LOCK(inode, expression) LOCKED(inode, expression)

static void test_xattrs(unsigned block_size, unsigned inode_size)
{
    char name[64], value[2000], back[2000], list[4000];
    struct inode *inode;
    bool same = true;
    unsigned made = 0;
    ssize_t n;

    make_image(block_size, inode_size, "12M", "");
    run("debugfs -w -R 'ea_set /lost+found user.from debugfs' %s >/dev/null 2>&1", image);
    super = mount_it();
    inode = host_path(super, "/lost+found");
    n = inode->ops->getxattr(inode, "user.from", back, sizeof(back));
    CHECK(n == 7 && memcmp(back, "debugfs", 7) == 0, "%u, %u: an attribute that debugfs made", block_size, inode_size);
    inode_put(inode);
    inode = host_create(super->root, "file", 0644);
    CHECK(inode->ops->getxattr(inode, "user.none", back, sizeof(back)) == -ENODATA, "... one that is not there");
    CHECK(IN_LOCK(inode, inode->ops->setxattr(inode, "user.none", "x", 1, 2)) == -ENODATA, "... cannot be replaced");
    for (unsigned i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "%s.name%u", i % 3 ? "user" : "trusted", i * 7 % 12);
        memset(value, 'a' + (int)i, 10 + i * 5);
        made += IN_LOCK(inode, inode->ops->setxattr(inode, name, value, 10 + i * 5, 1)) == 0;
    }
    CHECK(made == 12, "... twelve attributes (%u)", made);
    CHECK(IN_LOCK(inode, inode->ops->setxattr(inode, "user.name7", "x", 1, 1)) == -EEXIST,
          "... one of them cannot be made again");
    CHECK(IN_LOCK(inode, inode->ops->setxattr(inode, "user.name7", "new", 3, 0)) == 0, "... but set");
    CHECK(IN_LOCK(inode, inode->ops->removexattr(inode, "trusted.name9")) == 0, "... and another removed");
    CHECK(IN_LOCK(inode, inode->ops->setxattr(inode, "user.big", list, sizeof(list), 0)) == -ENOSPC,
          "... too large a one has no room");
    for (unsigned round = 0; round < 2; round++) {
        n = inode->ops->listxattr(inode, list, sizeof(list));
        for (ssize_t at = 0, k = 0; at < n || k != 11; at += (ssize_t)strlen(list + at) + 1, k++)
            if (at >= n) {
                same = false;
                break;
            }
        n = inode->ops->getxattr(inode, "user.name7", back, sizeof(back));
        same = same && n == 3 && memcmp(back, "new", 3) == 0;
        n = inode->ops->getxattr(inode, "user.name11", back, sizeof(back));
        same = same && n > 10 && back[0] == back[n - 1];
        inode_put(inode);
        host_unmount(super);
        CHECK(same, "... read back%s", round ? " after mounting again" : "");
        CHECK(is_clean(), "... clean");
        super = mount_it();
        inode = host_path(super, "/file");
    }
    CHECK(run("debugfs -R 'ea_get /file user.name7' %s 2>/dev/null | grep -q new", image) == 0,
          "... debugfs reads one");
    inode_put(inode);
    host_unlink(super->root, "file");
    host_unmount(super);
    CHECK(is_clean(), "... clean when the file is gone");
}

/* On a damaged disk two attributes have the same bytes for their values: together they are more than a block has. */
static void test_shared_values(void)
{
    struct ext3_xattr_entry *e;
    char value[700], back[700];
    struct inode *inode;
    u8 block[1024];
    u32 at;
    int fd, error;

    make_image(1024, 128, "8M", "");
    super = mount_it();
    inode = host_create(super->root, "file", 0644);
    memset(value, 'v', sizeof(value));
    error = IN_LOCK(inode, inode->ops->setxattr(inode, "user.a", value, sizeof(value), 1));
    for (const char *name = "bc"; *name != '\0' && error == 0; name++)
        error = IN_LOCK(inode, inode->ops->setxattr(inode, name[0] == 'b' ? "user.b" : "user.c", "small", 5, 1));
    CHECK(error == 0, "three attributes in a block");
    at = ext3_i(inode)->file_acl;
    inode_put(inode);
    host_unmount(super);

    fd = disk_open(image, NULL);
    disk_read(fd, block, sizeof(block), at * 1024);
    e = (struct ext3_xattr_entry *)(block + sizeof(struct ext3_xattr_header));
    for (unsigned i = 1; i < 3; i++) { /* entries with one letter have 20 bytes */
        struct ext3_xattr_entry *other = (struct ext3_xattr_entry *)((u8 *)e + i * 20);

        other->value_offset = e->value_offset;
        other->value_size = e->value_size;
    }
    disk_write(fd, block, sizeof(block), at * 1024);
    disk_close(fd);
    super = mount_it();
    inode = host_path(super, "/file");
    CHECK(inode->ops->getxattr(inode, "user.c", back, sizeof(back)) == 700 && back[699] == 'v',
          "... of which all have the first one's value");
    CHECK(IN_LOCK(inode, inode->ops->removexattr(inode, "user.b")) == -EUCLEAN, "... cannot be written anew");
    CHECK(IN_LOCK(inode, inode->ops->setxattr(inode, "user.b", "x", 1, 0)) == -ENOSPC, "... nor has one more room");
    inode_put(inode);
    host_unmount(super);
}

/* A remount that is refused leaves the options as they were. */
static void test_refused_remount(void)
{
    char shown[200];
    int error;

    make_image(1024, 128, "8M", "");
    host_options = "noload";
    super = host_mount(image, true, &error);
    host_options = "";
    CHECK(super->ops->remount(super, false, "commit=9") == -EROFS, "without its journal it is not mounted for writing");
    super->ops->show_options(super, shown, sizeof(shown));
    CHECK(strstr(shown, "commit") == NULL, "... and the options stay (%s)", shown);
    host_unmount(super);
}

static void test_foreign(void)
{
    static const struct {
        const char *type, *options, *name;
    } cases[] = {{"ext4", "", "extent"},
                 {"ext4", "-O ^extents,^64bit,flex_bg,^metadata_csum", "flex_bg"},
                 {"ext3", "-O meta_bg,^resize_inode", "meta_bg"},
                 {"ext3", "-O journal_dev", "journal_dev"}};
    static const struct {
        const char *commands, *message;
    } places[] = {{"ssv journal_inum 0\\nssv journal_dev 65040", "its journal is on another disk"},
                  {"ssv journal_inum 0", "its journal cannot be inode 0"},
                  {"ssv journal_inum 12", "its journal cannot be inode 12"}};
    int error;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        run("rm -f %s; mke2fs -q -F -t %s %s %s 12M >/dev/null 2>&1", image, cases[i].type, cases[i].options, image);
        host_forget_messages();
        super = host_mount(image, false, &error);
        CHECK(super == NULL && error == -EINVAL && strstr(host_messages, cases[i].name) != NULL,
              "%s is refused by name", cases[i].name);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        make_image(1024, 128, "12M", "");
        run("echo '%s' | debugfs -w -f - %s >/dev/null 2>&1", places[i].commands, image);
        host_forget_messages();
        super = host_mount(image, false, &error);
        CHECK(super == NULL && error == -EINVAL && strstr(host_messages, places[i].message) != NULL,
              "refused with a line: %s", places[i].message);
    }
    make_image(1024, 128, "12M", "");
    run("debugfs -w -R 'feature +needs_recovery' %s >/dev/null 2>&1", image);
    host_forget_messages();
    super = host_mount(image, false, &error);
    CHECK(super != NULL && !super->read_only, "needs_recovery with nothing in the journal is no trouble");
    host_unmount(super);
    CHECK(is_clean(), "... and gone afterwards");
    make_image(1024, 256, "12M", "");
    run("debugfs -w -R 'feature +metadata_csum' %s >/dev/null 2>&1", image);
    super = host_mount(image, false, &error);
    CHECK(super != NULL && super->read_only, "unknown features that allow reading: mounted read-only");
    if (super != NULL) {
        CHECK(PTR_ERR(host_create(super->root, "x", 0644)) == -EROFS, "... no file can be made");
        host_unmount(super);
    }
    run("head -c 1000000 /dev/zero >%s", image);
    super = host_mount(image, false, &error);
    CHECK(super == NULL && error == -EINVAL, "zeros are no file system");
}

/* A tree that mke2fs -d made, with a directory large enough to be indexed after e2fsck -D. */
static void test_read_populated(unsigned block_size, const char *hash)
{
    unsigned found = 0, twice;
    struct inode *dir, *inode;
    char name[64];

    run("rm -rf %s/tree; mkdir -p %s/tree/many %s/tree/d/e && cd %s/tree/many && i=0; while [ $i -lt 700 ]; do echo $i "
        ">a-rather-long-name-number-$i; i=$((i + 1)); done",
        folder, folder, folder, folder);
    run("cd %s/tree && seq 1 60000 >d/numbers && ln -s numbers d/link && ln d/numbers d/e/hard && ln -s %0500d d/slow",
        folder, 7);
    make_image(block_size, 256, "24M", "");
    run("rm -f %s; mke2fs -q -F -t ext3 -b %u -d %s/tree %s 24M >/dev/null 2>&1; tune2fs -E hash_alg=%s %s >/dev/null "
        "2>&1; e2fsck -fyD %s >/dev/null 2>&1",
        image, block_size, folder, image, hash, image, image);
    super = mount_it();
    dir = host_path(super, "/many");
    CHECK(!IS_ERR(dir) && ext3_is_indexed(dir), "%u, %s: e2fsck's directory is indexed", block_size, hash);
    for (unsigned i = 0; i < 700; i++) {
        struct ext3_disk_dirent *de;
        struct buffer *b;

        snprintf(name, sizeof(name), "a-rather-long-name-number-%u", i);
        b = ext3_htree_find(dir, host_name(name), &de);
        found += b != NULL && !IS_ERR(b);
        if (b != NULL && !IS_ERR(b))
            buffer_put(b);
    }
    CHECK(found == 700, "... all names are found through the index (%u)", found);
    CHECK(count_seen(dir, 700, &twice) == 700 && twice == 0, "... each is read once");
    for (unsigned i = 0; i < 700; i++) {
        snprintf(name, sizeof(name), "another-name-%u", i);
        inode = host_create(dir, name, 0600);
        if (!IS_ERR(inode))
            inode_put(inode);
    }
    inode_put(dir);
    inode = host_path(super, "/d/e/hard");
    CHECK(!IS_ERR(inode) && inode->nlink == 2 && inode_size(inode) == 348894, "... a file with two names");
    memset(buffer, 0, 32);
    CHECK(host_read(inode, inode_size(inode) - 6, buffer, 32) == 6 && memcmp(buffer, "60000\n", 6) == 0,
          "... its last line");
    inode_put(inode);
    inode = host_path(super, "/d/slow");
    CHECK(inode->ops->read_link(inode, (char *)buffer, PATH_MAX) == 500, "... a long symbolic link");
    inode_put(inode);
    host_unmount(super);
    CHECK(is_clean(), "... clean after 700 insertions");
}

static void test_hashes(void)
{
    static const char *const names[] = {
        "a",  "hello", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", "0123456789abcdef", "\303\244\303\266",
        "x.c"};
    static const char *const versions[] = {"legacy", "half_md4", "tea"};
    u32 seed[4] = {0}, hash, expected = 0;
    bool same = true;

    for (unsigned v = 0; v < 3; v++)
        for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
            char line[512];
            FILE *f;

            snprintf(line, sizeof(line),
                     "debugfs -R 'dx_hash -h %s %s' 2>/dev/null | sed -n 's/.* is 0x\\([0-9a-f]*\\).*/\\1/p'",
                     versions[v], names[i]);
            f = popen(line, "r");
            if (f == NULL || fscanf(f, "%x", &expected) != 1)
                same = false;
            if (f != NULL)
                pclose(f);
            ext3_hash(v, seed, names[i], (unsigned)strlen(names[i]), &hash);
            if (hash != expected) {
                printf("# %s of %s: %x, not %x\n", versions[v], names[i], hash, expected);
                same = false;
            }
        }
    CHECK(same, "hashes of names are debugfs's");
}

/* Random bytes of the metadata are wrong: nothing may be worse than an error. */
static void test_damage(unsigned images)
{
    unsigned mounted = 0;

    for (unsigned n = 0; n < images; n++) {
        struct inode *inode;
        int error, fd;

        random_state = n + 1000;
        if (n % 10 == 0) {
            make_image(n % 20 ? 1024 : 4096, 256, "4M", "-N 64 -O ^has_journal");
            super = mount_it();
            model_reset();
            for (unsigned i = 0; i < 150; i++)
                operations[random_below(ARRAY_SIZE(operations))]();
            host_unmount(super);
            run("cp %s %s/good", image, folder);
        } else {
            run("cp %s/good %s", folder, image);
        }
        fd = disk_open(image, NULL);
        for (unsigned i = 0, hits = 1 + random_below(40); i < hits; i++) {
            u8 byte = (u8)(random_below(3) == 0 ? 0xff : random_below(256));

            disk_write(fd, &byte, 1, random_below(2) ? 1024 + random_below(3000) : random_below(200 * 1024));
        }
        disk_close(fd);
        host_forget_messages();
        super = host_mount(image, false, &error);
        if (super == NULL)
            continue;
        mounted++;
        for (unsigned i = 0; i < 60; i++) {
            unsigned found = 0;

            operations[random_below(ARRAY_SIZE(operations))]();
            inode = inode_of_dir(random_dir());
            if (!IS_ERR(inode)) {
                if (S_ISDIR(inode->mode))
                    host_read_dir(inode, 5, count_name, &found);
                else if (S_ISREG(inode->mode))
                    host_read(inode, 0, buffer, sizeof(buffer));
                inode_put(inode);
            }
        }
        host_unmount(super);
    }
    CHECK(true, "%u damaged images, %u of them mounted: errors, no more", images, mounted);
}

/* The disk stops working in the middle: errors, and nothing that stays locked. */
static void test_broken_disk(unsigned rounds, bool always_journal)
{
    for (unsigned round = 0; round < rounds; round++) {
        int error;

        random_state = round + 77;
        make_image(round % 2 ? 1024 : 4096, 256, round % 4 < 2 && !always_journal ? "4M" : "12M",
                   round % 4 < 2 && !always_journal ? "-N 64 -O ^has_journal" : "-N 64");
        model_reset();
        super = mount_it();
        host_fail_after = random_below(400);
        for (unsigned i = 0; i < 120; i++) {
            operations[random_below(ARRAY_SIZE(operations))]();
            if (i % 10 == 9)
                super_sync(super, true);
        }
        host_unmount(super);
        host_fail_after = UINT64_MAX;
        super = host_mount(image, true, &error);
        if (super != NULL)
            host_unmount(super);
        if (host_io_errors() != 0)
            break;
    }
    CHECK(host_io_errors() == 0, "a disk that fails in the middle, %u times: errors, no more", rounds);
}

static unsigned block_of(const char *file)
{
    char line[200];
    unsigned block = 0;
    FILE *f;

    snprintf(line, sizeof(line), "debugfs -R 'bmap %s 0' %s 2>/dev/null", file, image);
    f = popen(line, "r");
    if (f == NULL || fscanf(f, "%u", &block) != 1)
        panic("debugfs");
    pclose(f);
    return block;
}

/* A log in which no change would have room. */
static void test_short_journal(void)
{
    be32 short_length = to_be32(1000);
    int error, fd;

    make_image(1024, 256, "12M", "-J size=1");
    fd = disk_open(image, NULL);
    disk_write(fd, &short_length, sizeof(short_length), block_of("<8>") * 1024ul + 16);
    disk_close(fd);
    host_forget_messages();
    CHECK(host_mount(image, false, &error) == NULL && error == -EINVAL && strstr(host_messages, "too short") != NULL,
          "a journal of less than 1024 blocks: EINVAL");
}

/* A file whose first block is, says the disk, also a directory's, or the journal's. */
static void test_shared_block(const char *options, const char *owner)
{
    bool is_log = owner[0] == '<';
    struct inode *dir, *inode;
    struct file file = {0};
    struct super *super;
    unsigned block;
    int error;
    ssize_t n;

    make_image(1024, 256, "8M", "-N 64");
    super = host_mount(image, false, &error);
    dir = host_mkdir(super->root, "dir");
    inode_put(host_create(dir, "name", 0644));
    inode = host_create(super->root, "file", 0644);
    host_write(inode, 0, "text", 4);
    inode_put(inode);
    inode_put(dir);
    host_unmount(super);
    block = block_of(owner);
    run("debugfs -w -R 'sif /file block[0] %u' %s >/dev/null 2>&1", block, image);
    host_options = options;
    super = host_mount(image, false, &error);
    host_options = "";
    host_forget_messages();
    inode_put(host_lookup(super->root, "dir"));
    inode = host_lookup(super->root, "file");
    dir = host_lookup(super->root, "dir");
    inode_put(host_lookup(dir, "name"));
    n = host_write(inode, 0, "TEXT", 4);
    file.inode = inode;
    error = ext3_fsync(&file, 0, OBJECT_END, false);
    CHECK(n < 0 || error != 0, "%s: a file with a block of %s: error %ld, %d", options, owner, (long)n, error);
    CHECK(strstr(host_messages, is_log ? "bad block" : "file system's") != NULL, "... a line says which block");
    inode_put(inode);
    inode = host_lookup(dir, "name");
    CHECK(!IS_ERR(inode), "... and the directory is as it was");
    if (!IS_ERR(inode))
        inode_put(inode);
    inode_put(dir);
    host_unmount(super);
}

/* Options that need a journal; then what files do, when their data go through it. */
static void test_data_modes(unsigned effort)
{
    static const char *const options[] = {"data=journal", "data=writeback", "commit=7"};

    make_image(1024, 256, "4M", "-N 64 -O ^has_journal");
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        int error;

        host_options = options[i];
        CHECK(host_mount(image, false, &error) == NULL && error == -EINVAL, "%s without a journal: EINVAL", options[i]);
    }
    host_options = "data=journal";
    test_random(1024, 128, "-J size=1", 2 * effort, 600);
    test_random(2048, 256, "", effort, 600);
    test_random(4096, 256, "", 2 * effort, 600);
    test_sparse(1024);
    test_sparse(4096);
    test_full_disk(1024);
    test_hole_in_page();
    test_orphans();
    test_broken_disk(10 * effort, true);
    host_options = "";
}

int main(int argc, char **argv)
{
    unsigned effort = getenv("EFFORT") != NULL ? (unsigned)atoi(getenv("EFFORT")) : 1;

    snprintf(folder, sizeof(folder), "%s/quire-ext3-XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    if (mkdtemp(folder) == NULL)
        panic("no folder for scratch files");
    setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
    setenv("DEBUGFS_PAGER", "cat", 1);
    snprintf(image, sizeof(image), "%s/image", folder);
    host_init();
    host_quiet = argc < 2;
    test_hashes();
    test_random(1024, 128, "", 2 * effort, 600);
    test_random(2048, 256, "", 2 * effort, 600);
    test_random(4096, 256, "", 2 * effort, 600);
    test_random(1024, 256, "-O ^dir_index,^filetype", 1, 600);
    for (unsigned block_size = 1024; block_size <= 4096; block_size *= 2) {
        test_sparse(block_size);
        test_full_disk(block_size);
    }
    test_large_directory(1024, 3000, "");
    test_large_directory(1024, 3000, " -O ^dir_index");
    test_large_directory(4096, 3000, "");
    test_read_while_changing(1024);
    test_read_while_changing(4096);
    test_hole_in_page();
    test_orphans();
    test_xattrs(1024, 128);
    test_xattrs(4096, 256);
    test_xattrs(1024, 512);
    test_shared_values();
    test_refused_remount();
    test_foreign();
    test_read_populated(1024, "half_md4");
    test_read_populated(4096, "tea");
    test_read_populated(2048, "legacy");
    test_damage(60 * effort);
    test_broken_disk(20 * effort, false);
    test_data_modes(effort);
    test_short_journal();
    test_shared_block("data=journal", "/dir");
    test_shared_block("data=journal", "<8>");
    test_shared_block("data=ordered", "<8>");
    model_reset();
    CHECK(host_io_errors() == 0, "no lock is held at the end");
    run("rm -rf %s", folder);
    return tap_done();
}
