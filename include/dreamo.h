/* dreamo.h - customised image generation in C: the whole public interface.
 *
 * A model is opened once and shared; a request makes pictures from a prompt and
 * up to nine reference pictures.  The same library trains the model.
 *
 * Conventions
 *  - Every function that can fail for outside reasons returns a dreamo_status
 *    and fills the caller's dreamo_error (which may be NULL).
 *  - Options structs begin with `size`: set it by the *_init function, so that a
 *    program built against an older header keeps working.  (From other languages:
 *    the exported *_init_sized, with the size of the struct as it is known there.)
 *  - A pointer that must not be NULL and is: DREAMO_ARG.
 *  - The library never prints, exits or aborts.  Strings are UTF-8.
 *  - Pictures are 8-bit RGB, row by row from the top, without padding.
 */
#ifndef DREAMO_H
#define DREAMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DREAMO_API __attribute__((visibility("default")))
#else
#define DREAMO_API
#endif

/* ---- outcomes -------------------------------------------------------------------------------- */

/* What a call came to.  One table (src/base/error.c) maps each to an exit code, a
 * machine-readable code and an HTTP status. */
typedef enum dreamo_status {
    DREAMO_OK = 0,
    DREAMO_DIFFERS,   /* the command worked; the answer is "no" */
    DREAMO_ARG,       /* unknown option or field, not a number, out of range */
    DREAMO_FORMAT,    /* a file or upload breaks its format's rules */
    DREAMO_NOT_FOUND, /* no such file, model, job */
    DREAMO_MEMORY,    /* would not fit, or an allocation failed */
    DREAMO_LIMIT,     /* over a stated limit (pixels, bytes, references, steps) */
    DREAMO_IO,        /* read or write failed, disk full */
    DREAMO_DEVICE,    /* no such device or driver, device lost */
    DREAMO_NUMERIC,   /* NaN or infinity appeared */
    DREAMO_CONTENT,   /* a valid picture, unusable for the task */
    DREAMO_MISMATCH,  /* checkpoint, LoRA or dataset does not belong to this model */
    DREAMO_BUSY,      /* queue full, lock held */
    DREAMO_AUTH,      /* key, origin or host refused */
    DREAMO_NET,       /* cannot bind, peer gone */
    DREAMO_VERSION,   /* file or client from another generation */
    DREAMO_BUG,       /* an invariant broke; report it */
    DREAMO_CANCELLED  /* a callback, or the user, asked to stop */
} dreamo_status;

/* Filled once, at the place that detects the failure.  `message` names the thing
 * and what was found; `hint` says what to do, and may be empty. */
typedef struct dreamo_error {
    dreamo_status status;
    char message[480];
    char hint[240];
} dreamo_error;

DREAMO_API int         dreamo_exit_code(dreamo_status status);   /* process exit code */
DREAMO_API const char *dreamo_status_code(dreamo_status status); /* "bad_argument"; static storage */
DREAMO_API int         dreamo_http_status(dreamo_status status); /* 400, 422, ... */
DREAMO_API const char *dreamo_version(void);                     /* "0.1.0"; static storage */
/* The file that the library has mapped at this address; NULL: none.  Async-signal-safe, for a program's handler of SIGBUS: weights that are
 * cut short or rewritten in place during a call cannot be read any more.  (Replacing a file by renaming another over it is harmless.) */
DREAMO_API const char *dreamo_mapped_file(const void *address);

/* ---- progress -------------------------------------------------------------------------------- */

typedef enum dreamo_event_kind {
    DREAMO_EVENT_OPEN,    /* weights mapped: text = one line about the model */
    DREAMO_EVENT_REF,     /* a reference is prepared: text = what the model sees */
    DREAMO_EVENT_PLAN,    /* text = the plan in words */
    DREAMO_EVENT_STEP,    /* step `done` of `total` */
    DREAMO_EVENT_WARNING, /* text = one line */
    DREAMO_EVENT_NOTE,    /* text = one line */
    DREAMO_EVENT_TICK,    /* a block of a step is done: nothing to show, a chance to stop */
    DREAMO_EVENT_PREVIEW  /* image = the picture as it would be if it were finished now, at most 256 pixels a side, after step `done` of `total` */
} dreamo_event_kind;

struct dreamo_image;

typedef struct dreamo_event {
    dreamo_event_kind kind;
    int64_t done, total;   /* steps */
    double seconds_left;   /* < 0: not known yet */
    double seconds_a_step; /* smoothed */
    const char *text;      /* valid during the call; may be NULL */
    const struct dreamo_image *image; /* with PREVIEW, and with REF what the model sees, of reference `done` of `total`; valid during the call; else NULL */
} dreamo_event;

/* Called from the thread that made the call.  Return false to stop: the call
 * then ends with DREAMO_CANCELLED and leaves nothing half-written.  Kinds that
 * a program does not know are to be ignored. */
typedef bool (*dreamo_progress)(void *user, const dreamo_event *event);

/* ---- model ----------------------------------------------------------------------------------- */

typedef struct dreamo_model dreamo_model;

typedef enum dreamo_numerics {
    DREAMO_NUMERICS_AUTO,    /* official for bf16 FLUX-size checkpoints' noise and schedule, exact for the default model */
    DREAMO_NUMERICS_OFFICIAL,/* copy the official pipeline's bf16 rounding places (noise, timestep, guidance, dt, latents) */
    DREAMO_NUMERICS_EXACT    /* plain fp32 */
} dreamo_numerics;

typedef struct dreamo_lora {
    const char *path;
    float scale;
} dreamo_lora;

