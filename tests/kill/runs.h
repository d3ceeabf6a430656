/* runs.h - commands of dreamo, run in children of this process on small inputs, and the folders that they leave.
 *
 * work/ is made anew for each run: the inputs lie beside it, everything a command writes lies in it. */
#ifndef TESTS_RUNS_H
#define TESTS_RUNS_H
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <zlib.h>
#include "compare.h"
#include "../unit/disk_faults.h"
#include "../unit/http_server.h"
#include "../unit/scratch.h"
#include "train/export.h"
#include "weights/bind.h"
#include "weights/config.h"

int dreamo_main(int argc, char **argv);

#define MODEL TEST_DATA "/models/tiny"
#define LORA TEST_DATA "/lora/tiny/dreamo.safetensors"

/* ---- the commands ---- */

enum { RUN_ARGS = 32 };
typedef struct command_run {
    const char *name;
    const char *argv[RUN_ARGS];
    const char *again;          /* an option that the run after a kill needs; NULL: none */
    bool writes;                /* into work/ */
} command_run;

static char hub_url[64];
static const command_run commands_to_run[] = {
    { "train", { "train", "small.conf", "-m", "begin", "--data", TEST_DATA "/assets", "-o", "work/run", "--threads", "1", "-q" }, "--resume", true },
    { "fetch", { "fetch", "v1", "-o", "work/flux", "--endpoint", hub_url, "--no-turbo", "--t5", "fp8", "-q" }, NULL, true },
    { "convert", { "convert", MODEL, "-o", "work/c.gguf", "--to", "bf16", "--threads", "1", "-q" }, "--force", true },
    { "dataset build", { "dataset", "build", "--npm", "npm", "--furniture", "furniture", "--data", "work/data", "--threads", "1", "-q" }, NULL, true },
    { "dataset show", { "dataset", "show", "--data", TEST_DATA "/assets", "-n", "2", "-o", "work/s.png" }, NULL, true },
    { "dataset captions", { "dataset", "captions", "--data", TEST_DATA "/assets", "-o", "work/c.txt" }, NULL, true },
    { "generate", { "generate", "x", "-m", MODEL, "--lora", LORA, "-s", "32x32", "--steps", "1", "--seed", "5", "--threads", "1", "-o", "work/o.png", "-q" }, NULL, true },
    { "prep", { "prep", "-r", "ip=" TEST_DATA "/photos/hinton.jpg,res=32", "-r", "style=" TEST_DATA "/toy.png,res=32", "--cutter", "own", "--save-refs", "work/seen", "--cache", "work/kept", "--threads", "1", "-q" }, NULL, true },
    { "eval", { "eval", "-m", MODEL, "--lora", LORA, "--judge", "judge", "--data", TEST_DATA "/assets", "--kinds", "subject", "-n", "1", "--candidates", "2", "-s", "32x32",
                "--ref-side", "32", "--steps", "1", "--threads", "1", "--keep", "work/kept", "-o", "work/page.html", "-q" }, NULL, true },
    { "dataset check", { "dataset", "check", "--data", TEST_DATA "/assets", "-q" }, NULL, false },
    { "dataset stats", { "dataset", "stats", "--data", TEST_DATA "/assets" }, NULL, false },
    { "info of a folder", { "info", MODEL }, NULL, false },
    { "info of a picture", { "info", TEST_DATA "/toy.png", "--json" }, NULL, false },
    { "info of weights", { "info", LORA, "--tensors" }, NULL, false },
    { "fetch --check", { "fetch", "--check", "-o", MODEL }, NULL, false },
    { "tokenize", { "tokenize", "a red toy", "-m", MODEL }, NULL, false },
};
enum { NRUNS = sizeof commands_to_run / sizeof *commands_to_run };

/* ---- inputs ---- */

static void put_zip_number(FILE *f, unsigned long v, int n)
{
    for (int i = 0; i < n; i++) putc((int)(v >> 8 * i & 255), f);
}

