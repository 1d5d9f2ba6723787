/* SPDX-License-Identifier: MIT */
#include "sensor.h"

#include <stdlib.h>

struct state {
    sensor *self; /* outlives the worker */
    sensor_probe *probe;
    int64_t period;
    unsigned turn; /* counts how often the period was set */
    struct reading last;
    HAFT_WATCH_SENDER(struct reading) tx;
    sensor_readings rx; /* so that there is always one who listens, and a set is kept */
};
struct sensor {
    HAFT_ACTOR(struct state) actor;
};

/* haft_actor_every has one period for ever, so each reading asks for the next. */
static int do_read(struct state *s, const unsigned *turn)
{
    if (*turn != s->turn)
        return 0; /* was asked for before the period was changed */
    s->last = (struct reading){ s->last.number + 1, s->probe() };
    haft_watch_set(&s->tx, &s->last);
    return haft_actor_after(&s->self->actor, s->period, do_read, turn);
}

static int do_set_period(struct state *s, const int64_t *period)
{
    s->period = *period;
    s->turn++;
    return do_read(s, &s->turn);
}

static int do_subscribe(struct state *s, sensor_readings *readings)
{
    return haft_watch_subscribe(&s->tx, readings);
}

static void state_drop(void *state)
{
    struct state *s = state;
    haft_watch_sender_drop(&s->tx);
    haft_watch_receiver_drop(&s->rx);
}

sensor *sensor_new(sensor_probe *probe, int64_t period)
{
    sensor *self = calloc(1, sizeof *self);
    struct state s = { .self = self, .probe = probe };
    if (self == NULL || haft_watch(&s.tx, &s.rx, &s.last) != 0 ||
        haft_actor_start(&self->actor, &s, .name = "sensor", .drop = state_drop) != 0) {
        state_drop(&s); /* not taken; ends that were not made are null */
        free(self);
        return NULL;
    }
    if (sensor_set_period(self, period) != 0)
        sensor_drop(&self);
    return self;
}

int sensor_set_period(sensor *s, int64_t period)
{
    return haft_call(&s->actor, do_set_period, &period);
}

int sensor_subscribe(sensor *s, sensor_readings *readings)
{
    *readings = (sensor_readings){ 0 };
    /* If the caller is aborted or late when its call has begun, nobody takes the answer: it goes to .drop. */
    return haft_call(&s->actor, do_subscribe, readings, .drop = haft_watch_receiver_drop);
}

void sensor_drop(sensor **s)
{
    haft_actor_drop(&(*s)->actor);
    free(*s);
    *s = NULL;
}