typedef struct dreamo_model_options {
    size_t size;
    const char *dir;           /* model folder in the diffusers layout; or a folder of single FLUX weight files, told apart by content; or
                                  the name of a folder beside the default model ("flux-dev"); NULL = the shipped default model */
    const char *dit, *t5, *clip, *vae; /* parts from other files, safetensors or GGUF; NULL = from dir */
    const char *variant;       /* "v1" or "v1.1": DreamO's published LoRAs with their weights, and their steps and guidance; NULL = none */
    const char *variant_dir;   /* where those files lie; NULL = dir/dreamo */
    bool no_turbo;             /* a variant without the turbo LoRA, with 25 steps instead of 12 */
    const dreamo_lora *loras;  /* applied in order, after the variant's */
    int nloras;
    bool no_default_lora;      /* do not load the folder's own dreamo/ adapter */
    bool fast, exact;          /* whether to round for speed; neither: fast where the transformer's weights are in ggml's blocks, it is of FLUX's size, the
                                  machine gains by it (AVX-512 VNNI) and `numerics` is not "exact".  Both at once are refused.
                                  fast: in the denoising steps multiply in 8-bit integers where weights are in ggml's blocks (Q8_0 ... Q3_K; not Q2_K, whose products stay):
                                  activations are rounded to 8 bits in blocks of 32, an error of about 0.5 % in each product.  Faster with
                                  AVX-512 VNNI only; the same numbers everywhere, in backend "ref", too.  With AVX-512 BF16, attention over
                                  1,024 rows or more multiplies in bf16 */
    dreamo_numerics numerics;
    int threads;               /* 0 = one for each core */
    const char *backend;       /* the device: "cpu" (default), "ref" (slow, the specification), "ggml:NAME" (one of dreamo_devices, where the library was built
                                  with ggml), "auto" (where a picture takes least time, of "cpu" and the GPUs that pass their self-test and
                                  have room for it; a DREAMO_EVENT_NOTE says why one is not taken) */
    const char *cache;         /* a folder (made when missing) that keeps what the text encoders made of prompts, and gives it back bit for bit; NULL = none.
                                  It holds prompts' embeddings, 8 MB each with FLUX, and is never emptied here */
    dreamo_progress progress;
    void *user;
    const char *networks, *cutter, *ref_cache; /* how references are prepared: as in dreamo_prep_options (`cache` there) */
    uint64_t memory;           /* bytes that a device of its own may take, 0 = what it has free: weights that do not fit pass through block by block */
} dreamo_model_options;

DREAMO_API void          dreamo_model_options_init_sized(dreamo_model_options *o, size_t nbytes);
static inline void       dreamo_model_options_init(dreamo_model_options *o) { dreamo_model_options_init_sized(o, sizeof *o); }
DREAMO_API dreamo_status dreamo_open(const dreamo_model_options *o, dreamo_model **model, dreamo_error *err);
DREAMO_API void          dreamo_close(dreamo_model *model); /* NULL is allowed */

/* A device that networks can run on, beside "cpu" and "ref". */
typedef struct dreamo_device {
    size_t size;
    const char *name, *description; /* "ggml:CUDA0"; the maker's words */
    uint64_t free_bytes, total_bytes, largest_bytes; /* memory; what one buffer may hold */
    bool gpu;                /* a processor of its own */
    bool overlaps;           /* weights are sent while it computes */
    double error;            /* of a small block's ops against "ref": rms, relative; < 0 not tested */
    double rate;             /* flops a second of a product with bf16 weights; 0 not measured */
    const char *fault;       /* why it did not pass; NULL when it did */
} dreamo_device;
typedef bool (*dreamo_device_row)(void *user, const dreamo_device *d); /* false: enough */
/* Each device in turn; with `test` after its self-test, a second or so each.  A library without ggml has none. */
DREAMO_API dreamo_status dreamo_devices(bool test, dreamo_device_row row, void *user, dreamo_error *err);
/* What the device of an opened model has done since that was asked last. */
typedef struct dreamo_device_counts {
    size_t size;
    int64_t graphs, recorded;            /* computed; recorded anew before that */
    int64_t nodes, fusable;              /* kernels asked for; of these, that backends may do together with the one before */
    double bytes, uploaded;              /* that kernels read and write; that went over from the host */
    uint64_t held, peak, limit;          /* device memory now, at most, and allowed */
    uint64_t resident, streamed;         /* bytes of weights that stay; that passed through */
} dreamo_device_counts;
/* DREAMO_DEVICE: the model runs on the processor itself, which is not counted.  Not while it makes a picture. */
DREAMO_API dreamo_status dreamo_count_device(dreamo_model *model, dreamo_device_counts *out, dreamo_error *err); /* set out->size first */
/* The ggml that this library was built with, "0.25.3"; NULL: without. */
DREAMO_API const char *dreamo_ggml_version(void);

/* Path of the shipped default model as dreamo_open would find it ($DREAMO_MODEL, beside the
 * program, the installed data folder).  Static storage; NULL when there is none. */
DREAMO_API const char *dreamo_default_model(void);

/* What an opened model is and what a request gets that does not say.  Strings live as long as the model. */
typedef struct dreamo_model_about {
    size_t size;
    const char *name;        /* the folder's */
    const char *hash;        /* 64 hex digits: tells models apart, and stands in every picture's metadata */
    const char *backend;     /* "cpu" */
    int threads;
    int width, height, steps, ref_res;
    double guidance, true_cfg;
    int cell;                /* sides are multiples of this many pixels */
    int max_side, max_steps; /* what a request may ask for at most */
    int max_refs;            /* 0: the model has no adapter for references */
    uint64_t weight_bytes;   /* mapped */
    int ref_res_face, ref_res_style, ref_res_several; /* side of a face, of a style, of each of several things; ref_res: of one thing */
    int ref_res_faces;       /* of each face where there are several references */
} dreamo_model_about;
DREAMO_API dreamo_status dreamo_about(const dreamo_model *model, dreamo_model_about *out, dreamo_error *err); /* set out->size first */

/* ---- pictures -------------------------------------------------------------------------------- */

typedef struct dreamo_image {
    int width, height;     /* pixels */
    uint8_t *rgb;      /* [height, width, 3], owned; free with dreamo_image_free */
    char *metadata;    /* JSON: prompt, seed, steps, hashes; owned; may be NULL */
} dreamo_image;

/* Read a PNG, JPEG or WebP file (by content, not name).  Alpha is composited on white. */
DREAMO_API dreamo_status dreamo_image_read(const char *path, dreamo_image *out, dreamo_error *err);
/* Write PNG (metadata goes into a text chunk) or JPEG by `format` ("png", "jpeg"), atomically.
 * With `clobber` false an existing file is refused. */
DREAMO_API dreamo_status dreamo_image_write(const dreamo_image *im, const char *path, const char *format, bool clobber, dreamo_error *err);
DREAMO_API void          dreamo_image_free(dreamo_image *im);
/* The same from and to memory.  `what` names the bytes in messages.  A picture of more than `max_pixels` (0: 40 million) is refused with
 * DREAMO_LIMIT when its header is read, before anything is decoded. */