static void put_zip_member(FILE *f, const char *name, const char *text, bool directory, long at)
{
    size_t n = strlen(text);
    fwrite(directory ? "PK\1\2\0\0\0\0\0\0\0\0" : "PK\3\4\0\0\0\0\0\0", 1, directory ? 12 : 10, f);
    put_zip_number(f, 0, 4);
    put_zip_number(f, crc32(0, (const unsigned char *)text, (unsigned)n), 4);
    put_zip_number(f, n, 4);
    put_zip_number(f, n, 4);
    put_zip_number(f, strlen(name), 4);
    if (directory) put_zip_number(f, 0, 8), put_zip_number(f, 0, 2), put_zip_number(f, (unsigned long)at, 4);
    fputs(directory ? name : "", f);
    if (!directory) fputs(name, f), fputs(text, f);
}

/* A catalogue of one pyramid of two colours. */
static void make_furniture(void)
{
    static const char *const names[] = { "PluginFurnitureCatalog.properties", "m/a.obj", "m/a.mtl" };
    static const char *const texts[] = {
        "version=1\nlicense=Creative Commons Attribution 3.0\nname=T\nname#1=Chair\nmodel#1=/m/a.obj\ncategory#1=Living\nwidth#1=50\ndepth#1=50\nheight#1=90\n",
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 1 0 1\nv 0 0 1\nv .5 1.5 .5\nusemtl a\nf 1 2 5\nf 2 3 5\nusemtl b\nf 3 4 5\nf 4 1 5\nf 1 2 3 4\n",
        "newmtl a\nKd 0.8 0.2 0.1\nnewmtl b\nKd 0.1 0.3 0.8\n" };
    long at[3], directory, end;
    must(mkdir("furniture", 0777) == 0, "furniture/");
    FILE *f = fopen("furniture/a.sh3f", "wb");
    must(f != NULL, "furniture/a.sh3f");
    for (int i = 0; i < 3; i++) at[i] = ftell(f), put_zip_member(f, names[i], texts[i], false, 0);
    directory = ftell(f);
    for (int i = 0; i < 3; i++) put_zip_member(f, names[i], texts[i], true, at[i]);
    end = ftell(f);
    fwrite("PK\5\6\0\0\0\0\3\0\3\0", 1, 12, f);
    put_zip_number(f, (unsigned long)(end - directory), 4);
    put_zip_number(f, (unsigned long)directory, 4);
    put_zip_number(f, 0, 2);
    must(fclose(f) == 0, "furniture/a.sh3f");
}

static void make_npm(void)
{
    static const struct { const char *name, *text; } files[] = {
        { "npm/node_modules/emojibase-data/package.json", "{\"version\":\"1\"}" },
        { "npm/node_modules/emojibase-data/en/data.json", "[{\"label\":\"red apple\",\"group\":4,\"subgroup\":1},{\"label\":\"rocket\",\"group\":5,\"subgroup\":2}]" },
        { "npm/node_modules/emojibase-data/meta/groups.json",
          "{\"groups\":{\"4\":\"food-drink\",\"5\":\"travel-places\"},\"subgroups\":{\"1\":\"fruit\",\"2\":\"air\"}}" },
        { "npm/node_modules/@iconify-json/twemoji/package.json", "{\"name\":\"@iconify-json/twemoji\",\"version\":\"1\"}" },
        { "npm/node_modules/@iconify-json/twemoji/info.json", "{\"license\":{\"spdx\":\"CC-BY-4.0\"},\"author\":{\"name\":\"T\"}}" },
        { "npm/node_modules/@iconify-json/twemoji/icons.json",
          "{\"width\":16,\"height\":16,\"icons\":{\"red-apple\":{\"body\":\"<circle cx='8' cy='9' r='6' fill='red'/><circle cx='9' cy='3' r='2' fill='green'/>\"},"
          "\"rocket\":{\"body\":\"<path d='M8 1l4 10H4z' fill='gray'/><path d='M4 11l-2 4h12l-2-4z' fill='orange'/>\"}}}" } };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char part[128];
        for (const char *slash = strchr(files[i].name, '/'); slash; slash = strchr(slash + 1, '/')) {
            snprintf(part, sizeof part, "%.*s", (int)(slash - files[i].name), files[i].name);
            mkdir(part, 0777);
        }
        scratch_write(files[i].name, files[i].text, strlen(files[i].text));
    }
}

