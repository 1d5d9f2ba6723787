/* SPDX-License-Identifier: MIT
 *
 * Every form of every macro, which both compilers take without a word. */
#include <haft/haft.h>

#include <stdlib.h>

struct sum {
    uint64_t n, total;
};
struct one {
    int value;
};

static int sum_to(struct sum *s)
{
    return (int)s->n;
}

static int reads(const struct sum *s)
{
    return (int)s->n;
}

static int raw(void *p)
{
    return p == NULL;
}

static int nothing(void)
{
    return 0;
}

static int takes_one(struct one *o)
{
    return o->value;
}

static int takes_array(int (*numbers)[4])
{
    return (*numbers)[0];
}

static int takes_pointer(char **text)
{
    return *text == NULL;
}

static void drops(void *object)
{
    (void)object;
}

static int closes(int *fd)
{
    return *fd;
}

void spawns(struct sum *p, char *text);
void spawns(struct sum *p, char *text)
{
    struct sum s = { .n = 1 };
    const struct sum constant = { .n = 2 };
    int numbers[4] = { 0 };
    haft_handle hs[] = {
        haft_spawn(sum_to, &s),
        haft_spawn(sum_to, p),
        haft_spawn(&sum_to, &s),
        haft_spawn(reads, &constant),
        haft_spawn(reads, &s),
        haft_spawn(raw, &s),
        haft_spawn(raw, &constant),
        haft_spawn(takes_array, &numbers),
        haft_spawn(takes_pointer, &text),
        haft_spawn(nothing),
        haft_spawn(nothing, HAFT_NO_FRAME),
        haft_spawn(nothing, HAFT_NO_FRAME, .name = "nothing"),
        haft_spawn(takes_one, &(struct one){ .value = 1 }),
        haft_spawn(sum_to, (&(struct sum){ .n = 1, .total = 2 })),
        haft_spawn(sum_to, &s, .kind = HAFT_THREAD, .name = "sum", .stack_size = 4 << 20, .drop = drops, .pinned = true,
                   .runtime = NULL),
        haft_spawn_blocking(sum_to, &s),
        haft_spawn_blocking(sum_to, &s, .name = "sum"),
        haft_spawn_blocking(nothing),
    };
    haft_outcome out;
    int rc = haft_join(&hs[0], &s);
    rc |= haft_join(&hs[1]);
    rc |= haft_join(&hs[2], HAFT_NO_FRAME);
    rc |= haft_join(&hs[7], &numbers);
    rc |= haft_try_join(&hs[3], &s);
    rc |= haft_try_join(&hs[4]);
    rc |= haft_join_outcome(&hs[5], &s, &out);
    rc |= haft_join_outcome(&hs[6], HAFT_NO_FRAME, &out);
    rc |= haft_blocking(sum_to, &s);
    rc |= haft_blocking(takes_one, &(struct one){ .value = 1 });
    rc |= haft_blocking(sum_to, &(struct sum){ .n = 1, .total = 2 });
    rc |= haft_blocking(nothing, HAFT_NO_FRAME) | haft_blocking(nothing);
    rc |= haft_blocking(reads, &constant) | haft_blocking(raw, &constant) | haft_catch(reads, &constant, NULL);
    rc |= haft_run(reads, &constant);
    rc |= haft_join_all(hs, sizeof hs / sizeof *hs, NULL);
    rc |= haft_catch(sum_to, &s, NULL);
    rc |= haft_catch(nothing, HAFT_NO_FRAME, &out.panic);
    if (rc != 0)
        haft_panic("rc %d", rc);
}

int blocks(struct sum *left, struct sum *right);
int blocks(struct sum *left, struct sum *right)
{
    int rc = 0, fd = 0;
    void *memory = malloc(16);
    HAFT_DEFER(free, memory);
    HAFT_DEFER(closes, &fd);
    {
        HAFT_TIMEOUT(50 * HAFT_MS);
        HAFT_TIMEOUT(5 * HAFT_MS);
        rc = haft_sleep(HAFT_US);
    }
    {
        HAFT_SHIELD;
        HAFT_SHIELD;
        rc |= haft_yield();
    }
    {
        HAFT_SCOPE(s, .result = &rc, .on_error = HAFT_ON_ERROR_WAIT);
        HAFT_SCOPE(t);
        rc |= haft_scope_spawn(s, sum_to, left);
        rc |= haft_scope_spawn(s, sum_to, right, .kind = HAFT_THREAD);
        rc |= haft_scope_spawn(t, nothing);
    }
    {
        HAFT_SCOPE(unused);
    }
    haft_handle h = haft_spawn(nothing);
    HAFT_DEFER(haft_drop, &h);
    return rc;
}

int arms(struct sum *s);
int arms(struct sum *s)
{
    const struct sum fixed = { .n = 1 };
    int rcs[3];
    int rc = haft_all(rcs, HAFT_ARM(sum_to, s), HAFT_ARM(nothing), HAFT_ARM(nothing, HAFT_NO_FRAME, .name = "third"));
    rc |= haft_all(NULL, HAFT_ARM(sum_to, &(struct sum){ .n = 3 }), HAFT_ARM(reads, &fixed, .pinned = true));
    return rc | haft_all_or_abort(rcs, HAFT_ARM(nothing));
}