DREAMO_API dreamo_status dreamo_image_decode(const void *data, size_t nbytes, const char *what, int64_t max_pixels, dreamo_image *out, dreamo_error *err);
/* What a PNG of ours says about how it was made: JSON, for dreamo_text_free; NULL when a picture says nothing. */
DREAMO_API dreamo_status dreamo_image_metadata(const void *data, size_t nbytes, const char *what, char **json, dreamo_error *err);
/* `format`: "png" (with metadata), "jpeg" or "webp"; quality 1 to 100 of the latter two, 0 = 95.  *data is owned: dreamo_bytes_free. */
DREAMO_API dreamo_status dreamo_image_encode(const dreamo_image *im, const char *format, int quality, void **data, size_t *nbytes, dreamo_error *err);
DREAMO_API void          dreamo_bytes_free(void *data); /* NULL is allowed */
/* SHA-256 in 64 hex digits and a NUL: the names that metadata gives to references. */
DREAMO_API void          dreamo_sha256(const void *data, size_t nbytes, char out[65]);

typedef enum dreamo_task { DREAMO_IP, DREAMO_ID, DREAMO_STYLE, DREAMO_AUTO /* id where a face is what the picture shows, else ip */ } dreamo_task;

/* What is done about a reference's background. */
typedef enum dreamo_cut {
    DREAMO_CUT_BEST,        /* its alpha where it has some, else the best cutter that is there */
    DREAMO_CUT_OFF,         /* nothing: the picture as it is */
    DREAMO_CUT_ALPHA,       /* its alpha; a picture without is refused (DREAMO_CONTENT) */
    DREAMO_CUT_NET          /* a network, even where there is alpha or a plain background */
} dreamo_cut;

typedef struct dreamo_reference {
    dreamo_task task;
    const char *path;       /* a picture file; NULL when it is given in memory */
    const dreamo_image *image; /* pixels, without alpha */
    const void *data;       /* or a picture file's bytes, as if read from a file; the name for messages is `name` */
    size_t nbytes;
    const char *name;       /* NULL = "reference 1" and so on */
    int slot;               /* 1..9: which index embedding; 0 = its place in the list */
    int res;                /* area-resize to about res*res pixels; 0 = the model's default; -1 = keep the size (floored to the token grid) */
    dreamo_cut cut;
    int face;               /* id: which, counted from left to right from 1; 0 = the nearest to the picture's middle, as the official code chooses */
    int box[4];             /* only this part of the picture: left, top, width, height in pixels; width 0 = all of it */
    bool garment;           /* ip: the clothes of the person alone (part=garment) */
    bool as_stored;         /* do not turn the picture as its EXIF data say; the official code does not */
} dreamo_reference;

typedef struct dreamo_request {
    size_t size;
    const char *prompt, *negative;      /* negative NULL = none given */
    const dreamo_reference *refs;
    int nrefs;
    int width, height;                  /* 0 = the model's default */
    int steps;                          /* 0 = the model's default */
    double guidance;                    /* < 0 = the model's default */
    double first_guidance;              /* <= 0 = same as guidance */
    double true_cfg;                    /* 1 = off; 0 = the model's default, which a distilled model says in one pass.  Without a negative prompt the empty one is taken */
    int cfg_start, cfg_end;             /* true CFG in steps start <= i < end; both 0 = all steps, or those of much noise where the model's defaults.json says so */
    double negative_guidance;           /* < 0 = 3.5 */
    uint64_t seed;
    bool ref_noise;                     /* sample the reference's posterior with ref_seed; false = its mean */
    uint64_t ref_seed;
    const char *noise;                  /* "bf16", "fp32", "fp32-rounded"; NULL = by numerics */
    bool timings;                       /* after the picture a DREAMO_EVENT_NOTE: seconds of each stage, most memory of the process so far */
    const char *dump;                   /* folder for every stage as safetensors; NULL = none */
    const char *maps;                   /* folder for where in the picture each reference is looked at: map-SLOT-SEED.png, the picture bright there and dark
                                         * elsewhere, the mean over layers and steps; NULL = none.  The picture stays the same */
    int preview_every;                  /* a PREVIEW event after every so many steps, the last one excepted; 0 = none.  The picture stays the same */
    dreamo_progress progress;
    void *user;
} dreamo_request;

DREAMO_API void          dreamo_request_init_sized(dreamo_request *r, size_t nbytes);
static inline void       dreamo_request_init(dreamo_request *r) { dreamo_request_init_sized(r, sizeof *r); }
/* Make one picture.  `out` is filled on success and owned by the caller.  One call a model at a time: other threads wait their turn;
 * from the call's own progress callback DREAMO_BUSY (and dreamo_close is not allowed there). */
DREAMO_API dreamo_status dreamo_generate(dreamo_model *model, const dreamo_request *r, dreamo_image *out, dreamo_error *err);

/* n pictures at once (at most DREAMO_BATCH), their steps run as one packed batch: each has the bytes that dreamo_generate gives it.  Worth it where the steps of
 * one alone leave the machine waiting: small pictures, weights that are read anew at each step.  All have the same size, number of steps and steps with true CFG
 * (else DREAMO_MISMATCH for those that differ from the first), none may ask for a dump; prompts, references and seeds are each its own, and so are
 * callbacks.  errs [n] and out [n] are picture by picture: one that fails, or is stopped by its callback, leaves the others alone.  Returns DREAMO_OK when
 * all of them were made, else the status of the first that was not. */
enum { DREAMO_BATCH = 16 };
DREAMO_API dreamo_status dreamo_generate_batch(dreamo_model *model, const dreamo_request *const *r, int n, dreamo_image *out, dreamo_error *errs);

/* What the model will see of a reference: cut out, composited, resized.  `index` is its place in the list, from 0; progress (may be NULL)
 * hears REF, WARNING and NOTE lines.  Any thread may ask while the model makes a picture. */
DREAMO_API dreamo_status dreamo_reference_show(const dreamo_model *model, const dreamo_reference *r, int index, dreamo_progress progress, void *user,
                                               dreamo_image *out, dreamo_error *err);

/* ---- preparing references -------------------------------------------------------------------- */

/* The same without a model.  What is done with a picture: EXIF's orientation is applied, alpha composited on white; ip: its thing cut out and laid on white, by the
 * official network (BEN2) where it is there, else ISNet, else what its plain background tells, else dreamo's own network; id: the face found, made upright in a
 * square of 512 pixels, and all but face and hair made white; style: nothing.  Then it is resized. */