/* A hub: the vocabularies, whose checksums are known, as they are; every other file a few bytes that depend on its name. */
static void hub(server *s, int to, int n)
{
    const char *asked = s->asked[n < SERVER_MOST ? n : SERVER_MOST - 1], *path = strstr(asked, "/resolve/main/");
    char name[512] = "", file[1024], *text = NULL;
    size_t nbytes = 0;
    if (path) snprintf(name, sizeof name, "%.*s", (int)strcspn(path + 14, " ?"), path + 14);
    snprintf(file, sizeof file, REPO_ROOT "/models/flux-dev/%s", name);
    bool known = strncmp(name, "tokenizer", 9) == 0 && strstr(name, "config") == NULL && strstr(name, "special") == NULL;
    if (!known || file_read(file, 1 << 26, &text, &nbytes, NULL)) {
        text = mem_alloc(5000);
        memset(text, name[strlen(name) / 2], 5000);
        nbytes = 5000;
    }
    long long from = server_range(asked);
    if (from > 0 && (size_t)from < nbytes)
        server_say(to, "HTTP/1.1 206 OK\r\nContent-Length: %zu\r\nContent-Range: bytes %lld-%zu/%zu\r\nETag: \"%zu\"\r\n\r\n", nbytes - (size_t)from, from, nbytes - 1,
                   nbytes, nbytes);
    else
        server_say(to, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nETag: \"%zu\"\r\n\r\n", nbytes, nbytes), from = 0;
    server_send(to, text + from, nbytes - (size_t)from);
    mem_free(text);
}

/* A model folder whose autoencoder, an eighth of the small model's, begins anew. */
static void make_begin(void)
{
    static const char config[] =
        "{\"_class_name\": \"AutoencoderKL\", \"act_fn\": \"silu\", \"block_out_channels\": [8, 8], \"down_block_types\": [\"DownEncoderBlock2D\", "
        "\"DownEncoderBlock2D\"], \"force_upcast\": true, \"in_channels\": 3, \"latent_channels\": 4, \"layers_per_block\": 1, "
        "\"mid_block_add_attention\": true, \"norm_num_groups\": 4, \"out_channels\": 3, \"sample_size\": 16, \"scaling_factor\": 0.3611, "
        "\"shift_factor\": 0.1159, \"up_block_types\": [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\"], \"use_post_quant_conv\": false, "
        "\"use_quant_conv\": false}";
    char *text;
    size_t nbytes;
    must(mkdir("begin", 0777) == 0 && mkdir("begin/vae", 0777) == 0, "begin/");
    must(file_read(MODEL "/model_index.json", 1 << 16, &text, &nbytes, NULL) == DREAMO_OK, MODEL);
    scratch_write("begin/model_index.json", text, nbytes);
    scratch_write("begin/vae/config.json", config, sizeof config - 1);
    mem_free(text);
}

/* A judge of a few numbers, which are any. */
static void make_judge(void)
{
    static const char config[] = "{\"model_type\":\"dreamo-judge\",\"side\":16,\"channels\":[4,4],\"blocks\":[0,0],\"hidden\":4,\"embed\":4,"
                                 "\"groups\":[{\"name\":\"scene\",\"labels\":[{\"name\":\"sea\",\"says\":[\"sea\"]},{\"name\":\"forest\",\"says\":[\"forest\"]}]}]}";
    judge_config c;
    params p = { 0 };
    must(mkdir("judge", 0777) == 0, "judge/");
    scratch_write("judge/config.json", config, sizeof config - 1);
    must(config_judge("judge/config.json", &c, NULL) == DREAMO_OK, "judge/config.json");
    judge *m = judge_new(&c);
    must(m && params_add_network(&p, "", m, bind_walk_judge, NULL) == DREAMO_OK && params_allocate(&p, false, NULL) == DREAMO_OK, "a judge");
    for (size_t i = 0; i < p.count; i++) p.value[i] = (float)(i % 7) - 3;
    must(export_weights("judge/model.safetensors", &p, p.value, 0, p.n, "", true, NULL) == DREAMO_OK, "judge/model.safetensors");
    params_free(&p);
    judge_free(m);
}

