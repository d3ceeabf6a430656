/* walk.c - every command with its nth allocation failing, and with its nth change of the disk failing (a full disk, an error once).
 *
 * usage: walk [all].  The command either does its whole work, or ends with the fault's exit code (5; 7), one line that tells it, and
 * nothing under a final name or a temporary one; and it leaks nothing.  Every n of the first forty is tried, then ever wider
 * steps; `all` takes every one, which is hours. */
#include "runs.h"

static bool all;
static long next(long n) { return all || n < 40 ? n + 1 : n + n / 4; }

static int lines_of(const char *path, const char *beginning, char *first, size_t room)
{
    char line[4096];
    int n = 0;
    FILE *f = fopen(path, "r");
    first[0] = '\0';
    while (f && fgets(line, sizeof line, f)) {
        bool match = strncmp(line, beginning, strlen(beginning)) == 0;
        if (match && !n) snprintf(first, room, "%.*s", (int)strcspn(line, "\n"), line);
        n += match;
    }
    if (f) fclose(f);
    return n;
}

/* A name that only an unfinished file has, anywhere below. */
static bool has_temporary(const char *folder)
{
    char **names = NULL;
    int n = 0;
    bool found = false;
    must(folder_list(folder, &names, &n, NULL) == DREAMO_OK, folder);
    for (int i = 0; i < n && !found; i++) {
        char *path = path_join(folder, names[i]);
        found = strstr(names[i], ".tmp") || strstr(names[i], ".trash") || (folder_exists(path) && has_temporary(path));
        mem_free(path);
    }
    folder_list_free(names, n);
    return found;
}

static bool is_empty(const char *folder)
{
    char **names = NULL;
    int n = 0;
    must(folder_list(folder, &names, &n, NULL) == DREAMO_OK, folder);
    folder_list_free(names, n);
    return n == 0;
}

/* One run with one fault; false, and said why, when its end is not right.  *met: the fault came. */
static bool one(const command_run *r, int usual, long nth_allocation, long nth_change, int number, bool *met)
{
    char line[4096];
    const char *wrong = NULL;
    int want = nth_allocation ? 5 : 7;
    fresh_work();
    shared->met = false;
    int code = finish(start(r, NULL, nth_allocation, nth_change, number));
    *met = shared->met;
    int told = lines_of("said.err", "dreamo: ", line, sizeof line);
    bool goes_on = strcmp(r->name, "train") == 0 || strcmp(r->name, "fetch") == 0 || strcmp(r->name, "eval") == 0; /* what it has done so far stays */
    bool several = goes_on || strncmp(r->name, "dataset", 7) == 0 || strcmp(r->name, "prep") == 0; /* files, each whole or not there */
    if (code == usual && usual == 0 && told) wrong = "an error, and exit 0";
    else if (code == usual && !goes_on && !same_tree("whole", "work")) wrong = "another result, and no error";
    else if (code == usual && !r->writes && !same_file("./whole.out", "./said.out")) wrong = "another answer, and no error";
    else if (code == usual) wrong = NULL;
    else if (code == LEAKED) wrong = "memory is not given back";
    else if (code != want) wrong = "another exit code";
    else if (told != 1) wrong = "not one line that tells it";
    else if (has_temporary("work")) wrong = "a temporary is left";
    else if (!several && !is_empty("work")) wrong = "something is left";
    if (wrong) printf("not ok: %s, %s %ld (%s): %s: exit %d: %s\n", r->name, nth_allocation ? "allocation" : "change of the disk",
                      nth_allocation + nth_change, nth_allocation ? "no memory" : strerror(number), wrong, code, line);
    return !wrong;
}

int main(int argc, char **argv)
{
    static const int errors[] = { ENOSPC, EIO };
    int wrong = 0;
    const char *only = argc > 1 && strcmp(argv[1], "all") != 0 ? argv[1] : NULL;
    all = argc > 1 && !only;
    setvbuf(stdout, NULL, _IOLBF, 0);
    share();
    make_inputs();
    for (int i = 0; i < NRUNS; i++) {
        const command_run *r = &commands_to_run[i];
        if (only && strcmp(only, r->name) != 0) continue;
        int tried = 0, before = wrong, usual = strcmp(r->name, "fetch --check") == 0;
        bool met = true;
        make_whole(r);
        for (long n = 1; met; n = next(n), tried++) wrong += !one(r, usual, n, 0, 0, &met);
        for (size_t e = 0; e < 2 && r->writes; e++)
            for (long n = (met = true, 1); met; n = next(n), tried++) wrong += !one(r, usual, 0, n, errors[e], &met);
        printf("%s: %d faults, %d wrong\n", r->name, tried, wrong - before);
        fflush(stdout);
    }
    remove_inputs();
    return wrong != 0;
}
