/*
 * Features (e2fsprogs' lib/e2p names): an unknown incompatible one refuses the mount, an unknown read-only-compatible
 * one makes it read-only.
 */
#include "fs/ext3/features.h"

struct feature_name {
    u32 bit;
    const char *name;
};

static const struct feature_name incompat_names[] = {
    {0x1, "compression"},  {0x8, "journal_dev"},
    {0x10, "meta_bg"},     {0x40, "extent"},
    {0x80, "64bit"},       {0x100, "mmp"},
    {0x200, "flex_bg"},    {0x400, "ea_inode"},
    {0x1000, "dirdata"},   {0x2000, "metadata_csum_seed"},
    {0x4000, "large_dir"}, {0x8000, "inline_data"},
    {0x10000, "encrypt"},  {0x20000, "casefold"},
};
static const struct feature_name ro_compat_names[] = {
    {0x8, "huge_file"},    {0x10, "uninit_bg"},         {0x20, "dir_nlink"},
    {0x40, "extra_isize"}, {0x80, "snapshot"},          {0x100, "quota"},
    {0x200, "bigalloc"},   {0x400, "metadata_csum"},    {0x800, "replica"},
    {0x1000, "read-only"}, {0x2000, "project"},         {0x4000, "shared_blocks"},
    {0x8000, "verity"},    {0x10000, "orphan_present"},
};

/* The names of BITS into TEXT, separated by blanks. */
static void list_names(u32 bits, const struct feature_name *names, unsigned n_names, char *text, size_t size)
{
    size_t at = 0;

    text[0] = '\0';
    for (unsigned bit = 0; bit < 32 && at < size; bit++) {
        const char *name = NULL;

        if (!(bits >> bit & 1))
            continue;
        for (unsigned i = 0; i < n_names; i++)
            if (names[i].bit == 1u << bit)
                name = names[i].name;
        if (name != NULL)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at > 0 ? " " : "", name);
        else
            at += (size_t)snprintf(text + at, size - at, "%sbit 0x%x", at > 0 ? " " : "", 1u << bit);
    }
}

static u32 unknown_ro_compat(const struct ext3_disk_super *d)
{
    return from_le32(d->feature_ro_compat) & ~(u32)EXT3_RO_COMPAT_SUPPORTED;
}

int ext3_check_features(struct ext3 *fs, const struct ext3_disk_super *d)
{
    u32 unknown = from_le32(d->feature_incompat) & ~(u32)EXT3_INCOMPAT_SUPPORTED;
    char text[128];

    if (from_le32(d->revision) == 0 && (d->feature_incompat | d->feature_ro_compat) != 0) {
        kprintf("ext3 %s: features in a revision 0 super block; run e2fsck", fs->device->name);
        return -EINVAL;
    }
    if (unknown != 0) {
        list_names(unknown, incompat_names, ARRAY_SIZE(incompat_names), text, sizeof(text));
        kprintf("ext3 %s: not mounted, unsupported features: %s", fs->device->name, text);
        return -EINVAL;
    }
    unknown = unknown_ro_compat(d);
    if (unknown != 0 && !fs->super->read_only) {
        list_names(unknown, ro_compat_names, ARRAY_SIZE(ro_compat_names), text, sizeof(text));
        kprintf("ext3 %s: mounted read-only, unsupported features: %s", fs->device->name, text);
        fs->super->read_only = true;
    }
    return 0;
}

bool ext3_may_write(const struct ext3 *fs) { return unknown_ro_compat(fs->disk) == 0; }