typedef struct dreamo_prep dreamo_prep;
typedef struct dreamo_prep_options {
    size_t size;
    const char *networks;    /* folder with the networks; NULL = $DREAMO_NETWORKS, else "prep" beside the shipped model */
    const char *cutter;      /* "auto" (NULL), "ben2", "isnet", "own" or "plain": what cuts things out */
    const char *cache;       /* folder (made when missing) that keeps results by a hash of all that they depend on; NULL = none.  Never emptied here */
    int threads;             /* 0 = one for each core */
    int res;                 /* of references that do not say: 512 */
    int cell;                /* sides are multiples of it: 16, as FLUX wants */
    const char *device;      /* on which the networks compute: "cpu" (NULL), or as `backend` of a model, "auto" left out */
    uint64_t memory;         /* bytes that a device of its own may take; 0 = what is free */
} dreamo_prep_options;
DREAMO_API void          dreamo_prep_options_init_sized(dreamo_prep_options *o, size_t nbytes);
static inline void       dreamo_prep_options_init(dreamo_prep_options *o) { dreamo_prep_options_init_sized(o, sizeof *o); }
/* Networks are opened when first wanted.  DREAMO_NOT_FOUND: no such folder. */
DREAMO_API dreamo_status dreamo_prep_open(const dreamo_prep_options *o, dreamo_prep **out, dreamo_error *err);
DREAMO_API void          dreamo_prep_close(dreamo_prep *p); /* NULL is allowed */
/* What a model would see of the reference, and as which task (may be NULL); `index`, progress and user as in dreamo_reference_show.  From any thread, one picture at a
 * time.  DREAMO_CONTENT: no face, or nothing that the task could be done with. */
DREAMO_API dreamo_status dreamo_prep_run(dreamo_prep *p, const dreamo_reference *r, int index, dreamo_progress progress, void *user, dreamo_image *out,
                                         dreamo_task *task, dreamo_error *err);

/* What a request would cost, found by a dry run without weights (DESIGN: the dry backend). */
typedef struct dreamo_plan {
    int width, height, steps, tokens;
    int64_t ops;
    double flops;            /* whole request */
    uint64_t weight_bytes;   /* mapped */
    uint64_t work_bytes;     /* peak of arenas and scratch */
    uint64_t peak_bytes;     /* most memory that the process will hold at a time: what it holds now, and the most that one phase adds (text,
                                a reference, modulations, steps, decoding): mapped pages of the weights that it reads, which leave the
                                process when it ends, and its work */
    double seconds;          /* from the rate measured on this machine; < 0 unknown */
    bool fast;               /* steps round what they multiply (dreamo_model_options.fast, or by themselves) */
} dreamo_plan;
/* Any thread may ask while the model makes a picture.  A request that dreamo_generate would refuse is refused here, too. */
DREAMO_API dreamo_status dreamo_plan_request(dreamo_model *model, const dreamo_request *r, dreamo_plan *plan, dreamo_error *err);

/* The same on one of this machine's devices. */
typedef struct dreamo_device_plan {
    size_t size;
    const char *name;        /* "cpu", or one of dreamo_devices */
    double seconds, step_seconds; /* the whole request, its weights sent over first; one step; < 0 unknown: no memory to measure in */
    uint64_t held_bytes, limit_bytes; /* device memory at most, and what there is of it; cpu: what a request adds to the process, and 0 */
    uint64_t resident_bytes, streamed_bytes; /* of the transformer's weights: what stays there, and what passes through in every step */
    int doubles, singles;    /* blocks whose weights stay, from the first on */
    bool fits;
    const char *why;         /* why it would not do: too little memory, or it fails its self-test; NULL: it would */
} dreamo_device_plan;
typedef bool (*dreamo_device_plan_row)(void *user, const dreamo_device_plan *d); /* false: enough */
/* Each device in turn, measured for a second or two, nothing of the weights read.  Memory is limited as the model was opened (dreamo_model_options.memory). */
DREAMO_API dreamo_status dreamo_plan_devices(dreamo_model *model, const dreamo_request *r, dreamo_device_plan_row row, void *user, dreamo_error *err);

/* ---- looking into things --------------------------------------------------------------------- */

typedef struct dreamo_tokens {
    int nt5, nclip;          /* with end (and start) token, without padding */
    int32_t *t5, *clip;      /* owned */
    char **t5_piece, **clip_piece; /* owned, one string an id */
    char *t5_cut, *clip_cut; /* the part of the text that did not fit; NULL when all did */
    char *t5_unknown;        /* the first of the characters that T5's vocabulary lacks and that are not read; NULL: none */
} dreamo_tokens;
/* Both tokenizers of a model folder, to be used for many texts and from many threads.  A text is given with its length, so
 * that it may hold NUL characters; it must be UTF-8 (DREAMO_ARG) and at most 1 MiB (DREAMO_LIMIT). */
typedef struct dreamo_tokenizer dreamo_tokenizer;
DREAMO_API dreamo_status dreamo_tokenizer_open(const char *model_dir, dreamo_tokenizer **out, dreamo_error *err);
DREAMO_API dreamo_status dreamo_tokenizer_run(const dreamo_tokenizer *t, const char *text, size_t nbytes, dreamo_tokens *out, dreamo_error *err);
DREAMO_API void          dreamo_tokenizer_close(dreamo_tokenizer *t); /* NULL is allowed */
/* The same for one text, NUL-terminated. */
DREAMO_API dreamo_status dreamo_tokenize(const char *model_dir, const char *text, dreamo_tokens *out, dreamo_error *err);
DREAMO_API void          dreamo_tokens_free(dreamo_tokens *t); /* NULL is allowed */

/* What a picture, weight file, model folder, checkpoint or dataset is, by its content: JSON, to be freed with
 * dreamo_text_free.  `tensors` lists every tensor of a weight file. */
DREAMO_API dreamo_status dreamo_info(const char *path, bool tensors, char **json, dreamo_error *err);
DREAMO_API void          dreamo_text_free(char *text);

/* ---- converting ------------------------------------------------------------------------------ */

/* What one tensor of the output lost, compared with the numbers that were to be stored (adapters included). */
typedef struct dreamo_tensor_loss {
    const char *name, *type; /* valid during the call */
    double worst;            /* largest error, as a share of the tensor's largest magnitude */
    double mean;             /* root mean square of the error, as a share of that of the tensor */
    double bound;            /* what `mean` may be for this type */
} dreamo_tensor_loss;
typedef bool (*dreamo_loss_row)(void *user, const dreamo_tensor_loss *loss); /* false: stop, DREAMO_CANCELLED */

/* Store a transformer or a T5 encoder in another type, in one file with the names that other programs know (BFL's; T5 in GGUF:
 * llama.cpp's), LoRA files fused in for good.
 * `to`: "f32", "bf16", "f16", "fp8" (e4m3, a scale for each matrix), or one of ggml's: "q8" (Q8_0), "q6", "q5", "q4" (Q6_K, Q5_K, Q4_K,
 * with smaller blocks where rows are no multiple of 256: Q8_0, Q5_1, Q4_1), "q8_0", "q5_1", "q5_0", "q4_1", "q4_0".  Vectors stay fp32;
 * the first and last layers and the embedders of time, guidance and pooled text stay 16-bit.  A file that was fused holds the embedding
 * tables of the last LoRA file that has some, as "dreamo_task_embedding.weight" and so on; dreamo_open finds them there. */
