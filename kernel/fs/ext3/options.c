/* Mount options (ext4(5) and mount(8) name them; what the VFS deals with arrives as flags). */
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
    static const char *const words[] = {"",           "defaults", "rw",         "ro",  "relatime", "noatime",
                                        "nodiratime", "async",    "user_xattr", "acl", "noacl",    "nouser_xattr"};

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        if (equals(text, length, words[i]))
            return true;
    return false;
}

static bool parse_one(const char *text, size_t length, struct ext3_options *o)
{
    static const char commit[] = "commit=";
    unsigned value;

    if (is_neutral(text, length))
        return true;
    if (equals(text, length, "errors=continue"))
        o->on_error = EXT3_ON_ERROR_CONTINUE;
    else if (equals(text, length, "errors=remount-ro"))
        o->on_error = EXT3_ON_ERROR_READ_ONLY;
    else if (equals(text, length, "errors=panic"))
        o->on_error = EXT3_ON_ERROR_PANIC;
    else if (equals(text, length, "data=ordered"))
        o->data = EXT3_DATA_ORDERED;
    else if (equals(text, length, "data=writeback"))
        o->data = EXT3_DATA_WRITEBACK;
    else if (equals(text, length, "data=journal"))
        o->data = EXT3_DATA_JOURNAL;
    else if (equals(text, length, "barrier=1") || equals(text, length, "barrier"))
        o->barrier = true;
    else if (equals(text, length, "barrier=0") || equals(text, length, "nobarrier"))
        o->barrier = false;
    else if (equals(text, length, "noload") || equals(text, length, "norecovery"))
        o->no_load = true;
    else if (length > strlen(commit) && memcmp(text, commit, strlen(commit)) == 0 &&
             is_number(text + strlen(commit), length - strlen(commit), &value))
        o->commit_seconds = value;
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
