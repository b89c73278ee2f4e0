/* The command line: keys and values in a file. See `store --help`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv.h"

static const char usage_text[] =
    "store FILE COMMAND: keys and values in FILE, in transactions that survive crashes.\n"
    "\n"
    "  put KEY VALUE      sets a value           put KEY -       the value is standard input\n"
    "  get KEY            writes it; status 1 when there is none\n"
    "  delete KEY         status 1 when there was none\n"
    "  scan [FROM [TO]]   keys and values, a tab between, from FROM on, to before TO\n"
    "  load [BATCH]       lines \"KEY<tab>VALUE\" of standard input, BATCH (1000) in a transaction\n"
    "  erase [BATCH]      deletes the keys that are the lines of standard input\n"
    "  stat               what the file holds\n"
    "  check              looks for contradictions\n"
    "\n"
    "FILE is made by the first put or load; FILE.log has what is not in FILE yet. A command is one transaction\n"
    "(load and erase: one for each BATCH), durable when it has ended with status 0.\n"
    "Options, before FILE: --no-sync (the last transactions may be lost in a power failure, none is torn).\n"
    "Status: 0, 1 as said above, 2 for anything else, with one line that says why.\n";

static const char *file;

static void die(const char *what)
{
    const char *why = errno == EBUSY      ? "another process has it open"
                      : errno == EINVAL   ? "not a store, or of another version"
                      : errno == ENODATA  ? "its log, which has transactions that it needs, is missing or damaged"
                      : errno == EMSGSIZE ? "the file is shorter than its heap: a part of it has been cut off"
                                          : strerror(errno);

    fprintf(stderr, "store: %s%s%s: %s\n", file, *what ? ": " : "", what, why);
    exit(2);
}

static void misuse(const char *what)
{
    fprintf(stderr, "store: %s: see store --help\n", what);
    exit(2);
}

static struct kv_slice slice(const char *text) { return (struct kv_slice){text, strlen(text)}; }

static void finish_output(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "store: standard output: %s\n", strerror(errno));
        exit(2);
    }
}

static struct kv_slice read_input(void)
{
    size_t room = 1 << 16, used = 0, n;
    char *data = malloc(room);

    while (data != NULL && (n = fread(data + used, 1, room - used, stdin)) > 0) {
        used += n;
        if (used == room)
            data = realloc(data, room *= 2);
        if (used > KV_MAX_VALUE)
            misuse("a value of more than 8 MiB");
    }
    if (data == NULL || ferror(stdin))
        misuse("standard input cannot be read");
    return (struct kv_slice){data, used};
}

static void check_key(struct kv_slice key)
{
    if (key.size == 0 || key.size > KV_MAX_KEY)
        misuse("a key has 1 to 511 bytes");
}

static int put(struct store *s, struct kv_slice key, struct kv_slice value)
{
    check_key(key);
    store_begin(s);
    if (kv_put(s, key, value) < 0) {
        int error = errno;

        store_abort(s);
        errno = error;
        die("put");
    }
    if (store_commit(s) < 0)
        die("put");
    return 0;
}

static int get(struct store *s, struct kv_slice key)
{
    struct kv_slice value;
    int found;

    store_read(s);
    found = kv_get(s, key, &value);
    if (found) {
        fwrite(value.data, 1, value.size, stdout);
        putchar('\n');
    }
    store_read_end(s);
    finish_output();
    return !found;
}

static int delete (struct store *s, struct kv_slice key)
{
    int found;

    store_begin(s);
    found = kv_delete(s, key);
    if (store_commit(s) < 0)
        die("delete");
    return !found;
}

static int print_entry(void *argument, struct kv_slice key, struct kv_slice value)
{
    const struct kv_slice *to = argument;

    if (to->data != NULL) {
        size_t least = key.size < to->size ? key.size : to->size;
        int order = memcmp(key.data, to->data, least);

        if (order > 0 || (order == 0 && key.size >= to->size))
            return 1;
    }
    fwrite(key.data, 1, key.size, stdout);
    putchar('\t');
    fwrite(value.data, 1, value.size, stdout);
    putchar('\n');
    return ferror(stdout);
}

static int scan(struct store *s, const char *from, const char *to)
{
    struct kv_slice first = {NULL, 0}, end = {NULL, 0};

    if (from != NULL)
        first = slice(from);
    if (to != NULL)
        end = slice(to);
    store_read(s);
    kv_scan(s, from != NULL ? &first : NULL, print_entry, &end);
    store_read_end(s);
    finish_output();
    return 0;
}

/* One line of `load` or `erase`, without its end. */
static int take_line(struct store *s, char *line, size_t length, bool erase)
{
    char *tab = memchr(line, '\t', length);

    if (erase) {
        kv_delete(s, (struct kv_slice){line, length});
        return 0;
    }
    if (tab == NULL || tab == line || tab - line > KV_MAX_KEY)
        misuse("a line that is not KEY<tab>VALUE");
    return kv_put(s, (struct kv_slice){line, (size_t)(tab - line)},
                  (struct kv_slice){tab + 1, (size_t)(line + length - tab - 1)});
}

