/* convert_job.h - one conversion: its source, its adapters, its output's tensors. */
#ifndef WEIGHTS_CONVERT_JOB_H
#define WEIGHTS_CONVERT_JOB_H
#include "model/dit.h"
#include "model/t5.h"
#include "weights/convert.h"
#include "weights/lora.h"
#include "weights/lora/merge.h"
#include "base/report.h"

typedef struct convert_job {
    const dreamo_convert_options *o; /* = &options */
    dreamo_convert_options options;
    reporter to_caller;
    bool gguf;
    dtype to;
    dit *dit;                   /* what is converted: this */
    t5 *t5;                     /* or this */
    bound_files files;
    int nloras;
    lora_file *loras;
    lora_merged merged;         /* biases and norms that the LoRA files change */
    dreamo_tables own;          /* of a transformer that was fused before */
    dreamo_tables tables;       /* borrowed from the last LoRA file that has them, else `own` */
    convert_list list;
    st_tensor *out;             /* the list's tensors as a writer wants them */
    float *scales;              /* fp8: one for each of the list's tensors, used where it is stored as fp8 */
    char *fused;                /* "a.safetensors@1, b.safetensors@-0.8"; NULL: none */
    pool *threads;
    double done, total;         /* numbers, for the progress */
    progress progress;
    double told;                /* when the caller last heard of it; 0: never */
} convert_job;

/* Opens and checks everything; writes nothing.  On failure *j is to be closed all the same. */
dreamo_status convert_job_open(convert_job *j, const dreamo_convert_options *o, dreamo_error *err);
void          convert_job_close(convert_job *j);

/* n numbers are done: tells the caller, at whole percents and not more than once a second. */
dreamo_status convert_job_advance(convert_job *j, int64_t n, dreamo_error *err);

/* Reads o->out back and compares it with the source. */
dreamo_status convert_verify(convert_job *j, dreamo_error *err);
#endif
