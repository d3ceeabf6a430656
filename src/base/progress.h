/* progress.h - smoothed rate and time left, for everything that takes long. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H
#include <stdint.h>
typedef struct progress { double start, last, smoothed; int64_t done, total; } progress;
void   progress_start(progress *p, int64_t total);
void   progress_step(progress *p, int64_t done);
double progress_seconds_a_step(const progress *p); /* < 0: not known yet */
double progress_seconds_left(const progress *p);   /* < 0: not known yet */
/* "1.2 s", "3 min 20 s", "2 h 05 min" */
void   progress_words(double seconds, char *out, int nbytes);
/* "812 B", "3.41 kB", "12 MB", "9.98 GB" */
void   progress_bytes(double count, char *out, int nbytes);
#endif