static int load(struct store *s, const char *batch_text, bool erase)
{
    unsigned long batch = batch_text == NULL ? 1000 : strtoul(batch_text, NULL, 10), lines = 0;
    size_t room = 0;
    char *line = NULL;
    ssize_t length;

    if (batch == 0)
        misuse("BATCH is a number from 1 on");
    for (; (length = getline(&line, &room, stdin)) >= 0; lines++) {
        if (lines % batch == 0) {
            if (lines > 0 && store_commit(s) < 0)
                die("load");
            store_begin(s);
        }
        if (length > 0 && line[length - 1] == '\n')
            length--;
        if (take_line(s, line, (size_t)length, erase) < 0)
            die("load");
    }
    if (lines > 0 && store_commit(s) < 0)
        die("load");
    free(line);
    return 0;
}

static int stat_or_check(struct store *s, bool check)
{
    uint64_t entries = 0, objects = 0;
    struct store_stats stats;
    char text[200];

    if (store_check(s, text, sizeof(text)) < 0 || kv_check(s, &entries, &objects, text, sizeof(text)) < 0) {
        fprintf(stderr, "store: %s: damaged: %s\n", file, text);
        return 2;
    }
    if (check)
        return 0;
    store_stats(s, &stats);
    printf("entries      %llu\nobjects      %llu\nused pages   %llu\nfree pages   %llu\nfile bytes   %llu\nlog bytes   "
           " %llu\n"
           "recovered    %llu transactions\n",
           (unsigned long long)entries, (unsigned long long)objects, (unsigned long long)stats.used_pages,
           (unsigned long long)stats.free_pages, (unsigned long long)stats.file_bytes,
           (unsigned long long)stats.log_bytes, (unsigned long long)stats.recovered);
    finish_output();
    return 0;
}

static int run(struct store *s, int count, char **words)
{
    const char *command = words[0];

    if (strcmp(command, "put") == 0 && count == 3 && strcmp(words[2], "-") == 0) {
        struct kv_slice value = read_input();
        int status = put(s, slice(words[1]), value);

        free((void *)value.data);
        return status;
    }
    if (strcmp(command, "put") == 0 && count == 3)
        return put(s, slice(words[1]), slice(words[2]));
    if (strcmp(command, "get") == 0 && count == 2)
        return get(s, slice(words[1]));
    if (strcmp(command, "delete") == 0 && count == 2)
        return delete (s, slice(words[1]));
    if (strcmp(command, "scan") == 0 && count <= 3)
        return scan(s, count > 1 ? words[1] : NULL, count > 2 ? words[2] : NULL);
    if (strcmp(command, "load") == 0 && count <= 2)
        return load(s, words[1], false);
    if (strcmp(command, "erase") == 0 && count <= 2)
        return load(s, words[1], true);
    if (strcmp(command, "stat") == 0 && count == 1)
        return stat_or_check(s, false);
    if (strcmp(command, "check") == 0 && count == 1)
        return stat_or_check(s, true);
    return -1;
}

int main(int argc, char **argv)
{
    struct store_options options = {.must_exist = true};
    struct store *s;
    int status;

    argv++, argc--;
    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        fputs(usage_text, stdout);
        finish_output();
        return 0;
    }
    if (argc > 0 && strcmp(argv[0], "--no-sync") == 0) {
        options.no_sync = true;
        argv++, argc--;
    }
    if (argc > 0 && argv[0][0] == '-')
        misuse("no such option");
    if (argc < 2)
        misuse("a file and a command are wanted");
    file = argv[0];
    options.must_exist = strcmp(argv[1], "put") != 0 && strcmp(argv[1], "load") != 0;
    s = store_open(file, &options);
    if (s == NULL)
        die("");
    status = run(s, argc - 1, argv + 1);
    if (store_close(s) < 0)
        die("closing");
    if (status < 0)
        misuse("no such command, or a wrong number of words");
    return status;
}
