/* SPDX-License-Identifier: MIT
 *
 * Pools whose workers are threads: messages of one key come one at a time and in their order, whoever serves them and
 * however many there are; bodies write what belongs to their key plainly. */
#include "world.h"

WORLD_RUNTIME(runtime);

struct log {
    int entries, of_other;
};
struct entry {
    int value;
};
typedef HAFT_POOL(struct log *) pool_of_logs;

static pool_of_logs pool;
static struct log book;
static int begun;
static haft__atomic(uint32_t) flag, frames_dropped;

static int append(struct log **to, struct entry *e)
{
    (*to)->entries = 10 * (*to)->entries + e->value;
    return (*to)->entries;
}

static int wait_for_other(struct log **to, struct entry *e)
{
    while (haft__load_relaxed(&flag) == 0)
        model_spin();
    return append(to, e);
}

static int let_other_go(struct log **to, struct entry *e)
{
    (*to)->of_other = e->value;
    haft__store_relaxed(&flag, 1);
    return 0;
}

static int count(struct log **to, struct entry *e)
{
    begun++;
    return append(to, e);
}

static void count_frame(void *frame)
{
    (void)frame;
    haft__fetch_add_relaxed(&frames_dropped, 1); /* of several keys, or of one while the pool is aborted */
}

static void start(unsigned workers)
{
    struct log *at = &book;
    model_calm(true);
    model_check(
        haft_pool_start(&pool, &at, .workers = workers, .kind = HAFT_THREAD, .runtime = &runtime, .capacity = 2) == 0);
    model_calm(false);
}

static void cast(int (*body)(struct log **, struct entry *), uint64_t key, int value)
{
    struct entry e = { value };
    model_check(haft_pool_cast_keyed(&pool, key, body, &e, .drop = count_frame) == 0);
}

static void end(void)
{
    model_check(haft_pool_join(&pool) == 0);
    model_join_all();
    model_check(haft__load_relaxed(&runtime.spawned) == haft__load_relaxed(&runtime.finished));
}

MODEL("keys: two messages of one key run one after the other, in their order", .is_large = true, .stale = -1)
{
    start(2);
    cast(append, 1, 1);
    cast(append, 1, 2);
    end();
    model_check(book.entries == 12 && haft__load_relaxed(&frames_dropped) == 2);
}

MODEL("keys: messages of two keys do not wait for each other", .is_large = true, .stale = -1)
{
    start(2);
    cast(wait_for_other, 1, 1);
    cast(let_other_go, 2, 2);
    end();
    model_check(book.entries == 1 && book.of_other == 2);
}

MODEL("keys: a worker leaves because there are too many, and the order stays", .is_large = true, .stale = -1)
{
    start(2);
    cast(append, 1, 1);
    model_check(haft_pool_resize(&pool, 1) == 0);
    cast(append, 1, 2);
    end();
    model_check(book.entries == 12);
}

MODEL("keys: a worker comes while messages of one key are queued", .is_large = true, .stale = -1)
{
    start(1);
    cast(append, 1, 1);
    cast(append, 1, 2);
    model_check(haft_pool_resize(&pool, 2) == 0);
    end();
    model_check(book.entries == 12);
}

MODEL("keys: a call that waits for its turn is withdrawn, and who comes behind it keeps the turn", .is_large = true,
      .stale = -1)
{
    start(1);
    cast(append, 1, 1);
    struct entry e = { 2 };
    int rc;
    {
        HAFT_TIMEOUT(100);
        rc = haft_pool_call_keyed(&pool, 1, count, &e);
    }
    model_check(rc == 12 || rc == HAFT_ETIMEDOUT || rc == HAFT_EINDOUBT);
    cast(append, 1, 3);
    end();
    model_check(begun == (rc != HAFT_ETIMEDOUT));
    model_check(book.entries == (begun == 1 ? 123 : 13));
}

static void call_and_leave(void *argument)
{
    struct entry e = { 2 };
    HAFT_TIMEOUT(100);
    int *rc = argument;
    *rc = haft_pool_call_keyed(&pool, 1, count, &e);
}

MODEL("keys: one message is withdrawn while another of its key is sent", .is_large = true, .stale = -1)
{
    int rc = 1;
    start(1);
    int other = model_start(call_and_leave, &rc);
    cast(append, 1, 1);
    model_join(other);
    end();
    model_check(rc == 2 || rc == 12 || rc == HAFT_ETIMEDOUT || rc == HAFT_EINDOUBT);
    model_check(begun == (rc != HAFT_ETIMEDOUT));
    model_check(begun == 1 ? book.entries == 12 || book.entries == 21 : book.entries == 1);
}

MODEL("keys: an abort refuses what stands behind its key, and disposes of each frame once", .is_large = true,
      .stale = -1)
{
    start(2);
    cast(count, 1, 1);
    cast(count, 1, 2);
    model_check(haft_pool_abort(&pool) == 0);
    int rc = haft_pool_join(&pool);
    model_check(rc == 0 || rc == HAFT_EABORTED);
    model_join_all();
    model_check(haft__load_relaxed(&frames_dropped) == 2);
    model_check(book.entries == (begun == 0 ? 0 : begun == 1 ? 1 : 12));
}
