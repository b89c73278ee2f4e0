/* /proc/fs/jbd/DISK and /proc/fs/ext3/DISK: what journals, and the file systems on them, have done. */
#include "fs/journal/journal.h"
#include "fs/procfs/internal.h"
#include "lib/string.h"

#define TEXT_SIZE 2048

static struct journal *find(int number)
{
    struct journal *j = NULL;

    while ((j = journal_next(j)) != NULL && journal_number(j) != number)
        ;
    return j;
}

static int show(struct seq *s, const struct proc_target *t, size_t (*describe)(struct journal *, char *, size_t))
{
    struct journal *j;
    char text[TEXT_SIZE];

    journal_list_lock();
    j = find(t->fd);
    if (j != NULL)
        describe(j, text, sizeof(text));
    journal_list_unlock();
    if (j == NULL)
        return -ENOENT;
    seq_puts(s, text);
    return 0;
}

static int show_journal(struct seq *s, const struct proc_target *t) { return show(s, t, journal_describe); }
static int show_owner(struct seq *s, const struct proc_target *t) { return show(s, t, journal_describe_owner); }

static const struct proc_entry journal_entry = PROC_FILE("", 0444, show_journal),
                               owner_entry = PROC_FILE("", 0444, show_owner);

static struct inode *lookup(struct inode *dir, struct name name, const struct proc_entry *entry)
{
    struct inode *inode = ERR_PTR(-ENOENT);
    struct journal *j = NULL;

    journal_list_lock();
    while ((j = journal_next(j)) != NULL)
        if (strlen(journal_name(j)) == name.length && memcmp(journal_name(j), name.s, name.length) == 0)
            break;
    if (j != NULL)
        inode = proc_inode_create(dir, entry, NULL);
    if (!IS_ERR(inode))
        proc_inode_set_number(inode, journal_number(j));
    journal_list_unlock();
    return inode;
}

static bool emit(struct inode *dir, struct dir_context *ctx, u64 first, const struct proc_entry *entry)
{
    struct journal *j = NULL;
    u64 cookie = first;
    bool room = true;

    journal_list_lock();
    while (room && (j = journal_next(j)) != NULL) {
        cookie++;
        if (cookie > ctx->pos)
            room = proc_emit(ctx, journal_name(j), proc_ino(dir, entry, journal_number(j)), DT_REG, cookie);
    }
    journal_list_unlock();
    return room;
}

static struct inode *lookup_journal(struct inode *dir, struct name name) { return lookup(dir, name, &journal_entry); }
static struct inode *lookup_owner(struct inode *dir, struct name name) { return lookup(dir, name, &owner_entry); }
static bool emit_journals(struct inode *dir, struct dir_context *ctx, u64 first)
{
    return emit(dir, ctx, first, &journal_entry);
}
static bool emit_owners(struct inode *dir, struct dir_context *ctx, u64 first)
{
    return emit(dir, ctx, first, &owner_entry);
}

static const struct proc_dir_ops journal_dir_ops = {.lookup = lookup_journal, .emit = emit_journals},
                                 owner_dir_ops = {.lookup = lookup_owner, .emit = emit_owners};

const struct proc_entry journal_entries[] = {
    {.name = "ext3", .mode = S_IFDIR | 0555, .dir = &owner_dir_ops},
    {.name = "jbd", .mode = S_IFDIR | 0555, .dir = &journal_dir_ops},
    {0},
};
