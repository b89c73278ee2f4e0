/*
 * What the disk saw, and the states that a power failure may leave. Part of crash.c.
 *
 * A write is in one of three conditions at time T: not yet submitted; submitted, but not covered by a flush that was
 * submitted after its completion; durable. Of the second kind any subset may be on the medium, in units of 512 bytes.
 */
struct written {
    u64 sector;
    u32 length;                        /* bytes */
    u8 *at_submit, *at_complete;       /* NULL: the same */
    u64 submitted, completed, durable; /* times; NEVER */
    struct block_request *request;     /* until it is complete */
};
#define NEVER UINT64_MAX

static struct written *writes;
static unsigned n_writes, room_for_writes;
static u64 now; /* counts what happens to the disk and to programs */
static u64 n_flushes;

static u8 *gather(const struct block_request *r, u32 *length)
{
    u8 *data;
    u32 at = 0;

    for (unsigned i = 0; i < r->n_segments; i++)
        at += r->segments[i].length;
    *length = at;
    data = malloc(at);
    at = 0;
    for (unsigned i = 0; i < r->n_segments; i++) {
        memcpy(data + at, r->segments[i].address, r->segments[i].length);
        at += r->segments[i].length;
    }
    return data;
}

static void flush_done(u64 submitted)
{
    n_flushes++;
    for (unsigned i = 0; i < n_writes; i++)
        if (writes[i].completed <= submitted && writes[i].durable == NEVER)
            writes[i].durable = now;
}

static void on_submit(struct block_request *r)
{
    struct written *w;

    now++;
    r->private = (void *)now;
    if (r->op != BLOCK_WRITE)
        return;
    if (n_writes == room_for_writes) {
        room_for_writes = room_for_writes * 2 + 256;
        writes = realloc(writes, room_for_writes * sizeof(*writes));
    }
    w = &writes[n_writes++];
    *w = (struct written){.sector = r->sector, .completed = NEVER, .durable = NEVER, .request = r};
    w->at_submit = gather(r, &w->length);
    w->submitted = now;
}

static void on_complete(struct block_request *r)
{
    u64 submitted = (u64)r->private;

    now++;
    if (r->error != 0)
        return;
    if (r->op == BLOCK_FLUSH || r->preflush)
        flush_done(submitted);
    if (r->op != BLOCK_WRITE)
        return;
    for (unsigned i = n_writes; i-- > 0;) {
        struct written *w = &writes[i];

        if (w->request != r || w->completed != NEVER)
            continue;
        if (r->preflush)
            w->submitted = now; /* the flush came first */
        w->at_complete = gather(r, &w->length);
        if (memcmp(w->at_complete, w->at_submit, w->length) == 0) {
            free(w->at_complete);
            w->at_complete = NULL;
        }
        now++;
        w->completed = now;
        if (r->fua) {
            n_flushes++;
            w->durable = now;
        }
        w->request = NULL;
        break;
    }
}

static const struct disk_observer recorder = {.submitted = on_submit, .completed = on_complete};

static void forget_record(void)
{
    for (unsigned i = 0; i < n_writes; i++) {
        free(writes[i].at_submit);
        free(writes[i].at_complete);
    }
    n_writes = 0;
    now = n_flushes = 0;
}

enum survival { ALL_SURVIVE, NONE_SURVIVE, SOME_WRITES, SOME_SECTORS, ONE_MISSING, ONE_SURVIVES, N_SURVIVALS };

/* The medium at time T into IMAGE, which holds what it was before. A page may change while it is written: what it got
 * after T cannot have been there. */
static void make_state(u8 *image, u64 t, enum survival survival)
{
    unsigned chosen = n_writes > 0 ? fiber_random() % n_writes : 0, open = 0;

    if (survival == ONE_MISSING || survival == ONE_SURVIVES) {
        for (unsigned i = 0; i < n_writes; i++)
            open += writes[i].submitted <= t && writes[i].durable > t;
        open = open > 0 ? fiber_random() % open : 0;
        for (unsigned i = 0; i < n_writes; i++)
            if (writes[i].submitted <= t && writes[i].durable > t && open-- == 0)
                chosen = i;
    }
    for (unsigned i = 0; i < n_writes; i++) {
        const struct written *w = &writes[i];
        const u8 *data = w->at_complete != NULL && w->completed <= t ? w->at_complete : w->at_submit;
        bool durable = w->durable <= t;
        bool survives = durable || survival == ALL_SURVIVE || (survival == SOME_WRITES && fiber_random() % 2) ||
                        (survival == ONE_MISSING && i != chosen) || (survival == ONE_SURVIVES && i == chosen);

        if (w->submitted > t)
            continue;
        for (u32 at = 0; at < w->length; at += SECTOR_SIZE)
            if (survives || (survival == SOME_SECTORS && fiber_random() % 2))
                memcpy(image + w->sector * SECTOR_SIZE + at, data + at, SECTOR_SIZE);
    }
}
