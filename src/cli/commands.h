/* commands.h - one file a command: its option table and its run function, which returns the exit code. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H
#include "cli/options.h"

extern const option bench_options[], convert_options[], dataset_options[], eval_options[], fetch_options[], generate_options[], info_options[], prep_options[];
extern const option serve_options_table[], tokenize_options[], train_options[], worker_options[];
int run_bench(const parsed *p);
int run_convert(const parsed *p);
int run_dataset(const parsed *p);
int run_eval(const parsed *p);
int run_fetch(const parsed *p);
int run_generate(const parsed *p);
int run_info(const parsed *p);
int run_prep(const parsed *p);
int run_serve(const parsed *p);
int run_tokenize(const parsed *p);
int run_train(const parsed *p);
int run_worker(const parsed *p);
#endif