typedef struct dreamo_convert_options {
    size_t size;
    const char *in;          /* model folder or folder of single files (its transformer), a transformer's or T5's folder, or a file of any layout */
    const char *model;       /* whose configurations a file belongs to; NULL = "flux-dev" */
    const char *out;         /* .gguf (not for fp8) or .safetensors (not for ggml's types) */
    const char *to;          /* NULL: "q8" in a .gguf, "bf16" in a .safetensors file */
    const char *variant, *variant_dir; /* as in dreamo_model_options; NULL: none, in/dreamo */
    bool no_turbo;
    const dreamo_lora *fuse; /* in order, after the variant's */
    int nfuse;
    bool official;           /* round after each addition as the official pipeline does in bf16; false: add in fp32, round once */
    bool clobber;            /* replace an existing file */
    bool verify;             /* read the file back: DREAMO_DIFFERS when a tensor lost more than its bound or is not finite */
    int threads;             /* 0 = one for each core */
    dreamo_progress progress; /* STEP: percent */
    dreamo_loss_row row;     /* verify: called for each tensor; may be NULL */
    void *user;              /* of both */
} dreamo_convert_options;
DREAMO_API void          dreamo_convert_options_init_sized(dreamo_convert_options *o, size_t nbytes);
static inline void       dreamo_convert_options_init(dreamo_convert_options *o) { dreamo_convert_options_init_sized(o, sizeof *o); }
DREAMO_API dreamo_status dreamo_convert(const dreamo_convert_options *o, dreamo_error *err);

/* What would be written. */
typedef struct dreamo_convert_types { const char *type; int64_t tensors, numbers; uint64_t bytes; } dreamo_convert_types;
typedef struct dreamo_convert_costs {
    int ntypes;
    dreamo_convert_types types[8];
    uint64_t bytes;          /* of all tensors */
    uint64_t free_bytes;     /* in the folder of `out` */
} dreamo_convert_costs;
DREAMO_API dreamo_status dreamo_convert_plan(const dreamo_convert_options *o, dreamo_convert_costs *costs, dreamo_error *err);

/* Write the LoRA file `in`, of any naming, to `out` (.safetensors) under the names of "dreamo", "diffusers" (PEFT's) or "kohya", or its three
 * embedding tables alone, "embedding"; only the first and the last keep the tables, which other programs refuse.  model: whose
 * transformer it was made for; NULL = "flux-dev".  Products B A stay as they are, stored as bf16 where all numbers are, else as
 * fp32.  DREAMO_MISMATCH: it adapts a layer that the naming has no name for.  WARNING events name tensors that are left out; progress may be
 * NULL. */
DREAMO_API dreamo_status dreamo_lora_rename(const char *in, const char *model, const char *naming, const char *out, bool clobber,
                                            dreamo_progress progress, void *user, dreamo_error *err);

/* ---- training -------------------------------------------------------------------------------- */

/* One run of one stage (autoencoder, base or adapter), or of several in turn, as a recipe file says: recipes/ holds those of the shipped
 * model.  A recipe with [stage NAME] headings is a plan: each of its stages has OUT/NAME to itself.
 * `out` receives ckpt-000250/ (whole or not there), `latest`, log.ndjson, samples/, and model/: a complete model folder with
 * what was trained, renewed at each checkpoint. */
typedef struct dreamo_train_options {
    size_t size;
    const char *recipe;            /* a file of name = value lines */
    const char *const *overrides;  /* "name=value", applied after the recipe */
    int noverrides;
    const char *model;             /* model folder; parts that have a config but no weights are begun anew.  Or a folder of FLUX's single weight
                                      files, or the name of a folder beside the default model ("flux-dev") */
    const char *data;              /* dataset folder, or pictures of one's own */
    const char *out;               /* run folder, made when missing; one trainer at a time (DREAMO_BUSY) */
    bool resume;                   /* go on from the newest whole checkpoint in `out` */
    int threads;                   /* 0 = one for each core */
    const char *backend;           /* NULL = "cpu"; "cuda" (NVIDIA's cards, where the library was built with it), "ref" */
    /* Events: NOTE and WARNING lines; STEP for each step, `text` holding a table line every log_every steps, else NULL. */
    dreamo_progress progress;
    void *user;
    const volatile bool *stop;     /* true: finish the step, save, return DREAMO_CANCELLED; NULL = never */
    /* With given pictures: a folder that keeps what the frozen autoencoder and text encoders make of them, made when missing; runs may
     * share it.  Losses are the same without.  NULL = none. */
    const char *cache;
    const char *dit, *t5, *clip, *vae; /* parts from other files, safetensors or GGUF, trained on as they are stored; NULL = from `model` */
} dreamo_train_options;

DREAMO_API void          dreamo_train_options_init_sized(dreamo_train_options *o, size_t nbytes);
static inline void       dreamo_train_options_init(dreamo_train_options *o) { dreamo_train_options_init_sized(o, sizeof *o); }
DREAMO_API dreamo_status dreamo_train(const dreamo_train_options *o, dreamo_error *err);

/* What one step would cost, by a dry run: nothing is computed or written, `out` is not needed. */
typedef struct dreamo_train_costs {
    int64_t parameters, frozen;    /* numbers that are trained, numbers that are not */
    int64_t steps, batch, tokens;  /* of the recipe; tokens (or pixels, for the autoencoder) in a step */
    int64_t ops;                   /* in a step */
    double flops;                  /* in a step, forward and backward */
    uint64_t param_bytes;          /* values, gradients, moments, average */
    uint64_t work_bytes;           /* arenas */
    uint64_t weight_bytes;         /* of the weight files that are there, mapped and not copied: the system may drop and read again what it needs */
    uint64_t peak_bytes;           /* most memory of the process: these, but the T5 encoder's weights and the transformer's never at once */
    double seconds;                /* a step, from the rate measured on this machine, without composing samples; < 0 unknown */
} dreamo_train_costs;
DREAMO_API dreamo_status dreamo_train_plan(const dreamo_train_options *o, dreamo_train_costs *costs, dreamo_error *err);

/* Losses and gradients of the one sample in folder `probe` (case.json, pictures, inputs.safetensors), written to
 * dump/train.safetensors; no step is made. */
DREAMO_API dreamo_status dreamo_train_probe(const char *probe, const dreamo_model_options *model, const char *dump, dreamo_error *err);

