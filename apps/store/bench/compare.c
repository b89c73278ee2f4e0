/*
 * compare ENGINE FOLDER [N]: the same work on store, SQLite and LMDB. One line for each piece of work: the engine, its
 * name, how many operations, and nanoseconds for all of them; bench/counter.c counts their instructions.
 *
 *     load      N keys in a random order, 1000 in a transaction, without syncs
 *     get       N random keys, in one read transaction
 *     scan      all keys, in order
 *     put       a new value for a random key, each in a transaction of its own, without syncs
 *     durable   the same, each synced
 *
 * Keys have 12 bytes, values 100. LMDB and store are linked to us, SQLite is as its shell has it: a table WITHOUT
 * ROWID, prepared statements, a write-ahead log, synchronous=FULL for what is to be durable.
 */
#include <lmdb.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../../../bench/mark.h"
#include "kv.h"

#define BATCH 1000
#define DURABLE 200

struct engine {
    const char *name;
    void (*open)(const char *folder, bool sync);
    void (*begin)(bool write);
    void (*put)(const char *key, const char *value);
    size_t (*get)(const char *key); /* size of the value */
    size_t (*scan)(void);           /* bytes of all values */
    void (*commit)(bool write);
    void (*close)(void);
};

#define KEY_SIZE 12
#define VALUE_SIZE 100

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "compare: %s failed\n", what);
    exit(2);
}

/* --- store --- */

static struct store *s;

static void store_start(const char *folder, bool sync)
{
    struct store_options options = {.no_sync = !sync};
    char path[500];

    snprintf(path, sizeof(path), "%s/store", folder);
    s = store_open(path, &options);
    must(s != NULL, "store_open");
}

static void store_begin_any(bool write) { write ? store_begin(s) : store_read(s); }

static void store_put(const char *key, const char *value)
{
    must(kv_put(s, (struct kv_slice){key, KEY_SIZE}, (struct kv_slice){value, VALUE_SIZE}) == 0, "kv_put");
}

static size_t store_get(const char *key)
{
    struct kv_slice value = {NULL, 0};

    return kv_get(s, (struct kv_slice){key, KEY_SIZE}, &value) ? value.size : 0;
}

static int add_size(void *sum, struct kv_slice key, struct kv_slice value)
{
    (void)key;
    *(size_t *)sum += value.size;
    return 0;
}

static size_t store_scan(void)
{
    size_t sum = 0;

    kv_scan(s, NULL, add_size, &sum);
    return sum;
}

static void store_commit_any(bool write)
{
    if (write)
        must(store_commit(s) == 0, "store_commit");
    else
        store_read_end(s);
}

static void store_stop(void) { must(store_close(s) == 0, "store_close"); }

/* --- LMDB --- */

static MDB_env *env;
static MDB_txn *txn;
static MDB_dbi dbi;

static void lmdb_start(const char *folder, bool sync)
{
    char path[500];

    snprintf(path, sizeof(path), "%s/lmdb", folder);
    mkdir(path, 0777);
    must(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, 1ul << 30) == 0 &&
             mdb_env_open(env, path, sync ? 0 : MDB_NOSYNC, 0666) == 0,
         "mdb_env_open");
    must(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &dbi) == 0 && mdb_txn_commit(txn) == 0,
         "mdb_dbi_open");
}

static void lmdb_begin(bool write)
{
    must(mdb_txn_begin(env, NULL, write ? 0 : MDB_RDONLY, &txn) == 0, "mdb_txn_begin");
}

static void lmdb_put(const char *key, const char *value)
{
    MDB_val k = {KEY_SIZE, (void *)key}, v = {VALUE_SIZE, (void *)value};

    must(mdb_put(txn, dbi, &k, &v, 0) == 0, "mdb_put");
}

static size_t lmdb_get(const char *key)
{
    MDB_val k = {KEY_SIZE, (void *)key}, v;

    return mdb_get(txn, dbi, &k, &v) == 0 ? v.mv_size : 0;
}

static size_t lmdb_scan(void)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    size_t sum = 0;

    must(mdb_cursor_open(txn, dbi, &cursor) == 0, "mdb_cursor_open");
    while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0)
        sum += v.mv_size;
    mdb_cursor_close(cursor);
    return sum;
}

static void lmdb_commit(bool write)
{
    if (write)
        must(mdb_txn_commit(txn) == 0, "mdb_txn_commit");
    else
        mdb_txn_abort(txn);
}

static void lmdb_stop(void) { mdb_env_close(env); }

/* --- SQLite --- */

static sqlite3 *db;
static sqlite3_stmt *put_it, *get_it, *scan_it, *begin_it, *commit_it;

static sqlite3_stmt *prepare(const char *text)
{
    sqlite3_stmt *statement;

    must(sqlite3_prepare_v2(db, text, -1, &statement, NULL) == SQLITE_OK, text);
    return statement;
}

static void step(sqlite3_stmt *statement)
{
    must(sqlite3_step(statement) == SQLITE_DONE, "a statement");
    sqlite3_reset(statement);
}

