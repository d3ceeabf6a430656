/* ranks.c - MPI: joining, waiting for the living, and ending when one is dead.
 *
 * Every operation is begun without blocking and then asked for, so that a wait can look around.  On one machine a process is known to
 * live by its number; of other machines the launcher tells, by asking us to stop, and silence then means the same. */
#include "train/ranks/ranks.h"

#ifdef DREAMO_MPI
#include <errno.h>
#include <mpi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define LOOK_EVERY 0.1  /* seconds between two looks at the others */
#define PATIENCE 5.0    /* seconds without an answer after we were asked to stop */
#define PIECE ((size_t)1 << 28) /* MPI counts in ints */

typedef struct peer { char host[MPI_MAX_PROCESSOR_NAME]; int pid; } peer;

struct ranks {
    int count, number;
    const volatile bool *stop;
    peer *peers;
    MPI_Request *begun;
    int nbegun, room;
    bool no_memory, lost;
    int code;                /* of an operation that MPI refused; MPI_SUCCESS: none */
    double looked, stopped;  /* seconds_now of the last look, and since when we know that we shall stop; 0: never */
};

/* Set by Open MPI, by Slurm with PMIx, and by MPICH's kin. */
static int launched(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "PMIX_RANK", "PMI_RANK" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return 1;
    return 0;
}

/* ---- waiting ---- */

static dreamo_status gone(ranks *r, int who, dreamo_error *err)
{
    r->lost = true;
    if (who < 0) fail(err, DREAMO_NET, "rank %d of %d: the other processes do not answer", r->number, r->count);
    else fail(err, DREAMO_NET, "rank %d of %d: rank %d (process %d on %s) is gone", r->number, r->count, who, r->peers[who].pid, r->peers[who].host);
    return hint(err, "--resume goes on from the last checkpoint, with any number of processes");
}

static dreamo_status look(ranks *r, dreamo_error *err)
{
    double now = seconds_now();
    if (now - r->looked < LOOK_EVERY) return DREAMO_OK;
    r->looked = now;
    bool here = true; /* all others are on this machine */
    for (int i = 0; i < r->count; i++) {
        bool same = strcmp(r->peers[i].host, r->peers[r->number].host) == 0;
        here = here && same;
        if (same && kill(r->peers[i].pid, 0) != 0 && errno == ESRCH) return gone(r, i, err);
    }
    if (r->stop && *r->stop && r->stopped == 0) r->stopped = now;
    return !here && r->stopped > 0 && now - r->stopped > PATIENCE ? gone(r, -1, err) : DREAMO_OK;
}

static dreamo_status refused(ranks *r, dreamo_error *err)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    MPI_Error_string(r->code, text, &n);
    r->lost = true;
    return fail(err, DREAMO_NET, "rank %d of %d: MPI: %s", r->number, r->count, text);
}

void ranks_poll(ranks *r)
{
    int done = 0;
    if (!r || !r->nbegun || r->lost) return;
    int code = MPI_Testall(r->nbegun, r->begun, &done, MPI_STATUSES_IGNORE);
    if (code != MPI_SUCCESS) r->code = code;
    if (done) r->nbegun = 0;
}

dreamo_status ranks_finish(ranks *r, dreamo_error *err)
{
    if (!r) return DREAMO_OK;
    if (r->no_memory) return fail(err, DREAMO_MEMORY, "no memory for messages between processes");
    double began = seconds_now();
    for (;;) {
        ranks_poll(r);
        if (r->code != MPI_SUCCESS) return refused(r, err);
        if (!r->nbegun) return r->lost ? gone(r, -1, err) : DREAMO_OK;
        dreamo_status s = look(r, err);
        if (s) return s;
        if (seconds_now() - began > 0.001) usleep(200); /* others may need this core */
    }
}

/* ---- operations ---- */

static MPI_Request *begin(ranks *r)
{
    if (r->nbegun == r->room) {
        int room = r->room ? 2 * r->room : 64;
        MPI_Request *more = mem_realloc(r->begun, (size_t)room * sizeof *more);
        if (!more) {
            r->no_memory = true;
            return NULL;
        }
        r->begun = more;
        r->room = room;
    }
    return &r->begun[r->nbegun++];
}

static void began(ranks *r, int code)
{
    if (code == MPI_SUCCESS) return;
    r->code = code;
    r->nbegun--;
}

void ranks_reduce(ranks *r, float *x, size_t n, int to)
{
    if (!r) return;
    for (size_t at = 0; at < n; at += PIECE) {
        int some = (int)(n - at < PIECE ? n - at : PIECE);
        bool mine = to == r->number;
        MPI_Request *q = begin(r);
        if (q) began(r, MPI_Ireduce(mine ? MPI_IN_PLACE : x + at, mine ? x + at : NULL, some, MPI_FLOAT, MPI_SUM, to, MPI_COMM_WORLD, q));
    }
}

void ranks_copy(ranks *r, void *x, size_t nbytes, int from)
{
    if (!r) return;
    for (size_t at = 0; at < nbytes; at += PIECE) {
        int some = (int)(nbytes - at < PIECE ? nbytes - at : PIECE);
        MPI_Request *q = begin(r);
        if (q) began(r, MPI_Ibcast((char *)x + at, some, MPI_BYTE, from, MPI_COMM_WORLD, q));
    }
}

void ranks_send(ranks *r, void *x, size_t nbytes, int from, int to)
{
    if (!r || from == to || (r->number != from && r->number != to)) return;
    for (size_t at = 0; at < nbytes; at += PIECE) {
        int some = (int)(nbytes - at < PIECE ? nbytes - at : PIECE);
        MPI_Request *q = begin(r);
        if (!q) return;
        if (r->number == from) began(r, MPI_Isend((char *)x + at, some, MPI_BYTE, to, 0, MPI_COMM_WORLD, q));
        else began(r, MPI_Irecv((char *)x + at, some, MPI_BYTE, from, 0, MPI_COMM_WORLD, q));
    }
}