/* ---- measuring --------------------------------------------------------------------------------- */

/* How well a model does what it is asked, by a judge: a small network that tells things, persons, styles and garments apart (trained by stage
 * `judge` of a recipe; docs/training.md).  For each kind of task n held-out samples are asked; a reference is found in the picture when, of up
 * to 100 candidates, it is the one that some window of the picture is most like.  The same on the samples' own targets is the ceiling, with
 * another sample's references the floor. */
struct dreamo_eval_row;
typedef struct dreamo_eval_options {
    size_t size;
    const dreamo_model_options *model; /* NULL: no picture is made; ceilings and floors tell how good the judge is */
    const char *data;          /* dataset folder, or pictures of one's own, of which targets may be missing here: no ceiling then */
    const char *among;         /* a dataset whose references stand beside the right one as candidates; NULL = data */
    const char *judge;         /* folder with config.json and model.safetensors; NULL = "judge" beside the shipped model */
    const char *kinds;         /* "subject subjects"; NULL = all that the data has something held out of */
    int n;                     /* samples of a kind, 100.  Given pictures: each once, at most so many */
    int seeds;                 /* pictures of a sample, 1; diversity needs 2 */
    int candidates;            /* 100; fewer where the data has fewer (`dreamo_eval_row.candidates` tells) */
    uint64_t seed;             /* of the samples, and the first of the pictures, 1 */
    int width, height;         /* 0 = the model's default (128 without a model) */
    int ref_side;              /* of the references, which are squares; 0 = the model's default */
    int steps;                 /* 0 = the model's default; the next two as in dreamo_request */
    double guidance, true_cfg;
    bool placed;               /* captions with [ref#k], where there are some */
    bool scenes;               /* one more picture of each sample with another one's scene in its caption */
    bool trained;              /* given pictures: those that training would see, too */
    const char *keep;          /* a folder (made when missing) that keeps the pictures: a run that was stopped goes on from it, another judge looks
                                  at the same ones.  DREAMO_MISMATCH: it holds other pictures.  NULL = none */
    const char *page;          /* an HTML file to write, whole in itself: each kind's worst and median cases.  NULL = none */
    int threads;               /* of the judge; 0 = one for each core */
    const char *backend;       /* of the judge; NULL = "cpu" */
    dreamo_progress progress;  /* STEP: pictures */
    void *user;                /* of both callbacks */
    bool (*row)(void *user, const struct dreamo_eval_row *row); /* each kind as it is done; false: stop, DREAMO_CANCELLED.  May be NULL */
    const char *pairs;         /* a folder (made when missing) for preferences: of each sample's pictures, here of what training sees, the one the judge
                                  likes best (saying no less of the caption) and the one it likes least, a dataset for `dpo`.  Needs 2 seeds.  NULL = none */
    const char *against;       /* another model's `keep` of the same samples (DREAMO_MISMATCH: of others): each row tells `wins`.  NULL = none */
    bool pairs_real;           /* of `pairs` the sample's own target is the liked one, the worst of the model's pictures the other; one seed does */
} dreamo_eval_options;

/* A part of a kind's references ("thing", "person", "style", "garment") or of its labels ("scene", "expression"). */
typedef struct dreamo_eval_part { const char *name; int n; double share, ceiling; } dreamo_eval_part;

/* Shares are 0 .. 1; -1: not measured, because nothing is there to be counted. */
typedef struct dreamo_eval_row {
    size_t size;
    const char *kind;
    int n, seeds;              /* samples, pictures of each */
    int references;            /* looked for in all pictures together */
    int candidates;            /* the fewest that one was looked for among, itself included */
    double top1, top1_lo, top1_hi;          /* references found; Wilson's interval of 95 % */
    double ceiling, ceiling_lo, ceiling_hi; /* in the samples' own targets */
    double floor;              /* another sample's references that are found in a picture that shows nothing of them */
    double all;                /* pictures in which every reference is found */
    double swapped;            /* of pictures whose caption says where references stand: one pair stands the other way round */
    double swapped_ceiling;    /* the same in the targets: what the judge gets wrong */
    double merged;             /* of pairs of one head: both in one place, and one of them not found */
    double text, text_lo, text_hi;          /* labels said by captions that the judge sees in the pictures */
    double text_ceiling;
    double scenes;             /* references found in pictures with another sample's scene */
    double diversity;          /* difference of pictures of one sample as a share of that of two samples' */
    double copies;             /* pictures more like one of their references, as a whole, than any target is like its own */
    int nheads, nlabels;
    const dreamo_eval_part *heads, *labels; /* valid during the call */
    double wins, wins_lo, wins_hi;          /* of pictures in which the judge finds the references (without any: the words) better or worse than in the
                                               other model's: better */
} dreamo_eval_row;

DREAMO_API void          dreamo_eval_options_init_sized(dreamo_eval_options *o, size_t nbytes);
static inline void       dreamo_eval_options_init(dreamo_eval_options *o) { dreamo_eval_options_init_sized(o, sizeof *o); }
DREAMO_API dreamo_status dreamo_eval(const dreamo_eval_options *o, dreamo_error *err);

/* ---- speed ----------------------------------------------------------------------------------- */

/* One kernel at one shape.  The peak is what pure fused multiply-adds reach on all threads, measured right before and
 * after each run, because hosts have fast and slow phases. */
typedef struct dreamo_kernel_rate {
    const char *kernel;      /* "linear", "attention", "conv", each also with ".backward"; "step": a training step */
    const char *shape;       /* "1024x3072->9216"; valid during the call */
    const char *weights;     /* how they are stored: "F32", "BF16", "F16", "F8_E4M3", "Q8_0", "Q4_0"; "Q4_0 int8": multiplied in integers */
    double gflops;           /* median, 10^9 floating-point operations a second */
    double peak_share;       /* median of rate / peak, 0..1; in integers it may pass 1 */
    double best_share;       /* of the best run */
    double cpu_share;        /* peak_share reckoned with processor time instead of elapsed time: other programs do not count */
    double seconds, cpu_seconds; /* of one run: elapsed, and of processor time on all threads together */
    int runs;
} dreamo_kernel_rate;
typedef bool (*dreamo_kernel_row)(void *user, const dreamo_kernel_rate *row); /* false: stop, DREAMO_CANCELLED */

/* Measure the CPU kernels at FLUX's and the default model's shapes, about two minutes.  `only`: kernels whose name begins
 * with it; NULL = all.  threads 0 = one for each core. */
