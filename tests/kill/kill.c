/* kill.c - training, fetching, converting and building data are killed (kill -9) and run again: the folder is then that of a run which
 * nobody killed, file for file.
 *
 * usage: kill [KILLS [SEED]].  A quarter of the kills goes to each command.  Two of three are aimed: the change of the disk before the
 * nth is the process' last, and a write stops in the middle; n is any, or one where a file gets a name, another one, or loses it.  The
 * others come after a random time.  Now and then the run after a kill is killed, too. */
#include <time.h>
#include "runs.h"

enum { KILLED = 4 }; /* the first commands of runs.h */

static unsigned long random_state;
static unsigned long below(unsigned long n)
{
    random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
    return n ? (random_state >> 33) % n : 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* With all standard descriptors closed no message goes into a file: the work is done, its answer is lost (7). */
static bool closed_is_the_same(const command_run *r)
{
    fresh_work();
    descriptors_closed = true;
    int code = run_command(r, NULL);
    descriptors_closed = false;
    bool same = code == 7 && same_tree("whole", "work");
    if (!same) printf("not ok: %s with its standard descriptors closed: exit %d\n", r->name, code);
    return same;
}

typedef enum aim { AT_A_TIME, AT_A_CHANGE, AT_A_NAME } aim;

static bool kill_once(const command_run *r, const char *more, long changes, double seconds, aim a)
{
    long nth = a == AT_A_NAME ? shared->names.at[below((unsigned long)shared->names.n)] : 1 + (long)below((unsigned long)changes);
    if (a != AT_A_TIME) return finish(start(r, more, 0, nth, 0)) == 137;
    pid_t child = start(r, more, 0, 0, 0);
    double wait = seconds * (double)below(1000) / 1000;
    nanosleep(&(struct timespec){ .tv_sec = (time_t)wait, .tv_nsec = (long)((wait - (double)(long)wait) * 1e9) }, NULL);
    kill(child, SIGKILL);
    return finish(child) == 137;
}

int main(int argc, char **argv)
{
    int kills = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 50, met = 0, wrong = 0;
    random_state = argc > 2 ? strtoul(argv[2], NULL, 10) : (unsigned long)time(NULL);
    printf("kill %d %lu\n", kills, random_state);
    share();
    make_inputs();
    for (int c = 0; c < KILLED; c++) {
        const command_run *r = &commands_to_run[c];
        double began = now();
        make_whole(r);
        double seconds = now() - began;
        long changes = shared->changes;
        wrong += !closed_is_the_same(r);
        int mine = kills / KILLED + (c < kills % KILLED), before = wrong;
        for (int i = 0; i < mine; i++) {
            fresh_work();
            aim a = (aim)(i % 3);
            unsigned long state = random_state;
            bool ended = kill_once(r, NULL, changes, seconds, a);
            if (below(4) == 0) kill_once(r, r->again, changes, seconds, AT_A_CHANGE);
            met += ended;
            int code = run_command(r, r->again);
            if (code == 0 && same_tree("whole", "work")) continue;
            printf("not ok: %s, %s kill at random number %lu: exit %d\n", r->name, a ? "an aimed" : "a timed", state, code);
            wrong++;
        }
        printf("%s: %d kills of a run with %ld changes of the disk, %.2f s: %d wrong\n", r->name, mine, changes, seconds, wrong - before);
    }
    printf("%d of %d processes were ended before they were done; %d folders differ\n", met, kills, wrong);
    remove_inputs();
    return wrong || met < kills / 2;
}