dreamo_status ranks_sum(ranks *r, double *x, int n, dreamo_error *err)
{
    if (!r) return DREAMO_OK;
    MPI_Request *q = begin(r);
    if (q) began(r, MPI_Iallreduce(MPI_IN_PLACE, x, n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD, q));
    return ranks_finish(r, err);
}

dreamo_status ranks_agree(ranks *r, dreamo_status mine, dreamo_error *err)
{
    if (!r || r->lost) return mine;
    int first = mine ? r->number : r->count;
    dreamo_error theirs = { 0 }, trouble = { 0 };
    MPI_Request *q = begin(r);
    if (q) began(r, MPI_Iallreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, q));
    dreamo_status s = ranks_finish(r, &trouble);
    if (!s && first == r->count) return DREAMO_OK;
    if (!s) {
        if (first == r->number && err) theirs = *err;
        theirs.status = first == r->number ? mine : DREAMO_OK;
        ranks_copy(r, &theirs, sizeof theirs, first);
        s = ranks_finish(r, &trouble);
    }
    if (mine) return mine; /* its own trouble is told already */
    if (s) {
        if (err) *err = trouble;
        return s;
    }
    fail(err, theirs.status, "rank %d: %s", first, theirs.message);
    return *theirs.hint ? hint(err, "%s", theirs.hint) : theirs.status;
}

/* ---- beginning and end ---- */

static bool ours, broken; /* MPI was begun here; a rank is lost */

static void end_mpi(void)
{
    if (ours && !broken) MPI_Finalize();
}

static dreamo_status meet(ranks *r, dreamo_error *err)
{
    peer me = { .pid = (int)getpid() };
    int n = 0;
    MPI_Get_processor_name(me.host, &n);
    r->peers = mem_calloc((size_t)r->count, sizeof *r->peers);
    if (!r->peers) return fail(err, DREAMO_MEMORY, "no memory for %d processes", r->count);
    int code = MPI_Allgather(&me, sizeof me, MPI_BYTE, r->peers, sizeof me, MPI_BYTE, MPI_COMM_WORLD);
    return code == MPI_SUCCESS ? DREAMO_OK : fail(err, DREAMO_NET, "the %d processes cannot find each other", r->count);
}

dreamo_status ranks_open(ranks **out, const volatile bool *stop, dreamo_error *err)
{
    int up = 0, given = 0;
    *out = NULL;
    MPI_Initialized(&up);
    if (!up && !launched()) return DREAMO_OK;
    if (!up && MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given) != MPI_SUCCESS)
        return fail(err, DREAMO_NET, "MPI does not start");
    if (!up) ours = atexit(end_mpi) == 0;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    ranks *r = mem_calloc(1, sizeof *r);
    if (!r) return fail(err, DREAMO_MEMORY, "no memory for the other processes");
    r->stop = stop;
    r->code = MPI_SUCCESS;
    MPI_Comm_size(MPI_COMM_WORLD, &r->count);
    MPI_Comm_rank(MPI_COMM_WORLD, &r->number);
    dreamo_status s = meet(r, err);
    if (s || r->count == 1) ranks_close(r);
    else *out = r;
    return s;
}

/* MPI cannot begin twice in a process, so it ends with the process; with a rank lost it would wait for ever, and is left as it is. */
void ranks_close(ranks *r)
{
    if (!r) return;
    broken |= r->lost;
    mem_free(r->peers);
    mem_free(r->begun);
    mem_free(r);
}

int ranks_count(const ranks *r) { return r ? r->count : 1; }
int ranks_number(const ranks *r) { return r ? r->number : 0; }

#else /* without MPI */
#include <stdlib.h>

dreamo_status ranks_open(ranks **r, const volatile bool *stop, dreamo_error *err)
{
    const char *size = getenv("OMPI_COMM_WORLD_SIZE") ? getenv("OMPI_COMM_WORLD_SIZE") : getenv("PMI_SIZE");
    (void)stop;
    *r = NULL;
    if (!size || strtol(size, NULL, 10) <= 1) return DREAMO_OK;
    fail(err, DREAMO_ARG, "started as %.20s processes, but this program was built without MPI", size);
    return hint(err, "install libopenmpi-dev and build again, or start it alone");
}

void          ranks_close(ranks *r) { (void)r; }
int           ranks_count(const ranks *r) { (void)r; return 1; }
int           ranks_number(const ranks *r) { (void)r; return 0; }
dreamo_status ranks_sum(ranks *r, double *x, int n, dreamo_error *err) { (void)r, (void)x, (void)n, (void)err; return DREAMO_OK; }
dreamo_status ranks_agree(ranks *r, dreamo_status mine, dreamo_error *err) { (void)r, (void)err; return mine; }
void          ranks_reduce(ranks *r, float *x, size_t n, int to) { (void)r, (void)x, (void)n, (void)to; }
void          ranks_copy(ranks *r, void *x, size_t nbytes, int from) { (void)r, (void)x, (void)nbytes, (void)from; }
void          ranks_send(ranks *r, void *x, size_t nbytes, int from, int to) { (void)r, (void)x, (void)nbytes, (void)from, (void)to; }
void          ranks_poll(ranks *r) { (void)r; }
dreamo_status ranks_finish(ranks *r, dreamo_error *err) { (void)r, (void)err; return DREAMO_OK; }
#endif
