/* SPDX-License-Identifier: MIT
 *
 * Readings of a thermometer, at different rates. */
#include "sensor.h"

#include <stdio.h>

static int thermometer(void)
{
    static int celsius = 20; /* only the sensor's worker is ever here */
    return celsius++;
}

/* Waits for a reading with at least that number. */
static int await_reading(sensor_readings *readings, unsigned number, struct reading *r)
{
    int rc = 0;
    while (rc == 0 && r->number < number) {
        rc = haft_watch_changed(readings);
        if (rc == 0)
            rc = haft_watch_get(readings, r); /* the latest; those in between are lost on purpose */
    }
    return rc;
}

int main(void)
{
    struct reading r = { 0 }, later;
    sensor_readings readings;
    sensor *s = sensor_new(thermometer, HAFT_MS);
    if (s == NULL || sensor_subscribe(s, &readings) != 0)
        return 1;
    int rc = await_reading(&readings, 5, &r);
    printf("five readings: %s; the value fits its number: %d\n", haft_strerror(rc), r.value == 19 + (int)r.number);

    sensor_set_period(s, 3600 * HAFT_S);
    haft_watch_get(&readings, &r);
    haft_sleep(5 * HAFT_MS);
    haft_watch_get(&readings, &later);
    printf("once an hour: %u more in five milliseconds\n", later.number - r.number);
    {
        HAFT_TIMEOUT(5 * HAFT_MS);
        printf("the next one: %s\n", haft_strerror(haft_watch_changed(&readings)));
    }
    sensor_set_period(s, HAFT_MS);
    printf("once a millisecond again: %s\n", haft_strerror(await_reading(&readings, r.number + 5, &r)));

    sensor_drop(&s);
    while ((rc = haft_watch_changed(&readings)) == 0)
        haft_watch_get(&readings, &r);
    printf("after its end: %s\n", haft_errname(rc));
    haft_watch_receiver_drop(&readings);
    return 0;
}
