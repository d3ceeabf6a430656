/* main.c - dreamo COMMAND: find the command, read its options, run it. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "cli/commands.h"
#include "cli/screen.h"

const option global_options[] = {
    { "quiet", 'q', VALUE_NONE, false, 0, 0, NULL, "results and errors only" },
    { "json", 0, VALUE_NONE, false, 0, 0, NULL, "events and results as JSON, one a line, on stdout" },
    { "color", 0, VALUE_TEXT, false, 0, 0, "WHEN", "auto (default), always or never; NO_COLOR is obeyed" },
    { "help", 'h', VALUE_NONE, false, 0, 0, NULL, "this text" },
    { 0 }
};

static int run_help(const parsed *p)
{
    dreamo_error err = { 0 };
    if (p->nargs == 0) {
        commands_help(stdout);
        return 0;
    }
    const command *c = command_find(p->args[0]);
    if (!c) {
        command_unknown(p->args[0], &err);
        return report(p, &err);
    }
    options_help(stdout, c);
    return 0;
}

static const option no_options[] = { { 0 } };

const command commands[] = {
    { "generate", "PROMPT", "make pictures from a prompt and reference pictures", 0, 1, generate_options, run_generate },
    { "convert", "IN", "store a transformer or T5 in another type, with LoRAs fused in", 1, 1, convert_options, run_convert },
    { "dataset", "build|check|stats|show|export|captions|vocab|split|pack|remove", "build and look at training data", 1, 1, dataset_options, run_dataset },
    { "eval", "", "measure what a model makes: references found, words followed, places kept", 0, 0, eval_options, run_eval },
    { "fetch", "v1.1|v1|prep", "list what FLUX.1-dev and DreamO (or preparing references) need, check what is there, download the rest", 0, 1, fetch_options, run_fetch },
    { "bench", "kernels|device", "measure this machine, or what a step costs a device", 1, 1, bench_options, run_bench },
    { "info", "FILE", "look into a picture, model, LoRA, checkpoint or dataset; or at this machine's devices", 0, 1, info_options, run_info },
    { "prep", "", "show what a model will see of references: cut out, faces upright, resized", 0, 0, prep_options, run_prep },
    { "serve", "", "an HTTP server and a web page over one model that stays open", 0, 0, serve_options_table, run_serve },
    { "tokenize", "TEXT", "show what the model reads of a prompt, and what is cut", 0, 1, tokenize_options, run_tokenize },
    { "train", "RECIPE [NAME=VALUE...]", "train the autoencoder, the base model or an adapter", 0, 16, train_options, run_train },
    { "worker", "", "make what servers put into a queue that many machines share", 0, 0, worker_options, run_worker },
    { "help", "COMMAND", "this text, or a command's options", 0, 1, no_options, run_help },
    { 0 }
};

/* A closed standard descriptor would be given to the next file that is opened, and messages go into that.  Nothing can be written to
 * standard output's stand-in: what is lost there is an error, as before. */
static void open_standard(void)
{
    static const int how[] = { O_RDONLY, O_RDONLY, O_WRONLY };
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", how[fd]) != fd) _exit(dreamo_exit_code(DREAMO_IO));
}

static int run(int argc, char **argv, parsed *p)
{
    dreamo_error err = { 0 };
    if (argc < 2) {
        commands_help(stderr);
        return dreamo_exit_code(DREAMO_ARG);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("dreamo %s\n", dreamo_version());
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        commands_help(stdout);
        return 0;
    }
    const command *c = command_find(argv[1]);
    if (!c) {
        command_unknown(argv[1], &err);
        return report(p, &err);
    }
    if (options_parse(c, argc - 2, argv + 2, p, &err)) return report(p, &err);
    if (option_flag(p, "help")) {
        options_help(stdout, c);
        return 0;
    }
    return screen_open(p, &err) ? report(p, &err) : c->run(p);
}

int main(int argc, char **argv)
{
    parsed p = { 0 };
    open_standard();
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_DFL); /* `dreamo ... | head -1` ends quietly */
    signal(SIGXFSZ, SIG_IGN); /* `ulimit -f`: the write fails, and is told like a full disk */
    int code = run(argc, argv, &p);
    bool lost = fflush(stdout) || ferror(stdout);
    if (!lost || code) return code; /* one error is told, the first */
    dreamo_error err = { 0 };
    complain(&err, DREAMO_IO, NULL, "standard output: could not be written");
    return report(&p, &err);
}
