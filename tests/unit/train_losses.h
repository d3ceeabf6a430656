/* train_losses.h - the first ten losses of each stage in test_train_run.c. */
{ "vae", { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
{ "base", { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
{ "adapter", { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
