/* SPDX-License-Identifier: MIT
 *
 * A sensor that is read every now and then, in the background. Who wants to know the readings subscribes, and waits for
 * them as for anything else; subscribers neither slow the sensor down nor keep it alive. From any thread and task. */
#ifndef SENSOR_H
#define SENSOR_H

#include <haft/haft.h>

typedef struct sensor sensor;

struct reading {
    unsigned number;
    int value;
};
typedef HAFT_WATCH_RECEIVER(struct reading) sensor_readings;
typedef int sensor_probe(void); /* reads the hardware; runs on the sensor's worker */

/* The first reading is made at once. Null: no memory. */
sensor *sensor_new(sensor_probe *probe, int64_t period);
/* The readings from now on: haft_watch_changed and haft_watch_get, or an arm of a select. HAFT_ECLOSED once the sensor is
 * gone. To be given up by haft_watch_receiver_drop. */
int sensor_subscribe(sensor *s, sensor_readings *readings);
/* Once this has returned the old period counts no more; a reading is made at once. */
int sensor_set_period(sensor *s, int64_t period);
/* The sensor must not be in use by others any more. */
void sensor_drop(sensor **s);

#endif
