/* model.h - the options by which `generate`, `eval`, `serve` and `worker` choose a model. */
#ifndef CLI_MODEL_H
#define CLI_MODEL_H
#include "cli/options.h"

enum { MODEL_LORAS = 32 };
typedef struct model_names { dreamo_lora loras[MODEL_LORAS]; char paths[8192]; } model_names; /* what *m points to */

/* Those of -m, --dit, --t5, --clip, --vae, --variant, --dreamo, --turbo, --no-turbo, --lora, --fast, --threads, --device (or --backend) and --memory that the command has. */
dreamo_status option_model(const parsed *p, dreamo_model_options *m, model_names *names, dreamo_error *err);
#endif