DREAMO_API dreamo_status dreamo_bench_kernels(int threads, const char *only, dreamo_kernel_row row, void *user, dreamo_error *err);

/* ---- data sets ------------------------------------------------------------------------------- */

/* An asset folder (assets.safetensors, assets.json; held-out.txt and attribution.txt for readers): subjects, persons and garments drawn
 * once, from which training samples are composed on the fly. */
typedef struct dreamo_dataset_options {
    size_t size;
    const char *npm;        /* folder with node_modules of emojibase-data and @iconify-json packages; NULL = none */
    const char *furniture;  /* folder with Sweet Home 3D's .sh3f files; NULL = none */
    const char *people;     /* folder that tools/people.mjs wrote; NULL = none.  Subjects are needed beside people and garments */
    const char *garments;   /* folder with the four files of the Fashion-MNIST data set; NULL = none */
    const char *out;        /* asset folder to write */
    int threads;            /* 0 = one for each core */
    dreamo_progress progress;
    void *user;
} dreamo_dataset_options;
DREAMO_API void          dreamo_dataset_options_init_sized(dreamo_dataset_options *o, size_t nbytes);
static inline void       dreamo_dataset_options_init(dreamo_dataset_options *o) { dreamo_dataset_options_init_sized(o, sizeof *o); }
DREAMO_API dreamo_status dreamo_dataset_build(const dreamo_dataset_options *o, dreamo_error *err);

typedef struct dreamo_dataset_stats {
    int subjects, flat, solid;       /* drawings and 3D models; their sum */
    int concepts, held_out_concepts; /* different names in training; names never trained on */
    int held_out_subjects;
    int people, held_out_people;     /* persons; `held_out_...` in these three: never trained on */
    int variants, systems;           /* drawings of persons; ways of drawing them */
    int garments, held_out_garments;
    uint64_t bytes;
} dreamo_dataset_stats;
DREAMO_API dreamo_status dreamo_dataset_count(const char *folder, dreamo_dataset_stats *out, dreamo_error *err);
/* Assets: opens everything and compares every tensor with its hash; DREAMO_DIFFERS names the first that does not match.  Pictures of one's
 * own: reads every file; each fault is a DREAMO_EVENT_WARNING with its place and the fix, a held-out picture that looks like one which is
 * trained on a DREAMO_EVENT_NOTE; DREAMO_FORMAT when there was a fault. */
DREAMO_API dreamo_status dreamo_dataset_check(const char *folder, dreamo_progress progress, void *user, dreamo_error *err);
/* Every caption the set can say, one a line, for the makers of vocabularies. */
DREAMO_API dreamo_status dreamo_dataset_captions(const char *folder, const char *path, dreamo_error *err);

/* Tokenizers for a new model from these captions (OUT/captions.txt): OUT/tokenizer_2 (SentencePiece, by Debian's spm_train) and OUT/tokenizer (byte pairs), each
 * of about `pieces` entries (fewer where the captions give no more) for texts of up to `max_length` tokens. */
DREAMO_API dreamo_status dreamo_dataset_vocabulary(const char *folder, int pieces, int max_length, const char *out, dreamo_error *err);

/* Pictures of one's own (docs/data.md): a manifest x.jsonl, a folder of NAME.jpg with NAME.txt, a tar file or 'x-*.tar'.  Whatever takes a
 * dataset takes them, too. */
DREAMO_API bool dreamo_dataset_is_own(const char *path);

/* What such a set holds, row by row: ("kind", "subject", 7), ("size", "1024x768", 3), ("bucket", "80x48", 3) for pictures of side x side
 * pixels, ("samples", "train" or "held out", n), ("licence", ...), ("word", ...).  Strings are valid during the call; false: stop,
 * DREAMO_CANCELLED. */
typedef bool (*dreamo_dataset_row)(void *user, const char *group, const char *name, int64_t count);
DREAMO_API dreamo_status dreamo_dataset_tally(const char *path, int side, dreamo_dataset_row row, void *user, dreamo_error *err);
/* Write train.jsonl and val.jsonl beside the pictures (`out` NULL), or, from tar files, OUT/train-*.tar and OUT/val-*.tar.  Held out are the
 * sources whose sha256 lies below `share` of its range, at least one and not all.  DREAMO_IO: they exist already. */
DREAMO_API dreamo_status dreamo_dataset_split(const char *path, const char *out, double share, dreamo_error *err);
/* Write OUT/shard-000000.tar ... (WebDataset's layout), a new one after shard_nbytes (1 MiB .. 2 GB).  Pictures go in as they are, with
 * where they come from, licence and split.  OUT may not exist yet. */
DREAMO_API dreamo_status dreamo_dataset_pack(const char *path, const char *out, uint64_t shard_nbytes, dreamo_error *err);
/* Samples of a dataset as files: OUT/manifest.jsonl and the pictures it names, references and masks included, to look at or to train on elsewhere.  OUT is made;
 * DREAMO_BUSY: it has a manifest already. */
typedef struct dreamo_export_options {
    size_t size;
    const char *data, *out;
    const char *kinds;      /* names apart by blanks; NULL = "subject".  `count` of each */
    bool held_out;          /* the validation split: the same samples that `eval` asks for, for the same seed */
    bool placed;            /* captions say [ref#1] and so on, where a kind has such */
    uint64_t seed;          /* 1 */
    int count;              /* 24 */
    int width, height;      /* of targets; 128 x 128 */
    int ref_side;           /* references are squares of this side; 0 = the target's shorter side */
    dreamo_progress progress;
    void *user;
} dreamo_export_options;
DREAMO_API void          dreamo_export_options_init_sized(dreamo_export_options *o, size_t nbytes);
static inline void       dreamo_export_options_init(dreamo_export_options *o) { dreamo_export_options_init_sized(o, sizeof *o); }
DREAMO_API dreamo_status dreamo_dataset_export(const dreamo_export_options *o, dreamo_error *err);

/* Drop every sample that shows the file with this sha256 (or its first digits, eight at least) as target, reference or mask: its lines, its
 * members, and the files below the folder that no other sample needs.  Each thing that goes is told as a DREAMO_EVENT_NOTE; *removed (may be
 * NULL): samples.  DREAMO_NOT_FOUND: none. */
DREAMO_API dreamo_status dreamo_dataset_remove(const char *path, const char *source, dreamo_progress progress, void *user, int *removed, dreamo_error *err);

/* A dataset of the model's own pictures: what the base makes of a dataset's training captions, without references and without its adapter
 * (targets of DreamO's last stage of training).  `out` receives 000000.png with its caption in 000000.txt, and so on; a call that was cut
 * short goes on where it ended. */
