/* SPDX-License-Identifier: MIT
 *
 * Something expensive is made once, by the first who needs it, while the others wait. With the value beside the once it
 * is a cell. A failure is its caller's alone: the next one tries again. */
#include <haft/haft.h>

#include <stdatomic.h>
#include <stdio.h>

struct config {
    int port;
};

static struct {
    haft_once once;
    struct config value;
} cell = { .once = HAFT_ONCE_INIT };

static atomic_int attempts;

static int load(struct config *config)
{
    int attempt = atomic_fetch_add(&attempts, 1) + 1;
    int rc = haft_sleep(100 * HAFT_US); /* others come meanwhile, and wait */
    if (rc != 0)
        return rc;
    if (attempt == 1)
        return HAFT_EAGAIN; /* not there yet */
    config->port = 8080;
    return 0;
}

struct client {
    int port;
};

static int connect_to_port(struct client *c)
{
    int rc = haft_once_call(&cell.once, load, &cell.value);
    if (rc == 0)
        c->port = cell.value.port; /* seen by everybody for whom it is done */
    return rc;
}

int main(void)
{
    enum { CLIENTS = 20 };
    haft_handle h[CLIENTS];
    int connected = 0, failed = 0;
    for (int i = 0; i < CLIENTS; i++)
        h[i] = haft_spawn(connect_to_port, &(struct client){ 0 }, .kind = i % 5 == 0 ? HAFT_THREAD : HAFT_TASK);
    for (int i = 0; i < CLIENTS; i++) {
        struct client c = { 0 };
        int rc = haft_join(&h[i], &c);
        connected += rc == 0 && c.port == 8080;
        failed += rc == HAFT_EAGAIN;
    }
    printf("%d connected, %d was told of the failure, %d attempts\n", connected, failed, atomic_load(&attempts));
    printf("done: %d\n", haft_once_is_done(&cell.once));
    return 0;
}
