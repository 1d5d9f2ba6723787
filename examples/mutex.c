/* SPDX-License-Identifier: MIT
 *
 * A counter that four jobs share: by a mutex, and by ownership. Behind the mutex everybody waits for everybody, and
 * one who fails half way leaves something that the next one must look at. Owned, each counts in its own frame, and the
 * one who joins adds up. */
#include <haft/haft.h>

#include <stdio.h>

struct shared {
    haft_mutex lock;
    long count;
    long checked; /* always the same as count, but for whoever is inside */
};

static int add_shared(struct shared **at)
{
    struct shared *s = *at;
    for (int i = 0; i < 10000; i++) {
        haft_mutex_lock(&s->lock);
        s->count++;
        s->checked++;
        haft_mutex_unlock(&s->lock);
    }
    return 0;
}

static int fail_half_way(struct shared **at)
{
    haft_mutex_lock(&(*at)->lock);
    (*at)->count++;
    haft_panic("between the two");
}

static int add_owned(long *count)
{
    for (int i = 0; i < 10000; i++)
        ++*count;
    return 0;
}

static void say(const haft_panic_info *panic)
{
    printf("a job panicked: %s\n", panic->message);
}

int main(void)
{
    static struct shared s = { .lock = HAFT_MUTEX_INIT };
    struct shared *shared = &s; /* the frame is the pointer: a mutex is never copied */
    haft_handle h[4];
    for (int i = 0; i < 4; i++)
        h[i] = haft_spawn(add_shared, &shared, .kind = i == 0 ? HAFT_THREAD : HAFT_TASK);
    haft_join_all(h, 4, NULL);
    printf("shared: %ld\n", s.count);

    haft_on_panic(say);
    haft_handle failing = haft_spawn(fail_half_way, &shared);
    haft_join(&failing);
    int rc = haft_mutex_lock(&s.lock); /* held, and told */
    printf("then: %s\n", haft_errname(rc));
    if (rc == HAFT_EPOISONED) {
        s.count = s.checked; /* made whole again */
        haft_mutex_heal(&s.lock);
    }
    haft_mutex_unlock(&s.lock);
    printf("shared: %ld\n", s.count);

    long total = 0, count[4] = { 0 };
    for (int i = 0; i < 4; i++)
        h[i] = haft_spawn(add_owned, &count[i]);
    for (int i = 0; i < 4; i++)
        if (haft_join(&h[i], &count[i]) == 0)
            total += count[i];
    printf("owned: %ld\n", total);
    return 0;
}
