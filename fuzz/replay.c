/* replay.c - a target without a fuzzer: every file named, or in a folder named, is one input.  For all compilers and for CI. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fuzz.h"

static int inputs;

static void replay(const char *path)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    fuzz_must(f && fstat(fileno(f), &st) == 0, path);
    uint8_t *data = malloc((size_t)st.st_size); /* exactly: a byte read past it is found */
    fuzz_must(fread(data, 1, (size_t)st.st_size, f) == (size_t)st.st_size, path);
    fclose(f);
    LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
    free(data);
    inputs++;
}

int main(int argc, char **argv)
{
    char here[2048], path[4096];
    fuzz_must(getcwd(here, sizeof here) != NULL, "a current folder");
    for (int i = 1; i < argc; i++) {
        struct dirent *e;
        DIR *d = opendir(argv[i]);
        if (!d) replay(argv[i]);
        while (d && (e = readdir(d))) {
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            if (e->d_name[0] != '.') replay(path);
        }
        if (d) closedir(d);
    }
    printf("%d inputs\n", inputs);
    return inputs ? 0 : 1;
}
