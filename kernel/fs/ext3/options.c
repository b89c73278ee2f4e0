/* Mount options (ext4(5) and mount(8) name them; what the VFS deals with arrives as flags). /proc/mounts shows what was
 * asked for, and is not what the disk's super block says anyway. */
#include "fs/ext3/ext3.h"

static bool is_number(const char *text, size_t length, unsigned *value)
{
    *value = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || *value > 100000)
            return false;
        *value = *value * 10 + (unsigned)(text[i] - '0');
    }
    return length > 0;
}

static bool equals(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

static bool is_neutral(const char *text, size_t length)
{
    static const char *const words[] = {
        "", "defaults", "rw", "ro", "relatime", "noatime", "nodiratime", "async", "user_xattr", "acl",
        /* what ext3 does anyway, or did once: Linux takes these, too */
        "bsddf", "nogrpid", "sysvgroups", "nodiscard", "noquota", "data_err=ignore", "auto_da_alloc", "block_validity",
        "check=none", "nocheck", "bh", "nobh", "orlov", "oldalloc", "reservation", "noreservation"};

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        if (equals(text, length, words[i]))
            return true;
    return false;
}

/* NAME=NUMBER? */
static bool is_numbered(const char *text, size_t length, const char *name, unsigned *value)
{
    size_t n = strlen(name);

    return length > n && memcmp(text, name, n) == 0 && is_number(text + n, length - n, value);
}

static bool parse_data(const char *text, size_t length, struct ext3_options *o)
{
    if (equals(text, length, "data=ordered"))
        o->data = EXT3_DATA_ORDERED;
    else if (equals(text, length, "data=writeback"))
        o->data = EXT3_DATA_WRITEBACK;
    else if (equals(text, length, "data=journal"))
        o->data = EXT3_DATA_JOURNAL;
    else
        return false;
    o->data_is_given = true;
    return true;
}

static bool parse_one(const char *text, size_t length, struct ext3_options *o)
{
    unsigned value;

    if (is_neutral(text, length) || parse_data(text, length, o))
        return true;
    if (equals(text, length, "errors=continue"))
        o->on_error = EXT3_ON_ERROR_CONTINUE;
    else if (equals(text, length, "errors=remount-ro"))
        o->on_error = EXT3_ON_ERROR_READ_ONLY;
    else if (equals(text, length, "errors=panic"))
        o->on_error = EXT3_ON_ERROR_PANIC;
    else if (equals(text, length, "barrier"))
        o->barrier = true;
    else if (equals(text, length, "nobarrier"))
        o->barrier = false;
    else if (is_numbered(text, length, "barrier=", &value))
        o->barrier = value != 0;
    else if (equals(text, length, "noload") || equals(text, length, "norecovery"))
        o->no_load = true;
    else if (is_numbered(text, length, "commit=", &value))
        o->commit_seconds = value != 0 ? value : EXT3_COMMIT_SECONDS;
    else
        return false;
    return true;
}

int ext3_parse_options(const char *text, struct ext3_options *options)
{
    while (*text != '\0') {
        const char *end = strchr(text, ',');
        size_t length = end != NULL ? (size_t)(end - text) : strlen(text);

        if (!parse_one(text, length, options))
            return -EINVAL;
        text += length + (end != NULL);
    }
    return 0;
}

static unsigned errors_of_disk(const struct ext3 *fs)
{
    u32 on_error = from_le16(fs->disk->errors);

    return on_error >= EXT3_ON_ERROR_CONTINUE && on_error <= EXT3_ON_ERROR_PANIC ? on_error : EXT3_ON_ERROR_CONTINUE;
}

int ext3_complete_options(struct ext3 *fs)
{
    struct ext3_options *o = &fs->options;

    if (o->on_error == 0)
        o->on_error = errors_of_disk(fs);
    if (fs->journal == NULL && (o->data_is_given || o->commit_seconds != EXT3_COMMIT_SECONDS)) {
        kprintf("ext3 %s: not mounted, without a journal there is no data= and no commit=", fs->device->name);
        return -EINVAL;
    }
    if (fs->journal != NULL && !o->data_is_given) {
        u32 mode = from_le32(fs->disk->default_mount_options) & EXT3_DEFAULT_DATA_MASK;

        o->data = mode == EXT3_DEFAULT_DATA_JOURNAL     ? EXT3_DATA_JOURNAL
                  : mode == EXT3_DEFAULT_DATA_WRITEBACK ? EXT3_DATA_WRITEBACK
                                                        : EXT3_DATA_ORDERED;
    }
    return 0;
}

size_t ext3_show_options(const struct ext3 *fs, char *buf, size_t size, bool all)
{
    static const char *const on_error[] = {"", ",errors=continue", ",errors=remount-ro", ",errors=panic"};
    static const char *const data[] = {",data=ordered", ",data=writeback", ",data=journal"};
    const struct ext3_options *o = &fs->options;
    char commit[24] = "";

    if (all || o->commit_seconds != EXT3_COMMIT_SECONDS)
        snprintf(commit, sizeof(commit), ",commit=%u", o->commit_seconds);
    return (size_t)snprintf(
        buf, size, "%s%s%s%s%s", all || o->on_error != errors_of_disk(fs) ? on_error[o->on_error] : "", commit,
        !o->barrier ? ",nobarrier"
        : all       ? ",barrier"
                    : "",
        o->no_load ? ",norecovery" : "", fs->journal != NULL && (all || o->data_is_given) ? data[o->data] : "");
}