int splits(struct sum *s, char *text);
int splits(struct sum *s, char *text)
{
    const struct sum fixed[2] = { { .n = 1 }, { .n = 2 } };
    struct sum sums[2] = { { .n = 1 }, { .n = 2 } };
    int numbers[2][4] = { { 1 } };
    int rc = haft_both(sum_to, s, nothing, HAFT_NO_FRAME);
    rc |= haft_both(reads, &fixed[0], sum_to, &(struct sum){ .n = 3 });
    rc |= haft_for_each(sum_to, sums, 2) | haft_for_each(reads, fixed, 2) | haft_for_each(sum_to, s, 1);
    return rc | haft_for_each(takes_array, numbers, 2) | haft_for_each(raw, text, 4) | haft_for_each(raw, sums, 2);
}

int counts(haft_runtime *rt);
int counts(haft_runtime *rt)
{
    haft_runtime_metrics m;
    haft_worker_metrics workers[4];
    return haft_metrics(rt, &m) | haft_metrics(NULL, &m, workers, 4);
}

struct ticks {
    haft_ticker fast, slow;
};

int ticks(struct ticks *t);
int ticks(struct ticks *t)
{
    int rc = haft_ticker_start(&t->fast, 10 * HAFT_MS) | haft_ticker_start(&t->slow, HAFT_S, .missed = HAFT_TICK_DELAY);
    HAFT_DEFER(haft_ticker_drop, &t->fast);
    return rc | haft_ticker_wait(&t->fast);
}

int sets(const int *values, size_t n);
int sets(const int *values, size_t n)
{
    haft_set *set = haft_set_new(.limit = 5), *other = haft_set_new();
    HAFT_DEFER(haft_set_drop, &set);
    HAFT_DEFER(haft_set_drop, &other);
    int rc = 0, code;
    for (size_t i = 0; i < n; i++)
        rc |= haft_set_spawn(set, takes_one, &(struct one){ .value = values[i] });
    rc |= haft_set_spawn(set, nothing);
    rc |= haft_set_spawn(set, nothing, HAFT_NO_FRAME, .kind = HAFT_BLOCKING);
    struct one done;
    haft_outcome out;
    while (haft_set_next(set, &done, &code) == 0)
        rc |= code;
    rc |= haft_set_next(set, HAFT_NO_FRAME, NULL);
    rc |= haft_set_try_next(set, &done, NULL);
    return rc | haft_set_next_outcome(set, &done, &out);
}

int runs(struct sum *s);
int runs(struct sum *s)
{
    haft_runtime *rt = haft_runtime_new(.workers = 2), *other = haft_runtime_new();
    int rc = haft_run(sum_to, s, .workers = 4, .grace = 5 * HAFT_S);
    rc |= haft_run(sum_to, s);
    rc |= haft_run(nothing);
    rc |= haft_run(nothing, HAFT_NO_FRAME, .workers = 1);
    return rc | haft_runtime_drop(&rt) | haft_runtime_drop(&other);
}

static struct {
    haft_mutex mutex;
    haft_cond cond;
    haft_rwlock rwlock;
    haft_sem sem;
    haft_notify notify;
    haft_event event;
    haft_barrier barrier;
    haft_waitgroup group;
    haft_once once;
    struct one cell;
} shared = { .mutex = HAFT_MUTEX_INIT,
             .cond = HAFT_COND_INIT,
             .rwlock = HAFT_RWLOCK_INIT,
             .sem = HAFT_SEM_INIT(3),
             .notify = HAFT_NOTIFY_INIT,
             .event = HAFT_EVENT_INIT,
             .barrier = HAFT_BARRIER_INIT(1),
             .group = HAFT_WAITGROUP_INIT,
             .once = HAFT_ONCE_INIT };

int shares(void);
int shares(void)
{
    haft_permit permit = { 0 };
    int rc = haft_mutex_lock(&shared.mutex);
    HAFT_DEFER(haft_mutex_unlock, &shared.mutex);
    rc |= haft_cond_wait(&shared.cond, &shared.mutex) | haft_rwlock_read(&shared.rwlock);
    HAFT_DEFER(haft_rwlock_read_unlock, &shared.rwlock);
    rc |= haft_sem_acquire_permit(&shared.sem, 2, &permit);
    HAFT_DEFER(haft_permit_drop, &permit);
    rc |= haft_notify_wait(&shared.notify) | haft_event_wait(&shared.event) | haft_waitgroup_wait(&shared.group);
    rc |= haft_barrier_wait(&shared.barrier, NULL);
    return rc | haft_once_call(&shared.once, nothing) | haft_once_call(&shared.once, takes_one, &shared.cell);
}

int selects_shared(haft_sem *sem, haft_notify *notify, haft_event *event, haft_token *token);
int selects_shared(haft_sem *sem, haft_notify *notify, haft_event *event, haft_token *token)
{
    int rc;
    haft_arm arms[] = { HAFT_ON_SEM(sem, 2), HAFT_ON_NOTIFY(notify), HAFT_ON_EVENT(event), HAFT_ON_TOKEN(token) };
    return haft_select(HAFT_ON_SEM(sem, 1, .rc = &rc), HAFT_ON_NOTIFY(notify, .rc = &rc), HAFT_ON_TOKEN(token)) |
           haft_try_select_array(arms, 4);
}