typedef struct dreamo_distil_options {
    size_t size;
    const char *model, *data, *out; /* model folder, dataset, folder to be written */
    const char *kinds;      /* whose captions, as a recipe lists them; "t2i" */
    const char *pictures;   /* sizes, as a recipe lists them; "128x128" */
    uint64_t seed;
    int count;              /* 1000 */
    int threads;            /* 0 = one for each core */
    const char *backend;    /* NULL = "cpu" */
    dreamo_progress progress;
    void *user;
    const char *dit, *t5, *clip, *vae; /* parts from other files; NULL = from `model` */
} dreamo_distil_options;
DREAMO_API void          dreamo_distil_options_init_sized(dreamo_distil_options *o, size_t nbytes);
static inline void       dreamo_distil_options_init(dreamo_distil_options *o) { dreamo_distil_options_init_sized(o, sizeof *o); }
DREAMO_API dreamo_status dreamo_dataset_distil(const dreamo_distil_options *o, dreamo_error *err);

/* A contact sheet of what the trainer sees, as PNG: references, target, and the masks over
 * the target; the captions go to PATH.txt. */
typedef struct dreamo_sheet_options {
    size_t size;
    const char *folder, *path;
    const char *kind;       /* "any" (pictures of one's own: each of its kind), "t2i", "subject" (the default), "subjects", "id", "ids", "style", "id-style", "tryon", and the combinations
                               "id-tryon", "id-subject", "subject-style" */
    bool held_out;          /* the validation split */
    uint64_t seed;
    int count, columns;     /* 24 samples in 4 columns */
    int side, zoom;         /* 128 pixels, magnified once; pictures of one's own: in their buckets for side x side pixels */
    bool clobber;
} dreamo_sheet_options;
DREAMO_API void          dreamo_sheet_options_init_sized(dreamo_sheet_options *o, size_t nbytes);
static inline void       dreamo_sheet_options_init(dreamo_sheet_options *o) { dreamo_sheet_options_init_sized(o, sizeof *o); }
DREAMO_API dreamo_status dreamo_dataset_show(const dreamo_sheet_options *o, dreamo_error *err);

/* ---- fetching ---------------------------------------------------------------------------------- */

/* FLUX.1-dev and DreamO's adapters from a model hub into one model folder: DIR/transformer, vae, text_encoder, text_encoder_2,
 * tokenizer, tokenizer_2, scheduler as published, the adapters under DIR/dreamo with their published names. */
typedef struct dreamo_fetch_options {
    size_t size;
    const char *preset;       /* the set of adapters: "v1.1" (NULL) or "v1"; or "prep": the official networks that prepare references, no model */
    bool no_turbo;            /* without the turbo adapter: pictures take 25 steps instead of 12 */
    const char *t5;           /* which copy of the T5 encoder: "bf16" (NULL; FLUX.1-dev's own), "fp16" or "fp8" (half the size) */
    const char *dir;          /* the model folder */
    const char *endpoint;     /* https://HOST[/PREFIX]; http:// for a loopback host only; NULL = the public hub */
    const char *token;        /* for gated repositories; NULL = none.  It goes to the endpoint only, never where that redirects to */
    const char *token_file;   /* a file that holds the token; goes before `token`; NULL = none */
    bool verify;              /* read files that are there already and compare their checksums */
    /* WARNING and NOTE lines; STEP: `done` of `total` (0: not known) bytes of the file that `text` names, seconds_a_step for a byte. */
    dreamo_progress progress;
    void *user;
} dreamo_fetch_options;

typedef enum dreamo_fetch_state {
    DREAMO_FETCH_MISSING,
    DREAMO_FETCH_PART,        /* begun: `nbytes` of it lie in PATH.part */
    DREAMO_FETCH_THERE,       /* under its name; its checksum was compared when `verified` */
    DREAMO_FETCH_BAD          /* under its name, and not what it should be: `problem` says why */
} dreamo_fetch_state;

/* One file of a preset.  Strings are valid during the call. */
typedef struct dreamo_fetch_file {
    const char *repository, *file;  /* "black-forest-labs/FLUX.1-dev", "vae/config.json" */
    const char *path;               /* below the model folder */
    const char *licence;
    bool gated;                     /* the licence must be accepted at the hub, and a token given */
    uint64_t listed;                /* bytes as published, rounded; 0 = not known.  Shown, never a reason to refuse */
    const char *sha256;             /* 64 hex digits, from our table or from the last download; NULL = not known */
    dreamo_fetch_state state;       /* MISSING when no folder was given */
    uint64_t nbytes;                /* on the disk */
    bool verified;
    const char *problem;            /* with BAD; else NULL */
} dreamo_fetch_file;
typedef bool (*dreamo_fetch_row)(void *user, const dreamo_fetch_file *file); /* false: stop, DREAMO_CANCELLED */

DREAMO_API void          dreamo_fetch_options_init_sized(dreamo_fetch_options *o, size_t nbytes);
static inline void       dreamo_fetch_options_init(dreamo_fetch_options *o) { dreamo_fetch_options_init_sized(o, sizeof *o); }
/* False: this library was built without libcurl; it lists and checks, and dreamo_fetch_run refuses. */
DREAMO_API bool          dreamo_fetch_can_download(void);
/* What a preset needs and what of it is in `dir` (NULL: look at no folder), row by row, grouped by repository.  Nothing is
 * written and no connection made.  With `verify` every checksum that is known is compared. */
DREAMO_API dreamo_status dreamo_fetch_list(const dreamo_fetch_options *o, dreamo_fetch_row row, void *user, dreamo_error *err);
/* The same, and DREAMO_DIFFERS unless all is there.  `row` may be NULL. */
DREAMO_API dreamo_status dreamo_fetch_check(const dreamo_fetch_options *o, dreamo_fetch_row row, void *user, dreamo_error *err);
/* Download what is missing or bad.  A file grows as PATH.part and takes its name when it is complete, its checksum has been
 * compared (where the table or the hub tells one) and it is on the disk; a run that was stopped, killed or cut off goes on where it was.
 * One run a folder at a time (DREAMO_BUSY).  DREAMO_AUTH: a gated repository refused; DREAMO_NOT_FOUND: the hub has no such
 * file; DREAMO_NET: no connection after several tries, or a server that breaks its word; DREAMO_FORMAT: a checksum differs (the
 * bad file is removed); DREAMO_IO: no room, or not writable. */
DREAMO_API dreamo_status dreamo_fetch_run(const dreamo_fetch_options *o, dreamo_error *err);

#ifdef __cplusplus
}
#endif
#endif
