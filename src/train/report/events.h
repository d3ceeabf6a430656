/* events.h - a run as a TensorBoard event file, which is TensorFlow's record format around protobuf messages.
 *
 * A record: the length (8 bytes, little-endian), its masked CRC-32C, the bytes of an Event, their masked CRC-32C.  An Event holds the
 * time, the step, and a Summary of tagged numbers or pictures.  Only what is written here is understood when reading. */
#ifndef TRAIN_EVENTS_H
#define TRAIN_EVENTS_H
#include "train/report/log.h"

/* Begin the file, or keep of an older one the whole records of steps up to `done`; of that step itself only its line when not `whole`: what
 * came after it is made again. */
dreamo_status events_open(const char *path, int64_t done, bool whole, dreamo_error *err);
/* Numbers of a step, each under prefix + its name; prefix may be "". */
dreamo_status events_numbers(const char *path, int64_t step, const char *prefix, const log_part *part, int n, dreamo_error *err);
/* A PNG file's bytes. */
dreamo_status events_picture(const char *path, int64_t step, const char *tag, const void *png, size_t nbytes, dreamo_error *err);

uint32_t crc32c(const void *data, size_t nbytes); /* Castagnoli, as in RFC 3720 */
#endif