static void sqlite_start(const char *folder, bool sync)
{
    char path[500];

    snprintf(path, sizeof(path), "%s/sqlite", folder);
    must(sqlite3_open(path, &db) == SQLITE_OK, "sqlite3_open");
    sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA mmap_size=1073741824; PRAGMA cache_size=-65536", NULL, NULL,
                 NULL);
    sqlite3_exec(db, sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF", NULL, NULL, NULL);
    sqlite3_exec(db, "CREATE TABLE IF NOT EXISTS kv(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID", NULL, NULL, NULL);
    put_it = prepare("INSERT OR REPLACE INTO kv VALUES (?1, ?2)");
    get_it = prepare("SELECT v FROM kv WHERE k = ?1");
    scan_it = prepare("SELECT k, v FROM kv ORDER BY k");
    begin_it = prepare("BEGIN");
    commit_it = prepare("COMMIT");
}

static void sqlite_begin(bool write)
{
    (void)write;
    step(begin_it);
}

static void sqlite_put(const char *key, const char *value)
{
    sqlite3_bind_blob(put_it, 1, key, KEY_SIZE, SQLITE_STATIC);
    sqlite3_bind_blob(put_it, 2, value, VALUE_SIZE, SQLITE_STATIC);
    step(put_it);
}

static size_t sqlite_get(const char *key)
{
    size_t size = 0;

    sqlite3_bind_blob(get_it, 1, key, KEY_SIZE, SQLITE_STATIC);
    if (sqlite3_step(get_it) == SQLITE_ROW && sqlite3_column_blob(get_it, 0) != NULL)
        size = (size_t)sqlite3_column_bytes(get_it, 0);
    sqlite3_reset(get_it);
    return size;
}

static size_t sqlite_scan(void)
{
    size_t sum = 0;

    while (sqlite3_step(scan_it) == SQLITE_ROW)
        sum += sqlite3_column_blob(scan_it, 1) != NULL ? (size_t)sqlite3_column_bytes(scan_it, 1) : 0;
    sqlite3_reset(scan_it);
    return sum;
}

static void sqlite_commit(bool write)
{
    (void)write;
    step(commit_it);
}

static void sqlite_stop(void)
{
    sqlite3_finalize(put_it);
    sqlite3_finalize(get_it);
    sqlite3_finalize(scan_it);
    sqlite3_finalize(begin_it);
    sqlite3_finalize(commit_it);
    must(sqlite3_close(db) == SQLITE_OK, "sqlite3_close");
}

static const struct engine engines[] = {
    {"store", store_start, store_begin_any, store_put, store_get, store_scan, store_commit_any, store_stop},
    {"lmdb", lmdb_start, lmdb_begin, lmdb_put, lmdb_get, lmdb_scan, lmdb_commit, lmdb_stop},
    {"sqlite", sqlite_start, sqlite_begin, sqlite_put, sqlite_get, sqlite_scan, sqlite_commit, sqlite_stop},
};

/* --- The work --- */

static unsigned long n;
static char key_text[KEY_SIZE + 1], value_text[VALUE_SIZE + 1];

static const char *key_of(unsigned long i)
{
    snprintf(key_text, sizeof(key_text), "%012u", (unsigned)(i * 7919 % n));
    return key_text;
}

static const char *value_of(unsigned long i)
{
    snprintf(value_text, sizeof(value_text), "%0100u", (unsigned)i);
    return value_text;
}

static unsigned long long now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000u + (unsigned long long)t.tv_nsec;
}

static unsigned long long start(void)
{
    unsigned long long began = now();

    mark_begin();
    return began;
}

static void report(const struct engine *e, const char *work, unsigned long long began, unsigned long operations)
{
    mark_end();
    printf("%s\t%s\t%lu\t%llu\n", e->name, work, operations, now() - began);
    fflush(stdout);
}

/* COUNT puts of a transaction each. */
static void put_singly(const struct engine *e, unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        e->begin(true);
        e->put(key_of(i * 31 + 7), value_of(i + n));
        e->commit(true);
    }
}

static void run(const struct engine *e, const char *folder)
{
    unsigned long long began;
    size_t sum = 0;

    e->open(folder, false);
    began = start();
    for (unsigned long i = 0; i < n; i++) {
        if (i % BATCH == 0)
            e->begin(true);
        e->put(key_of(i), value_of(i));
        if (i % BATCH == BATCH - 1 || i + 1 == n)
            e->commit(true);
    }
    report(e, "load", began, n);
    began = start();
    e->begin(false);
    for (unsigned long i = 0; i < n; i++)
        sum += e->get(key_of(i * 13 + 5));
    e->commit(false);
    report(e, "get", began, n);
    must(sum == n * VALUE_SIZE, "getting all");
    began = start();
    e->begin(false);
    sum = e->scan();
    e->commit(false);
    report(e, "scan", began, n);
    must(sum == n * VALUE_SIZE, "scanning all");
    began = start();
    put_singly(e, n / 10);
    report(e, "put", began, n / 10);
    e->close();
    e->open(folder, true);
    put_singly(e, 1);
    began = start();
    put_singly(e, DURABLE);
    report(e, "durable", began, DURABLE);
    e->close();
}

int main(int argc, char **argv)
{
    n = argc > 3 ? strtoul(argv[3], NULL, 10) : 20000;
    for (size_t i = 0; argc > 2 && n > 10 && i < sizeof(engines) / sizeof(engines[0]); i++)
        if (strcmp(argv[1], engines[i].name) == 0) {
            run(&engines[i], argv[2]);
            return 0;
        }
    fprintf(stderr, "usage: compare store|lmdb|sqlite FOLDER [N]\n");
    return 2;
}
