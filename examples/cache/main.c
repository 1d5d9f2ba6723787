/* SPDX-License-Identifier: MIT
 *
 * A cache that ten tasks and ten threads use at once, and what happens to values whose time is over. */
#include "cache.h"

#include <haft/haft.h>

#include <stdio.h>

enum { USERS = 20 };

struct user {
    cache *cache;
    int number;
};

static int uses_it(const struct user *u)
{
    cache_client *c = cache_connect(u->cache);
    if (c == NULL)
        return HAFT_ENOMEM;
    HAFT_DEFER(cache_client_drop, &c);
    char key[CACHE_KEY], value[CACHE_VALUE] = "";
    snprintf(key, sizeof key, "user %d", u->number);
    int rc = cache_put(c, key, "is here", 3600 * HAFT_S);
    return rc == 0 ? cache_get(c, key, value) : rc; /* in this order: it is there */
}

static void print(cache_client *c, const char *key)
{
    char value[CACHE_VALUE] = "";
    int rc = cache_get(c, key, value);
    printf("%s: %s\n", key, rc == 0 ? value : haft_strerror(rc));
}

int main(void)
{
    cache *owner = cache_new(5 * HAFT_MS);
    cache_client *c = owner != NULL ? cache_connect(owner) : NULL;
    if (c == NULL)
        return 1;
    haft_handle users[USERS];
    for (int i = 0; i < USERS; i++)
        users[i] = haft_spawn(uses_it, (&(struct user){ owner, i }), .kind = i % 2 == 0 ? HAFT_TASK : HAFT_THREAD);
    int rc = haft_join_all_or_abort(users, USERS, NULL);
    size_t n = 0;
    cache_len(c, &n);
    printf("twenty users: %s, %zu values\n", haft_strerror(rc), n);

    cache_put(c, "weather", "rain", 3600 * HAFT_S);
    print(c, "weather");
    cache_put(c, "weather", "sun", 10 * HAFT_MS);
    haft_sleep(10 * HAFT_MS);
    print(c, "weather");
    while (cache_len(c, &n) == 0 && n > USERS) /* until it is swept out, too */
        haft_sleep(HAFT_MS);
    cache_remove(c, "user 7");
    print(c, "user 7");
    print(c, "user 8");
    cache_len(c, &n);
    printf("%zu values are left\n", n);

    cache_drop(&owner);
    print(c, "user 8");
    cache_client_drop(&c);
    return 0;
}
