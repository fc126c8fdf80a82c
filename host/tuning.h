/* SPDX-License-Identifier: Apache-2.0
 *
 * tuning.h - files of tuning records: those shipped with the program, the user's own, shared ones.
 *
 * A file is JSON, {"tuning": 1, "device", "platform", "driver", "version", "records": [{"op",
 * "variant", "among", "against_rule", "flops", "gflops", "gbs"}]}; kernels/tuning.h says what a
 * record means. Those of fast precision have "precision": "fast" and stand beside the exact ones.
 * among is the number of variants that the operation had in that precision: a record from before
 * another joined is passed over. A record {"op": "clblast:Xgemm", "variant": "GEMMK=0 KREG=1 ...",
 * "precision": "fast"} gives CLBlast's kernel other parameters than CLBlast's own. The user's own is
 * $XDG_CONFIG_HOME/videossm-cl/tuning/FINGERPRINT.json (else ~/.config/...), one for each device,
 * driver and version of this program. */
#ifndef VS_HOST_TUNING_H
#define VS_HOST_TUNING_H

#include <jansson.h>

#include "videossm.h"

/* Opens a device with the shipped records and then the user's. A file that cannot be used is a
 * warning, a record of an unknown operation or variant is passed over. */
VS_CHECK enum vs_status host_open_device(struct vs_context **context, const char *device);

/* The records alone, for a context that is open. */
void host_tuning_use(struct vs_context *context);

/* The file of the user's own records for a device; freed with free(). VS_ERROR_RUNTIME where
 * neither XDG_CONFIG_HOME nor HOME says where. */
VS_CHECK enum vs_status host_tuning_path(char **path, const struct vs_context *context);

/* Reads a file; VS_ERROR_USAGE says why it is none of records. Freed with json_decref(). */
VS_CHECK enum vs_status host_tuning_load(json_t **tuning, const char *path);

/* Writes the records of a device as a whole; folders are made. */
VS_CHECK enum vs_status host_tuning_save(const char *path, const struct vs_context *context,
                                         json_t *records);

/* Adds a record, in place of an older one of the same operation and precision. */
VS_CHECK enum vs_status host_tuning_add(json_t *records, const char *op, const char *variant,
                                        enum vs_precision precision, double against_rule);

enum vs_precision host_tuning_precision(const json_t *record);

/* Notes with the record added last how fast it was: 1e9 operations and bytes a second, on all units
 * of the device, of an operation of so many. 'plan' reckons with it. */
void host_tuning_note_speed(json_t *records, double flops, double gflops, double gbs);

/* The user's own records for a device, or NULL; freed with json_decref(). */
json_t *host_tuning_records(const struct vs_context *context);

/* Whether the operation still has as many variants as when it was measured, and this one too. */
bool host_tuning_is_current(const json_t *record);

/* host/tuning.json */
extern const char host_tuning_shipped[];

#endif