static server hub_server;

static void make_inputs(void)
{
    static const char recipe[] = "stage = vae\npicture = 16\nbatch = 2\nmicro = 2\nwarmup = 1\nlog_every = 1\nsave_every = 1\nkeep = 2\nsteps = 3\n"
                                 "validate_every = 2\nvalidation = 2\nsample_every = 3\nsamples = 1\ninit = plain\nexport_bf16 = no\n";
    must(scratch_enter(NULL) == 0, "a folder for files");
    scratch_write("small.conf", recipe, sizeof recipe - 1);
    make_furniture();
    make_npm();
    make_begin();
    make_judge();
    server_start(&hub_server, hub);
    snprintf(hub_url, sizeof hub_url, "http://127.0.0.1:%d", hub_server.port);
}

static void remove_inputs(void)
{
    server_stop(&hub_server);
    scratch_leave(NULL);
}

/* ---- running ---- */

static void fresh_work(void)
{
    if (folder_exists("work")) must(folder_remove("work", NULL) == DREAMO_OK, "work/ goes");
    must(folder_make("work", NULL) == DREAMO_OK, "work/ comes");
}

enum { LEAKED = 99 };
static struct shared { bool met; long changes; struct call_list names; } *shared; /* with the children: the fault came; changes of the disk in all */

static void share(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared != MAP_FAILED, "shared memory");
}

static bool descriptors_closed; /* of the next children: standard input, output and error */

/* In a child: the nth allocation fails (n > 0), or the nth change of the disk fails with `number` (0: ends the process).  Returns the
 * child's id. */
static pid_t start(const command_run *r, const char *more, long nth_allocation, long nth_change, int number)
{
    fflush(stdout);
    pid_t child = fork();
    if (child) return child;
    char *argv[RUN_ARGS + 3] = { "dreamo" };
    int argc = 1;
    for (int i = 0; i < RUN_ARGS && r->argv[i]; i++) argv[argc++] = (char *)(uintptr_t)r->argv[i];
    if (more) argv[argc++] = (char *)(uintptr_t)more;
    unsetenv("HF_TOKEN");
    if (!freopen("said.out", "w", stdout) || !freopen("said.err", "w", stderr)) _exit(98);
    for (int fd = 0; descriptors_closed && fd < 3; fd++) close(fd);
    size_t live = mem_live();
    calls_made = 0;
    fault_errno = number;
    calls_left = nth_change;
    mem_fail_at(nth_allocation);
    int code = dreamo_main(argc, argv);
    shared->met = nth_allocation ? mem_fail_left() == 0 : calls_left <= 1;
    shared->changes = calls_made;
    mem_fail_at(0);
    calls_left = 0;
    fflush(stdout);
    fflush(stderr);
    _exit(mem_live() == live ? code : LEAKED);
}

/* Exit code; 137 when it was ended. */
static int finish(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_command(const command_run *r, const char *more) { return finish(start(r, more, 0, 0, 0)); }

/* The folder of an uninterrupted run, as whole/. */
static void make_whole(const command_run *r)
{
    if (folder_exists("whole")) must(folder_remove("whole", NULL) == DREAMO_OK, "whole/ goes");
    fresh_work();
    shared->names.n = 0;
    calls_of_names = &shared->names;
    int code = run_command(r, NULL);
    calls_of_names = NULL;
    char *said = NULL;
    size_t n = 0;
    if (code && code != 1) printf("%s: exit %d: %s", r->name, code, file_read("said.err", 1 << 16, &said, &n, NULL) ? "" : said);
    mem_free(said);
    must(code == 0 || (code == 1 && strcmp(r->name, "fetch --check") == 0), r->name);
    must(rename("work", "whole") == 0, "whole/ comes");
    rename("said.out", "whole.out");
}
#endif
