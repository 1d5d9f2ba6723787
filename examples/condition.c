/* SPDX-License-Identifier: MIT
 *
 * Waiting under a lock until something about what it guards is true. A condition is looked at in a loop, because
 * another may have come first; a wait that fails holds the mutex, so the way out is the same. (To hand values from one
 * job to another, a channel does all of this.) */
#include <haft/haft.h>

#include <stdio.h>

static struct {
    haft_mutex lock;
    haft_cond changed;
    int cups; /* on the shelf; six at most */
    bool is_closed;
} kitchen = { .lock = HAFT_MUTEX_INIT, .changed = HAFT_COND_INIT };

static int wash(int *washed)
{
    int rc = 0;
    haft_mutex_lock(&kitchen.lock);
    HAFT_DEFER(haft_mutex_unlock, &kitchen.lock);
    while (*washed < 100) {
        while (kitchen.cups == 6)
            if ((rc = haft_cond_wait(&kitchen.changed, &kitchen.lock)) != 0)
                return rc;
        kitchen.cups++;
        ++*washed;
        haft_cond_broadcast(&kitchen.changed);
    }
    return 0;
}

static int drink(int *drunk)
{
    int rc = 0;
    haft_mutex_lock(&kitchen.lock);
    HAFT_DEFER(haft_mutex_unlock, &kitchen.lock); /* held in every case */
    for (;;) {
        while (kitchen.cups == 0 && !kitchen.is_closed)
            if ((rc = haft_cond_wait(&kitchen.changed, &kitchen.lock)) != 0)
                return rc;
        if (kitchen.cups == 0)
            return 0;
        kitchen.cups--;
        ++*drunk;
        haft_cond_broadcast(&kitchen.changed);
    }
}

int main(void)
{
    int washed = 0, drunk[2] = { 0, 0 };
    {
        HAFT_SCOPE(guests);
        for (int i = 0; i < 2; i++)
            haft_scope_spawn(guests, drink, &drunk[i], .kind = i == 0 ? HAFT_THREAD : HAFT_TASK);
        wash(&washed);
        haft_mutex_lock(&kitchen.lock);
        kitchen.is_closed = true;
        haft_mutex_unlock(&kitchen.lock);
        haft_cond_broadcast(&kitchen.changed);
    }
    printf("%d washed, %d drunk, %d left\n", washed, drunk[0] + drunk[1], kitchen.cups);

    HAFT_TIMEOUT(HAFT_MS);
    kitchen.is_closed = false;
    printf("then: %s\n", haft_errname(drink(&drunk[0])));
    return 0;
}
